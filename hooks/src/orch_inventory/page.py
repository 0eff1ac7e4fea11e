"""The inventory as one HTML page that needs nothing else."""

from __future__ import annotations

import jinja2

from . import table
from .effort import Plan
from .estate import Estate


def drawn(estate: Estate, plan: Plan) -> str:
    """The page: the order of work with all steps, operators, systems, links, problems."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("orch_inventory", "."), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("page.html.jinja").render(
        estate=estate,
        plan=plan,
        summary=table.summary(estate),
        systems=table.systems_of(estate),
        links=table.links_of(estate),
        notes=table.notes,
        days=table.days,
        fact=table.fact,
        when=table.when,
    )
