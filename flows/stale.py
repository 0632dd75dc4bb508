"""Runs whose process is gone stay ``Running`` for good: here they are marked as crashed.

Every run notes which process it is. The next run on the same machine marks those that are gone,
and so does whoever serves campaigns, twice a minute. An automation of Prefect's server on their
heartbeats would do it for all machines, but it locks an SQLite server for a minute at a time as
soon as some runs work at once.
"""

import logging
import os
import threading
import time
from contextvars import copy_context
from uuid import UUID

from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
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
PAUSE = 30.0  # seconds between two looks of whoever serves

log = logging.getLogger("mfal.flows")


def settle() -> None:
    """Note the process of this flow run, and mark runs of dead processes here as crashed.

    Beside the run, which does not wait for it; a server that is too busy is a line in the log.
    """
    system = process.system()
    if system is not None:  # else the system does not tell about processes
        # In the context, where Prefect finds the flow run.
        threading.Thread(target=copy_context().run, args=(_settle, system)).start()


def _settle(system: str) -> None:
    pid = os.getpid()
    note: dict[str, bool | int | float | str] = {
        SYSTEM: system,
        PID: pid,
        STARTED: process.started(pid) or "",
    }
    try:
        with get_client(sync_client=True) as client:
            client.update_flow_run_labels(UUID(flow_run.id), note)
            _mark(client, system)
    except Exception as error:
        _complain(error)


def keep_marking() -> None:
    """Begin to mark runs of dead processes here, every half minute, beside what this one does."""
    system = process.system()
    if system is not None:
        threading.Thread(target=_keep_marking, args=(system,), daemon=True).start()


def _keep_marking(system: str) -> None:
    while True:
        try:
            with get_client(sync_client=True) as client:
                _mark(client, system)
        except Exception as error:
            _complain(error)
        time.sleep(PAUSE)


def _mark(client: SyncPrefectClient, system: str) -> None:
    running = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING]))
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


def _complain(error: Exception) -> None:
    log.warning("runs could not be looked through: %s: %s", type(error).__name__, error)


def is_dead(run: FlowRun, system: str) -> bool:
    """Whether a run noted a process of this system that no longer runs."""
    labels = run.labels
    pid, started = labels.get(PID), labels.get(STARTED)
    if labels.get(SYSTEM) != system or not isinstance(pid, int) or not isinstance(started, str):
        return False  # of another machine, or labels that somebody else wrote
    return not process.runs(pid, started)
