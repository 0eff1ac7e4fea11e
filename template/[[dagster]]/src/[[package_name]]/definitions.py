"""What Dagster loads: the team's definitions in the modules under defs/, and what all pipelines share."""

from pathlib import Path

import dagster as dg

from .orchestration.dagster.definitions import shared


@dg.definitions
def defs() -> dg.Definitions:
    own = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
    return dg.Definitions.merge(own, shared())
