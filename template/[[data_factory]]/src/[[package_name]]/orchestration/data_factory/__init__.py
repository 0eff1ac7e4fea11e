"""Azure Data Factory as an orchestrator of this project: a definition for each pipeline, a container for each step.

In the cloud, the factory runs them; nothing of this package is needed there but the project's command. On this machine
a small runner runs the same definitions, in the process of the command.
"""

from __future__ import annotations

from ..cloud_service import CloudService


class DataFactory(CloudService):
    id = "data_factory"
    title = "Azure Data Factory"
    definition = "factory/pipeline/pl_{name}.json"
    beside = ("factory/trigger/tr_{name}.json",)


ENGINE = DataFactory()
