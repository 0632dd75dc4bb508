"""The first paragraph of a campaign's report."""

from collections.abc import Iterator, Sequence

from mfal.digits import amount, written
from mfal.report.diversity import Diversity, rule_in_words
from mfal.report.snapshot import Snapshot
from mfal.report.words import counted, listed


def lead(snapshot: Snapshot, diversity: Sequence[Diversity]) -> str:
    """What was found, and what is waited for, in a paragraph."""
    n = len(snapshot.observations)
    said = [
        f"{amount(snapshot.spent)} of {amount(snapshot.budget)} units were spent on {n} queries in "
        f"{listed([*_asked_in(snapshot)])}; {snapshot.n_failed} of them failed."
    ]
    said += _means(snapshot, diversity) if diversity else [_nothing(snapshot)]
    return " ".join([*said, *_awaited(snapshot)])


def _asked_in(snapshot: Snapshot) -> Iterator[str]:
    """Where the queries come from: data, the design, finished rounds, and one that is not."""
    kinds = {r.kind for r in snapshot.rounds}
    if "imported" in kinds:
        yield "imported data"
    if "initial" in kinds:
        yield "the initial design"
    batches = [r for r in snapshot.rounds if r.kind == "batch"]
    finished = sum(r.finished for r in batches)
    if finished or not kinds:
        yield counted(finished, "round")
    yield from (f"round {r.number}, which is not finished" for r in batches if not r.finished)


def _means(snapshot: Snapshot, diversity: Sequence[Diversity]) -> Iterator[str]:
    """How the means of the best went, and what they are of."""
    first, last = diversity[0], diversity[-1]
    objective, k = snapshot.objective, snapshot.top_k
    best = snapshot.best(1)[0]
    word = "lowest" if objective.goal == "min" else "highest"
    leading = best.outcome.value
    form = written([first.top_k, last.top_k, last.diverse, leading])
    yield (
        f"The mean of the best {objective.name} values measured at {snapshot.target.name} "
        f"(at most {k}) went from {form(first.top_k)} to {form(last.top_k)}"
        f"{objective.suffix}; the {word} is {form(leading)}, of {snapshot.name_of(best.round)}."
    )
    of_first, of_last = min(first.n_target, k), min(last.n_target, k)
    if of_first < of_last:
        yield (
            f"The first mean is over {of_first} and the last over {of_last}: the more there are, "
            "the worse ones a mean takes in."
        )
    yield (
        f"Counting only candidates that differ ({rule_in_words(snapshot)}), the best "
        f"{last.n_diverse} have a mean of {form(last.diverse)}{objective.suffix}."
    )


def _nothing(snapshot: Snapshot) -> str:
    return f"Nothing was measured at {snapshot.target.name} yet."


def _awaited(snapshot: Snapshot) -> list[str]:
    """What people have to measure, in a sentence; none while something else is still computed."""
    awaited = snapshot.waiting
    if awaited is None or awaited.computed:
        return []
    n, files = counted(len(awaited.queries), "measurement"), ", ".join(map(str, awaited.files))
    return [
        f"Round {awaited.round} waits for {n} ({files}), for which "
        f"{amount(snapshot.promised)} units are set aside."
    ]
