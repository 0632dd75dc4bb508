"""Automations of Prefect's server that campaigns rely on, made anew by ``make serve``.

Runs whose process is gone stay ``Running`` for good unless somebody notices. Every run sends
heartbeats; one that falls silent without an end is marked as crashed.
"""

from datetime import timedelta

from prefect import get_client
from prefect.automations import Automation
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

HEARTBEAT = "prefect.flow-run.heartbeat"
ENDS = {f"prefect.flow-run.{s}" for s in ("Completed", "Failed", "Cancelled", "Crashed")}
SILENCE = timedelta(seconds=120)  # four heartbeats
NAME = "mfal: mark silent runs as crashed"


def silent_runs() -> Automation:
    """The automation that ends runs without a heartbeat."""
    return Automation(
        name=NAME,
        description="A run that sends no heartbeat for two minutes has lost its process.",
        trigger=EventTrigger(
            after={HEARTBEAT},
            expect={HEARTBEAT} | ENDS,
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=SILENCE,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                message="No heartbeat for two minutes: its process is gone",
            )
        ],
    )


def ensure() -> None:
    """Have exactly one such automation on the server, as it is written here."""
    with get_client(sync_client=True) as client:
        for found in client.read_automations_by_name(name=NAME):
            client.delete_automation(found.id)
    silent_runs().create()
