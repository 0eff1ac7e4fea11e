"""Which answers the tests render, and what files a project has."""

from __future__ import annotations

import itertools
from pathlib import Path

import yaml
from allpairspy import AllPairs
from repository import QUESTIONS, ROOT

MANIFESTS = {
    path.parent.name.strip("[]"): yaml.safe_load(path.read_text()) for path in ROOT.glob("template/*/manifest.yml")
}
ORCHESTRATORS = tuple(sorted(name for name, manifest in MANIFESTS.items() if "shapes" in manifest))
# Those with a server on this machine; the others run in their cloud alone, and here in an emulator.
SERVED = tuple(name for name in ORCHESTRATORS if "port" in MANIFESTS[name])
SHAPES = sorted({shape for name in ORCHESTRATORS for shape in MANIFESTS[name]["shapes"]})
DECIDED = {
    variant["id"]: {**variant, "orchestrator": name}
    for name in ORCHESTRATORS
    for variant in yaml.safe_load((ROOT / f"decision/systems/{name}.yml").read_text())["variants"]
}
# Hosting variants with files of their own: their orchestrator, who hosts them, and the places whose files they take.
VARIANTS = {
    variant: {**row, "orchestrator": name, "hosting": DECIDED[variant]["hosting"]}
    for name in ORCHESTRATORS
    for variant, row in MANIFESTS[name].get("variants", {}).items()
}
# The one of each orchestrator that default answers have: they leave the hosting to a vendor, on AWS.
DEFAULT_VARIANT = {
    row["orchestrator"]: name
    for name, row in reversed(DECIDED.items())
    if row["hosting"] == "managed" and row.get("only_on", "aws") == "aws"
}
# Clouds with files for Terraform, and the places of the variants that it makes something for.
CLOUDS = {"aws": {"terraform"}, "gcp": {"terraform"}, "azure": {"kubernetes", "vm"}}
PLACES = sorted({place for row in VARIANTS.values() for place in row["places"]})
QUICK = "dagster"  # the one that the short run of the tests installs; the others are for the deep one
# Each alone and all of them, then some beside another one.
ALONE_OR_ALL, BESIDE = [*((name,) for name in ORCHESTRATORS), ORCHESTRATORS], list(itertools.pairwise(ORCHESTRATORS))
SETS = [*ALONE_OR_ALL, *BESIDE]
ENVIRONMENTS = [list(names) for size in (0, 1, 2) for names in itertools.combinations(("staging", "prod"), size)]
CLOUD_OF = {name: variant["only_on"] for name, variant in DECIDED.items() if "only_on" in variant}
CLOUD_OF |= {name: row["cloud"] for name, row in VARIANTS.items() if "cloud" in row}
CI_PROVIDERS = list(QUESTIONS["ci_provider"]["choices"].values())
# What decides which files there are, besides the name of the package: every pair of values. Two orchestrators side by
# side are rendered once each, as their folders know nothing of the environments and the provider.
FILE_COMBINATIONS = [tuple(row) for row in AllPairs([ALONE_OR_ALL, ENVIRONMENTS, CI_PROVIDERS])]
FILE_COMBINATIONS += zip(BESIDE, itertools.cycle(ENVIRONMENTS), itertools.cycle(CI_PROVIDERS))


def answers_for(names: tuple[str, ...]) -> dict:
    answers = {"orchestrator": names[0], "also_orchestrators": list(names[1:])}
    # The rules exclude some for the default answers, which describe plain scheduled ETL on AWS.
    return answers | ({"accept_exclusion": "yes"} if names[0] in ("temporal", "gcp_workflows", "data_factory") else {})


def answers_for_variant(variant: str) -> dict:
    """Answers of a project that is hosted so."""
    row = VARIANTS[variant]
    answers = {"orchestrator": row["orchestrator"], "hosting_variant": variant, "hosting": row["hosting"]}
    return answers | {"cloud": CLOUD_OF.get(variant, "aws"), "accept_exclusion": "yes"}


def places_of(variant: str, cloud: str = "") -> list[str]:
    """The folders of the template that a hosting variant takes, its own among them.

    cloud: that was answered, if not the variant's own. Terraform's files are for that one alone.
    """
    if variant not in VARIANTS:
        return []
    places, own = VARIANTS[variant]["places"], CLOUD_OF.get(variant, "aws")
    if cloud not in ("", own):
        return [variant, *(each for each in places if each != "terraform" and not each.endswith(f"_on_{own}"))]
    return [*places, variant, *([own] if "terraform" in places else [])]


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
