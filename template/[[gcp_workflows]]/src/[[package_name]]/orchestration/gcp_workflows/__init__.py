"""Google Cloud Workflows as an orchestrator of this project: a workflow for each pipeline, a container for each step.

In the cloud, Workflows runs them; nothing of this package is needed there but the project's command. On this machine an
emulator runs the same definitions, in the process of the command.
"""

from __future__ import annotations

from ..cloud_service import CloudService


class GcpWorkflows(CloudService):
    id = "gcp_workflows"
    title = "Google Cloud Workflows"
    definition = "workflows/{name}.workflow.yaml"


ENGINE = GcpWorkflows()
