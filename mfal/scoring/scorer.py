"""The order of business: what is asked next, what again, and when a failure is final.

Whatever goes wrong is an outcome with an error. A call for several candidates that fails as a
whole is followed by one for each, so that a bad candidate costs only itself.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain

from mfal.errors import MfalError
from mfal.reasons import kept
from mfal.scoring.calls import Answered, Asked, Call, Reply, Trouble
from mfal.scoring.pace import Pace
from mfal.scoring.runners import Runner, start
from mfal.sections import Component, ScoringConfig
from mfal.types import Fidelity, Outcome, Query

log = logging.getLogger(__name__)

TICK = 0.5
"""Seconds after which whoever waits looks around."""

PATIENCE = 5.0
"""Seconds without a first answer after which a fidelity is taken to be slow."""

COMMIT = 1.0
"""Seconds in which answers are gathered that come one at a time."""

IN_A_ROW = 20
"""Failures one after the other that are handed over at once, for they may be an outage."""


@dataclass(frozen=True)
class Chunk:
    """Queries of one call, all at one fidelity.

    Attributes:
        retries: How often it was asked again because of a transient failure.
        again: Whether it is asked again because its worker was killed from outside.
    """

    queries: tuple[Query, ...]
    retries: int = 0
    again: bool = False

    @property
    def fidelity(self) -> str:
        """Name of the fidelity."""
        return self.queries[0].fidelity

    def singly(self) -> "list[Chunk]":
        """One chunk for each query."""
        return [replace(self, queries=(query,)) for query in self.queries]

    def halves(self) -> "list[Chunk]":
        """Two chunks of half the queries each; one for a single query."""
        half = (len(self.queries) + 1) // 2
        parts = (self.queries[:half], self.queries[half:])
        return [replace(self, queries=part) for part in parts if part]


class Scorer:
    """Asks queries through a runner, which is started by the first of them.

    Which outcomes there are does not depend on the number of workers, only the order in which
    they arrive.

    Args:
        problem: How a worker builds the problem for itself.
        ladder: The campaign's fidelities.
        n_objectives: How many numbers an answer has.
    """

    def __init__(
        self,
        problem: Component,
        ladder: Sequence[Fidelity],
        n_objectives: int,
        config: ScoringConfig,
    ) -> None:
        self._asked = Asked(problem, n_objectives)
        self._ladder = {f.name: f for f in ladder}
        self._config = config
        self._pace = Pace(config)
        self._runner: Runner | None = None
        self._started = 0
        self._new: dict[str, deque[Query]] = {}
        self._next: deque[Chunk] = deque()
        self._later: list[tuple[float, Chunk]] = []
        self._calls: dict[Future[Reply], tuple[Chunk, float]] = {}
        self._found: list[tuple[Query, Outcome]] = []

    def ask(self, queries: Sequence[Query]) -> None:
        """Put queries into the queue, to be asked one fidelity after the other."""
        for query in queries:
            self._new.setdefault(query.fidelity, deque()).append(query)

    @property
    def waiting(self) -> bool:
        """Whether there are queries without an answer."""
        return bool(any(self._new.values()) or self._next or self._later or self._calls)

    def answers(self) -> list[tuple[Query, Outcome]]:
        """The next outcomes to come in; none only if nothing was asked.

        To ask for more is to say that those before are put away.

        Raises:
            MfalError: if the problem cannot be built where it is asked, or nobody is there
                to ask. Nothing is lost by that, nor by a Ctrl-C: see `unsettled`.
        """
        until = time.monotonic() + COMMIT
        self._found = []
        while self.waiting and not self._is_enough(until):
            self._submit()
            self._collect()
        if not self._only_fails():
            self._submit()  # work goes on while the caller puts the answers away
        return list(self._found)

    def unsettled(self) -> list[tuple[Query, Outcome]]:
        """What is answered and may not be put away yet, for whoever has to stop: it is paid for."""
        ended = [(chunk, f.result()) for f, (chunk, _) in self._calls.items() if _has_come(f)]
        answered = [(chunk, reply) for chunk, reply in ended if isinstance(reply, Answered)]
        come_in = (zip(chunk.queries, reply.outcomes, strict=True) for chunk, reply in answered)
        return [*self._found, *chain.from_iterable(come_in)]

    def outcomes(self, queries: Sequence[Query]) -> list[Outcome]:
        """Ask distinct queries and wait for all of them: an outcome each, in their order."""
        self.ask(queries)
        found: dict[Query, Outcome] = {}
        while self.waiting:
            found |= dict(self.answers())
        return [found[query] for query in queries]

    def _is_enough(self, until: float) -> bool:
        """Whether to hand over what was gathered."""
        return self._only_fails() or (bool(self._found) and time.monotonic() > until)

    def _only_fails(self) -> bool:
        last = self._found[-IN_A_ROW:]
        return len(last) == IN_A_ROW and all(outcome.values is None for _, outcome in last)

    def close(self) -> None:
        """End all workers, and forget what was asked."""
        runner, self._runner, self._started = self._runner, None, 0
        self._new, self._next, self._later, self._calls = {}, deque(), [], {}
        self._found = []
        if runner is not None:
            runner.close()

    def _submit(self) -> None:
        """Begin as many calls as there is work and room for."""
        if not self.waiting:
            return
        if self._runner is None:
            self._runner = start(self._asked, self._config)
        slots = self._runner.slots
        while len(self._calls) < self._worth(slots):
            chunk = self._next_chunk(slots)
            if chunk is None:
                return
            call = Call(
                tuple(query.key for query in chunk.queries),
                self._ladder[chunk.fidelity],
                self._config.timeout_seconds,
            )
            self._calls[self._runner.submit(call)] = chunk, time.monotonic()
            self._started = max(self._started, len(self._calls))

    def _worth(self, slots: int) -> int:
        """How many calls at a time are worth while."""
        # Workers that have been started cost nothing more, however little is left.
        return max(self._pace.calls(self._left(), slots), min(self._started, slots))

    def _next_chunk(self, slots: int) -> Chunk | None:
        now = time.monotonic()
        self._next += [chunk for due, chunk in self._later if due <= now]
        self._later = [(due, chunk) for due, chunk in self._later if due > now]
        if self._next:
            return self._next.popleft()
        for fidelity, queries in self._new.items():
            if queries:
                n = self._pace.size(fidelity, len(queries), slots)
                return Chunk(tuple(queries.popleft() for _ in range(n)))
        return None

    def _left(self) -> dict[str, int]:
        """Queries without an answer, by fidelity."""
        left = {fidelity: len(queries) for fidelity, queries in self._new.items()}
        later = (chunk for _, chunk in self._later)
        called = (chunk for chunk, _ in self._calls.values())
        for chunk in (*self._next, *later, *called):
            left[chunk.fidelity] = left.get(chunk.fidelity, 0) + len(chunk.queries)
        return left

    def _collect(self) -> None:
        """Take the outcomes of calls that have ended, after a moment's wait for one to end."""
        if not self._calls:
            time.sleep(min(TICK, max(0.0, self._later[0][0] - time.monotonic())))
            return
        done, _ = wait(self._calls, timeout=TICK, return_when=FIRST_COMPLETED)
        for future in sorted(done, key=_by_what_it_brings):
            self._found += self._taken(self._calls[future][0], future.result())
            del self._calls[future]
        for chunk, since in self._calls.values():
            if (elapsed := time.monotonic() - since) > PATIENCE:
                self._pace.waits(chunk.fidelity, len(chunk.queries), elapsed)

    def _taken(self, chunk: Chunk, reply: Reply) -> list[tuple[Query, Outcome]]:
        """The outcomes that a reply brings; what has none is put back to be asked again."""
        if isinstance(reply, Answered):
            self._pace.learn(chunk.fidelity, len(chunk.queries), reply.seconds)
            if all(outcome.values is None for outcome in reply.outcomes):
                self._pace.starts_over(chunk.fidelity)
            return list(zip(chunk.queries, reply.outcomes, strict=True))
        if self._is_transient(chunk, reply) and chunk.retries < self._config.retries:
            self._ask_later(chunk, reply)
        elif reply.kind == "unavailable":
            raise MfalError(
                reply.error,
                "that is the machine's trouble and no candidate's: nothing was charged for it. See "
                "to it; what was recorded is safe, and the same command goes on",
            )
        elif len(chunk.queries) > 1:
            log.warning(
                "a chunk of %d failed (%s): asking one by one", len(chunk.queries), reply.error
            )
            self._next += chunk.singly()
        elif reply.kind == "killed" and not chunk.again:
            log.warning("%s: %s: asking once more", chunk.queries[0].key, reply.error)
            self._next.append(replace(chunk, again=True))
        else:
            asked = f" (asked {1 + chunk.retries} times)" if chunk.retries else ""
            return [(chunk.queries[0], Outcome(None, kept(reply.error + asked), reply.seconds))]
        return []

    def _is_transient(self, chunk: Chunk, trouble: Trouble) -> bool:
        late = trouble.kind == "late" and len(chunk.queries) == 1
        passes = trouble.kind in ("transient", "unavailable")
        return passes or (late and self._config.retry_timeouts)

    def _ask_later(self, chunk: Chunk, trouble: Trouble) -> None:
        """Put a chunk back for a while, in halves.

        So those that have an answer are not asked at every retry, and a service that was away
        for all is not asked about them one by one.
        """
        seconds = self._config.backoff_seconds * 2**chunk.retries
        log.warning("%s: asking %d again in %g s", trouble.error, len(chunk.queries), seconds)
        again, due = replace(chunk, retries=chunk.retries + 1), time.monotonic() + seconds
        self._later += [(due, half) for half in again.halves()]
        self._later.sort(key=lambda entry: entry[0])


def _by_what_it_brings(ended: "Future[Reply]") -> int:
    """Answers and failures first: none is to be lost by what another call raises."""
    if ended.exception() is not None:
        return 3
    reply = ended.result()
    if isinstance(reply, Answered):
        return 0
    return 2 if reply.kind == "unavailable" else 1


def _has_come(call: "Future[Reply]") -> bool:
    return call.done() and call.exception() is None


@contextmanager
def scorer(
    problem: Component,
    ladder: Sequence[Fidelity],
    n_objectives: int,
    config: ScoringConfig,
    put_away: Callable[[list[tuple[Query, Outcome]]], object] | None = None,
) -> Iterator[Scorer]:
    """A `Scorer` whose workers end with the block.

    Args:
        put_away: Takes what is `unsettled` where something ends the block, be it a Ctrl-C.
    """
    made = Scorer(problem, ladder, n_objectives, config)
    try:
        yield made
    except BaseException:
        if put_away is not None:
            put_away(made.unsettled())
        raise
    finally:
        made.close()
