# /// script
# requires-python = ">=3.11"
# dependencies = ["grafana-foundation-sdk==1769699998!10.1.0", "pyyaml"]
# ///
"""Write observability/dashboards/<engine>.json of each engine that has dashboard.yml.

`uv run --script tools/write_dashboards.py` does so, as Grafana's library is no dependency of the tests.
Grafana's own builders make it, which refuse what its schema does not know. dashboard.yml has the panels: a title, a
unit, and expressions with what a line is called. In an expression, $env stands for the environments that are chosen.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from grafana_foundation_sdk.builders.dashboard import Dashboard, DatasourceVariable, QueryVariable
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.timeseries import Panel
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef, GridPos

TEMPLATE = Path(__file__).parents[1] / "template"
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
ACROSS, WIDTH, HEIGHT = 3, 8, 7  # panels in a row, and the size of one in Grafana's grid


def main() -> None:
    for file in sorted(TEMPLATE.glob("*/dashboard.yml")):
        name = file.parent.name.strip("[]")
        target = file.parent / "observability" / "dashboards" / f"{name}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_dashboard(name, yaml.safe_load(file.read_text(encoding="utf-8"))), encoding="utf-8")
        print(target.relative_to(TEMPLATE))


def _dashboard(name: str, given: dict[str, Any]) -> str:
    board = (
        Dashboard(given["title"]).uid(name).tags(["pipelines"]).refresh("1m").time("now-7d", "now").timezone("browser")
    )
    board.with_variable(DatasourceVariable("datasource").type("prometheus"))
    values = f"label_values({given['environments']}, env)"
    board.with_variable(QueryVariable("env").datasource(SOURCE).query(values).multi(True).include_all(True))
    for at, row in enumerate(given["panels"]):
        place = GridPos(x=at % ACROSS * WIDTH, y=at // ACROSS * HEIGHT, w=WIDTH, h=HEIGHT)
        panel = Panel().title(row["title"]).unit(row["unit"]).datasource(SOURCE).grid_pos(place)
        for line, expression in row["lines"].items():
            panel.with_target(Dataquery().expr(expression).legend_format(line))
        board.with_panel(panel)
    return JSONEncoder(sort_keys=True, indent=1).encode(board.build()) + "\n"


if __name__ == "__main__":
    main()
