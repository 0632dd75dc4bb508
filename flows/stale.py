"""Runs whose process is gone stay ``Running`` for good: the next run here marks them as crashed.

Every run notes which process it is. The server's automation (`flows.automations`) ends silent
runs as well, where a server stays up to notice; this works without one.
"""

import logging
import os
from uuid import UUID

from prefect import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.runtime import flow_run
from prefect.states import Crashed

from mfal import process

SYSTEM, PID, STARTED = "mfal.system", "mfal.pid", "mfal.started"
MOST = 200  # runs that the server gives at once

log = logging.getLogger("mfal.flows")


def settle() -> None:
    """Note the process of this flow run, and mark runs of dead processes here as crashed."""
    system = process.system()
    if system is None:
        return  # the system does not tell about processes: the automation is left
    pid = os.getpid()
    note: dict[str, bool | int | float | str] = {
        SYSTEM: system,
        PID: pid,
        STARTED: process.started(pid) or "",
    }
    running = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING]))
    with get_client(sync_client=True) as client:
        client.update_flow_run_labels(UUID(flow_run.id), note)
        found = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(state=running),
            sort=FlowRunSort.START_TIME_DESC,
            limit=MOST,
        )
        for run in found:
            if is_dead(run, system):
                log.warning("%s: its process is gone, the run is marked as crashed", run.name)
                gone: State[None] = Crashed(
                    message="Its process is gone; the next run finishes what it began."
                )
                client.set_flow_run_state(run.id, gone, force=True)


def is_dead(run: FlowRun, system: str) -> bool:
    """Whether a run noted a process of this system that no longer runs."""
    labels = run.labels
    if labels.get(SYSTEM) != system:
        return False
    return not process.runs(int(labels[PID]), str(labels[STARTED]))
