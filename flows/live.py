"""Rounds on Prefect's page: a line that lives while they run, a report when each ends."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from uuid import UUID

from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from mfal.campaign import Campaign
from mfal.digits import amount
from mfal.gfn.base import TrainMetrics
from mfal.progress import STAGES, Progress, Stage, round_name, training_line
from mfal.report.canvas import load_canvas
from mfal.report.markdown import batch_rows, round_markdown
from mfal.report.snapshot import Snapshot, take

log = logging.getLogger("mfal.flows")

PAUSE = 3.0  # seconds between two updates of the live line; the page asks less often
RETRIES = 3  # of a request that nobody answered, for 14 seconds in all; Prefect's own is 5, for 62


class LivePage(Progress):
    """Progress for the page of the flow run that it is made in; to be closed, as a context.

    The page only shows: a thread of its own draws and sends, so that no round waits for a slow
    server, and whatever befalls it, the round goes on, and the log says so. When the rounds are
    over and the server does not answer, what was still to be told is dropped.
    """

    def __init__(self, campaign: Campaign) -> None:
        self._campaign = campaign
        self._sender = ThreadPoolExecutor(1, "page")
        self._last: Future[None] | None = None
        self._is_heard, self._is_over = True, False
        self._artifact: UUID | None = None
        self._updated = 0.0
        self._round = ""
        self._stage: Stage = "fit"
        self._share = 0.0  # of the stage
        self._notes: dict[str, str] = {}
        self._send(load_canvas)  # takes a second, as the first answers of the oracle do

    def __enter__(self) -> "LivePage":
        return self

    def __exit__(self, *exception: object) -> None:
        self._is_over = True
        self._sender.shutdown()  # when all that was said is sent

    def begin_round(self, number: int, kind: str) -> None:
        """Say which round starts."""
        self._round = round_name(number, kind)
        self._notes = {}
        self.stage("fit")

    def end_round(self, number: int) -> None:
        """Publish the round: its batch, the best candidates, and how the campaign stands."""
        self._stage, self._share = "append", 1.0
        self._show(at_once=True)
        snapshot, name = take(self._campaign), self._round
        self._send(lambda: _publish(snapshot, number, name))

    def stage(self, stage: Stage) -> None:
        """Move on to a stage."""
        self._stage, self._share = stage, 0.0
        self._show(at_once=True)

    def train(self, metrics: TrainMetrics) -> None:
        """Show how training goes."""
        self._share = metrics.step / metrics.steps
        self._notes["train"] = (
            f"training step {metrics.step} of {metrics.steps}, {training_line(metrics)}"
        )
        self._show()

    def scored(self, done: int, total: int) -> None:
        """Show how many queries are answered."""
        self._share = done / max(total, 1)
        self._notes["score"] = f"{done} of {total} oracle calls"
        self._show()

    def spent(self, cost: float, budget: float) -> None:
        """Show the cost."""
        self._notes["cost"] = f"cost {amount(cost)} of {amount(budget)}"
        self._show()

    def _show(self, *, at_once: bool = False) -> None:
        now = time.monotonic()
        is_busy = self._last is not None and not self._last.done()
        if not at_once and (is_busy or now - self._updated < PAUSE):
            return
        self._updated = now
        percent = 100 * (STAGES.index(self._stage) + self._share) / len(STAGES)
        notes = [self._notes[name] for name in ("train", "score", "cost") if name in self._notes]
        line = "; ".join([f"{self._round}: {self._stage}", *notes])
        self._send(lambda: self._show_line(percent, line))

    def _show_line(self, percent: float, line: str) -> None:
        if self._artifact is None:
            key = f"{self._campaign.config.name}-progress"
            made = create_progress_artifact(percent, key=key, description=line)
            self._artifact = made if isinstance(made, UUID) else None  # a coroutine elsewhere
        else:
            update_progress_artifact(self._artifact, progress=percent, description=line)

    def _send(self, what: Callable[[], object]) -> None:
        # Prefect finds the flow run in the context.
        self._last = self._sender.submit(copy_context().run, self._attempt, what)

    def _attempt(self, send: Callable[[], object]) -> None:
        if self._is_over and not self._is_heard:
            return
        try:
            with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: RETRIES}):
                send()
            self._is_heard = True
        except Exception as error:
            self._is_heard = False
            log.warning("the page could not be told: %s: %s", type(error).__name__, error)


def _publish(snapshot: Snapshot, number: int, name: str) -> None:
    campaign = snapshot.name
    create_markdown_artifact(
        round_markdown(snapshot, number),
        key=f"{campaign}-round",
        description=f"{campaign}, {name}",
    )
    create_table_artifact(
        batch_rows(snapshot, number),
        key=f"{campaign}-batch",
        description=f"Every query of {campaign}, {name}",
    )
