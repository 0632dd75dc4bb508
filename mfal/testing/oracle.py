"""The laws that every problem's oracle obeys, as a class of tests to inherit."""

import math
import os
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from torch import Generator

from mfal.envs.base import Environment, hook
from mfal.errors import InvalidKeyError, MfalError
from mfal.propose import random_candidates
from mfal.registry import build
from mfal.scoring.calls import DIED, GARBLED, LATE, checked_outcome
from mfal.scoring.scorer import scorer
from mfal.sections import Component, ScoringConfig
from mfal.similarity import similarity_of
from mfal.types import Fidelity, Oracle, Outcome, Problem, Query, check_ladder, check_objectives

RELATIVES = 200
"""Random candidates whose keys are compared."""

SINGLE = 1e-5
"""By how much two similarities that are to agree may differ: a matrix is in single precision."""

HOSTILE = (
    "",
    " ",
    "\N{SNOWMAN} is no candidate",
    "\x00",
    "\ud800",
    'a,"b\nc',
    "../../etc/passwd",
    "$(exit 1)",
    "nan",
    "-1",
    "A" * 100_000,
)


class OracleChecks:
    """Checks a problem's oracle on random candidates of its environment; each law is one test.

    In a test module::

        class TestMine(OracleChecks):
            problem = "./my_problem.py:problem"

    The oracle is called in this process and in a worker process, as a campaign calls it.
    Fidelities that are measured by hand are not asked. An oracle whose attribute
    ``deterministic`` is False may answer differently every time; one without it may not.
    Override `options` to give the problem some, `hostile_keys` to add to those.
    """

    problem: str
    options: Mapping[str, Any] = {}
    n = 8
    seed = 0
    timeout_seconds = 60.0

    def hostile_keys(self) -> Sequence[str]:
        """Texts that are no candidates, to be refused without harm."""
        return HOSTILE

    @property
    def component(self) -> Component:
        """The problem as a configuration names it."""
        if not hasattr(self, "problem"):
            raise NotImplementedError("set `problem` in your subclass of OracleChecks")
        return Component(name=self.problem, options=dict(self.options))

    @cached_property
    def built(self) -> Problem:
        """The problem."""
        built = build("problem", self.component)
        assert isinstance(built, Problem), f"{self.problem} gives a {type(built).__name__}"
        return built

    @cached_property
    def keys(self) -> list[str]:
        """Random candidates, at most n: as many as there are."""
        return random_candidates(
            self.built.environment(), self.built.oracle.fidelities, self.n, self.seed
        )

    @cached_property
    def asked(self) -> list[Fidelity]:
        """The fidelities that can be asked."""
        return [f for f in self.built.oracle.fidelities if not f.manual]

    @cached_property
    def answers(self) -> dict[str, list[Outcome]]:
        """Name of a fidelity -> what the oracle says of `keys` there."""
        return {f.name: self.built.oracle.evaluate(self.keys, f) for f in self.asked}

    def test_satisfies_the_protocol(self) -> None:
        """Every method and attribute of `Oracle` is there."""
        assert isinstance(self.built.oracle, Oracle), "a method or attribute is missing"

    def test_the_ladder_rises_to_the_target(self) -> None:
        """Names and levels are unique, levels rise, the last is 1.0."""
        try:
            check_ladder(self.built.oracle.fidelities)
        except MfalError as error:
            raise AssertionError(error.message) from error

    def test_objectives_are_named(self) -> None:
        """Names are unique and leave the columns of a table alone."""
        try:
            check_objectives("the oracle", self.built.oracle.objectives)
        except MfalError as error:
            raise AssertionError(error.message) from error

    def test_backends_name_every_fidelity(self) -> None:
        """`backends` has a text for each fidelity, and the same one when built again."""
        oracle = self.built.oracle
        backends, names = dict(oracle.backends), {f.name for f in oracle.fidelities}
        assert {*backends} == names, f"backends of {sorted(backends)}, fidelities {sorted(names)}"
        assert all(isinstance(b, str) and b for b in backends.values()), backends
        again = dict(build("problem", self.component).oracle.backends)
        assert again == backends, f"backends {backends} at first, {again} when built again"

    def test_there_is_an_outcome_for_every_key(self) -> None:
        """`evaluate` gives an `Outcome` a key, with numbers that a campaign takes or a reason."""
        for name, answers in self.answers.items():
            assert isinstance(answers, Sequence), f"{name}: a {type(answers).__name__}, no list"
            n = len(self.keys)
            assert len(answers) == n, f"{name}: {len(answers)} outcomes for {n} keys"
            for key, answer in zip(self.keys, answers, strict=True):
                _check_outcome(f"{name}, {key!r}", answer, len(self.built.oracle.objectives))

    def test_some_candidate_has_a_value(self) -> None:
        """Not all random candidates fail at a fidelity."""
        for name, answers in self.answers.items():
            first = next(iter(answers), None)
            found = any(a.values is not None for a in answers)
            assert found, f"{name}: all failed, the first of {first.error if first else 'none'}"

    def test_no_keys_have_no_outcomes(self) -> None:
        """An empty list of keys is an empty list of outcomes."""
        for f in self.asked:
            none = list(self.built.oracle.evaluate([], f))
            assert none == [], f"{f.name}: {none} for no keys"

    def test_keys_are_not_changed(self) -> None:
        """`evaluate` leaves the list that it is given alone."""
        for f in self.asked:
            given = list(self.keys)
            self.built.oracle.evaluate(given, f)
            assert given == self.keys, f"{f.name}: the list of keys was changed"

    def test_the_same_is_answered_twice(self) -> None:
        """The same question has the same answer, also from an oracle that is built anew."""
        if self._deterministic:
            again = build("problem", self.component).oracle
            for f in self.asked:
                self._same(f, self.keys, self.built.oracle.evaluate(self.keys, f), "asked again")
                self._same(f, self.keys, again.evaluate(self.keys, f), "of an oracle built again")

    def test_order_and_company_change_nothing(self) -> None:
        """A candidate's answer depends on no other: alone, backwards, and twice in a batch."""
        if self._deterministic:
            backwards, twice = self.keys[::-1], [*self.keys[:3], *self.keys[:3]]
            for f in self.asked:
                evaluate = self.built.oracle.evaluate
                self._same(f, backwards, evaluate(backwards, f), "in reverse order")
                self._same(f, twice, evaluate(twice, f), "twice in a batch")
                for key in self.keys[:3]:
                    self._same(f, [key], evaluate([key], f), "asked alone")

    def test_a_worker_process_answers_alike(self) -> None:
        """The problem can be built by its name in a process of its own, as campaigns do."""
        for f, answers in self._in_a_worker(self.keys):
            if self._deterministic:
                self._same(f, self.keys, answers, "in a worker process")

    def test_hostile_keys_do_no_harm(self) -> None:
        """What is no candidate has a value, fails with a reason, or raises InvalidKeyError."""
        hostile = list(self.hostile_keys())
        with _unheard():
            for f, _ in self._in_a_worker(hostile):
                for key in hostile:  # which is known by now to end no process
                    self._ask_hostile(key, f)

    def test_a_candidate_has_one_key(self) -> None:
        """Keys that stand for the same candidate, as `identities` has it, are the same key."""
        environment = self.built.environment()
        identities = hook(environment, "identities")
        keys = [] if identities is None else self._relatives(environment)
        known: dict[str, str] = {}
        for key, candidate in zip(keys, identities(keys) if identities else [], strict=True):
            other = known.setdefault(candidate, key)
            assert other == key, (
                f"{other!r} and {key!r} are both {candidate}, which would be bought twice; "
                "let the environment's keys be canonical"
            )

    def test_describe_gives_a_text(self) -> None:
        """`describe`, where there is one, gives every candidate a text, always the same."""
        describe = self.built.describe
        for key in self.keys if describe else ():
            assert describe is not None
            text = describe(key)
            assert isinstance(text, str), f"{key!r} is described by a {type(text).__name__}"
            assert describe(key) == text, f"{key!r} is described differently the second time"

    def test_similarity_compares_candidates(self) -> None:
        """`similarity` names a measure in [0, 1], the same both ways; 1 of one with itself."""
        similarity = similarity_of(self.built)
        for key, other in zip(self.keys, self.keys[1:] + self.keys[:1], strict=True):
            alike, back = similarity(key, other), similarity(other, key)
            assert 0 <= alike <= 1, f"{key!r} and {other!r}: a similarity of {alike}"
            both = f"{key!r} and {other!r}: {alike}, the other way round {back}"
            assert math.isclose(alike, back, abs_tol=SINGLE), both
            own = similarity(key, key)
            assert math.isclose(own, 1.0), f"{key!r} has a similarity of {own} with itself"

    def test_a_table_of_similarities_is_that_of_each_pair(self) -> None:
        """`matrix` of the measure has a row a key and a column another, as each pair has it."""
        similarity, some = similarity_of(self.built), self.keys[:3]
        table = similarity.matrix(self.keys, some)
        assert table.shape == (len(self.keys), len(some)), f"matrix gives {table.shape}"
        for key, row in zip(self.keys, table.tolist(), strict=True):
            for other, told in zip(some, row, strict=True):
                alike = similarity(key, other)
                both = f"{key!r} and {other!r}: {alike} by themselves, {told} in a matrix"
                assert math.isclose(alike, told, abs_tol=SINGLE), both

    def test_draw_gives_a_picture(self) -> None:
        """`draw`, where there is one, gives every candidate an SVG file."""
        draw = self.built.draw
        for key in self.keys if draw else ():
            assert draw is not None
            try:
                root = ET.fromstring(draw(key))
            except (ET.ParseError, TypeError) as error:
                raise AssertionError(f"{key!r}: the picture is no XML: {error}") from error
            assert root.tag == "{http://www.w3.org/2000/svg}svg", f"{key!r}: {root.tag} is no SVG"

    def _ask_hostile(self, key: str, f: Fidelity) -> None:
        try:
            answer = self.built.oracle.evaluate([key], f)[0]
        except InvalidKeyError:
            return
        except (Exception, SystemExit) as error:
            raise AssertionError(
                f"{f.name}: {key[:40]!r} raises {type(error).__name__}: {error}; give a failed "
                "outcome, or raise InvalidKeyError"
            ) from error
        _check_outcome(f"{f.name}, {key[:40]!r}", answer, len(self.built.oracle.objectives))

    def _relatives(self, environment: Environment) -> list[str]:
        """Keys of random candidates and of small changes of theirs, which are often the same."""
        ladder, generator = self.built.oracle.fidelities, Generator().manual_seed(self.seed)
        keys = random_candidates(environment, ladder, RELATIVES, self.seed)
        mutate = hook(environment, "mutate")
        if mutate is not None:
            keys += environment.keys(mutate(environment.states(keys), generator))
        return keys

    @property
    def _deterministic(self) -> bool:
        return bool(getattr(self.built.oracle, "deterministic", True))

    def _in_a_worker(self, keys: Sequence[str]) -> Iterator[tuple[Fidelity, list[Outcome]]]:
        """Each fidelity that can be asked, with its answers to `keys`, asked one at a time."""
        config = ScoringConfig(timeout_seconds=self.timeout_seconds)
        oracle = self.built.oracle
        with scorer(self.component, oracle.fidelities, len(oracle.objectives), config) as asker:
            for f in self.asked:
                answers = [asker.outcomes([Query(key, f.name)])[0] for key in keys]
                for key, answer in zip(keys, answers, strict=True):
                    reason = answer.error or ""
                    harmed = reason.startswith((DIED, LATE, GARBLED))
                    assert not harmed, f"{f.name}: {key[:40]!r}: {reason}"
                yield f, answers

    def _same(
        self, fidelity: Fidelity, keys: Sequence[str], answers: Sequence[Outcome], when: str
    ) -> None:
        at_first = dict(zip(self.keys, self.answers[fidelity.name], strict=True))
        for key, answer in zip(keys, answers, strict=True):
            before, now = at_first[key].values, answer.values
            assert before == now, f"{fidelity.name}: {key!r} had {before}, {when} {now}"


@contextmanager
def _unheard() -> Iterator[None]:
    """Drop what is printed, by native code and worker processes, too.

    A library such as RDKit repeats what it cannot read, all of it.
    """
    _flush()
    kept = {line: os.dup(line) for line in (1, 2)}
    nothing = os.open(os.devnull, os.O_WRONLY)
    for line in kept:
        os.dup2(nothing, line)
    os.close(nothing)
    try:
        yield
    finally:
        _flush()
        for line, before in kept.items():
            os.dup2(before, line)
            os.close(before)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


def _check_outcome(what: str, answer: object, n_objectives: int) -> None:
    assert isinstance(answer, Outcome), f"{what}: a {type(answer).__name__}, not an Outcome"
    seconds = answer.seconds
    assert math.isfinite(seconds) and seconds >= 0, f"{what}: took {seconds} seconds"
    if answer.values is None:
        assert isinstance(answer.error, str) and answer.error, f"{what}: failed for no reason"
        return
    taken = checked_outcome(answer, n_objectives)
    assert taken.error is None, f"{what}: {taken.error}"
