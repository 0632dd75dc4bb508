"""The report of one campaign."""

from collections import Counter
from collections.abc import Sequence

from mfal.digits import amount, written
from mfal.report.agreement import agreement_grid, agreement_pictures, pairs_of
from mfal.report.diversity import Diversity, diversity_curve, gallery_keys, rule_in_words
from mfal.report.figures import (
    asking_figure,
    choosing_figure,
    choosing_seconds,
    diversity_figure,
    oracle_seconds,
    similarity_figure,
    spending_figure,
    top_k_figure,
)
from mfal.report.lead import lead
from mfal.report.learning_figures import (
    coverage_figure,
    loss_figure,
    parity_figures,
    ranks_figure,
    samples_figure,
)
from mfal.report.page import Card, Grid, Page, Picture, Section
from mfal.report.snapshot import Snapshot
from mfal.report.words import inline, unitless

GALLERY = 12


def campaign_page(snapshot: Snapshot) -> Page:
    """All sections of a campaign's report, those left out that there is nothing for yet."""
    diversity = diversity_curve(snapshot)
    sections = [
        _found(snapshot, diversity),
        _gallery(snapshot),
        _surrogate(snapshot),
        _fidelities(snapshot),
        _sampler(snapshot),
        _time(snapshot),
        _failures(snapshot),
        _settings(snapshot),
    ]
    last = snapshot.rounds[-1].versions if snapshot.rounds else {}
    return Page(
        title=f"{snapshot.name}: {snapshot.problem.name}",
        lead=lead(snapshot, diversity),
        sections=[section for section in sections if section is not None],
        made=f"Made by mfal {last.get('mfal', '')} from the campaign's ledger.",
    )


def _found(snapshot: Snapshot, diversity: Sequence[Diversity]) -> Section | None:
    if not diversity:
        return None
    k = snapshot.top_k
    pictures = [
        Picture(
            "top-k",
            top_k_figure(snapshot),
            f"What the budget bought. Each dot is one candidate measured at "
            f"{snapshot.target.name}, in the order of purchase; the line is the mean of the {k} "
            "best until the end of each round. A line that still rises says that more budget "
            f"would find more.{_few(diversity, k)}",
        ),
        Picture(
            "diversity",
            diversity_figure(snapshot, diversity),
            f"Good and different. The grey line takes the {k} best whatever they are, the blue one "
            f"only candidates that differ ({rule_in_words(snapshot)}); where the two part, the "
            "search stays within one family.",
        ),
        Picture(
            "similarity",
            similarity_figure(snapshot, diversity),
            "How alike the best are, whatever they are: 1 is the same candidate.",
        ),
    ]
    return Section("What was found", pictures=pictures, grids=[_means(snapshot, diversity)])


def _few(diversity: Sequence[Diversity], k: int) -> str:
    """What hollow points say, where there are any."""
    if diversity[0].n_target >= k:
        return ""
    return (
        f" A hollow point is the mean of all that there were by then, fewer than {k}: until there "
        "are so many, the line may fall though nothing was lost."
    )


def _means(snapshot: Snapshot, diversity: Sequence[Diversity]) -> Grid:
    """The means of the best and of the best different after each round."""
    value = written(mean for d in diversity for mean in (d.top_k, d.diverse))
    rows = [
        (
            amount(d.cost),
            str(d.n_target),
            value(d.top_k),
            value(d.diverse),
            str(d.n_diverse),
            unitless(d.similarity),
        )
        for d in diversity
    ]
    labelled = snapshot.objective.labelled
    top = f"top-{snapshot.top_k}"
    means = (labelled(top), labelled("different"), "how many differ", f"similarity of the {top}")
    said = (
        f"After each round: how many were measured, the mean of the {snapshot.top_k} best of them "
        f"(of all where there are fewer), and of the best that differ; {snapshot.objective.better}."
    )
    return Grid(said, ("cost", "measured", *means), rows)


def _gallery(snapshot: Snapshot) -> Section | None:
    at_target = {
        o.query.key: o for o in snapshot.observations if o.query.fidelity == snapshot.target.name
    }
    draw, describe = snapshot.problem.draw, snapshot.problem.describe
    suffix = snapshot.objective.suffix
    shown = [at_target[key] for key in gallery_keys(snapshot, GALLERY)]
    form = written(o.outcome.value for o in shown)
    engines = {o.backend for o in shown}
    cards = []
    for o in shown:
        key = o.query.key
        origin = snapshot.name_of(o.round) + ("" if len(engines) == 1 else f", {o.backend}")
        lines = [f"{form(o.outcome.value)}{suffix}", origin]
        svg = draw(key) or None if draw else None
        cards.append(Card(key, svg, lines, "" if describe is None else describe(key)))
    if not cards:
        return None
    said = (
        f"The best {len(cards)} measured at {snapshot.target.name} that differ from each other "
        f"({rule_in_words(snapshot)}), best first, each with where it was found"
    )
    said += f". All by {engines.pop()}." if len(engines) == 1 else " and the engine that answered."
    return Section("The best different candidates", [said], cards=cards)


def _surrogate(snapshot: Snapshot) -> Section | None:
    ranks, coverage = ranks_figure(snapshot), coverage_figure(snapshot)
    if ranks is None or coverage is None:
        return None
    pictures = [
        Picture(
            "ranks",
            ranks,
            "Every candidate predicted from the others alone: whether the surrogate ranks them "
            "right. At 1 it does, at 0 it guesses.",
        ),
        Picture(
            "coverage",
            coverage,
            "How many of them fall into its 90 % intervals: below the band it is too sure of "
            "itself, above it too modest.",
        ),
        *(
            Picture(
                f"parity-{rung}",  # a fidelity's name may hold what no file's does
                figure,
                f"The same predictions at {name} one by one, with 90 % intervals. The closer to "
                "the grey line the better; look at the end where the good candidates lie.",
            )
            for rung, (name, figure) in enumerate(parity_figures(snapshot).items(), 1)
        ),
    ]
    rmse = snapshot.objective.labelled("RMSE")
    header = ("round", "fidelity", "n", "Spearman", rmse, "NLPD", "in 90 %")
    held_out = [
        (str(r.number), name, figures)
        for r in snapshot.diagnosed
        for name, figures in snapshot.by_fidelity(r, "held_out")
    ]
    error = written((figures.get("rmse") for _, _, figures in held_out), figures=3)
    rows = [
        (
            round_number,
            name,
            str(figures["n"]),
            unitless(figures.get("spearman")),
            error(figures.get("rmse")),
            unitless(figures.get("nlpd")),
            unitless(figures.get("coverage_90")),
        )
        for round_number, name, figures in held_out
    ]
    grid = Grid("Candidates left out.", header, rows, texts=2)
    return Section("The surrogate", pictures=pictures, grids=[grid])


def _fidelities(snapshot: Snapshot) -> Section | None:
    if not snapshot.observations:
        return None
    pictures = [
        Picture(
            "spending",
            spending_figure(snapshot),
            "Where the money went. A ladder pays if the cheap fidelities take a share while the "
            "target still gets enough to tell the best apart.",
        )
    ]
    rows = []
    for fidelity in reversed(snapshot.ladder):
        asked = [o for o in snapshot.observations if o.query.fidelity == fidelity.name]
        spent = sum(o.cost for o in asked)
        engines = "; ".join(sorted({o.backend for o in asked}))
        share = f"{spent / snapshot.spent:.0%}" if snapshot.spent else ""
        rows.append(
            (fidelity.name, amount(fidelity.cost), str(len(asked)), amount(spent), share, engines)
        )
    header = ("fidelity", "cost each", "queries", "cost", "share", "engine")
    grids = [Grid("In all.", header, rows, texts=None)]
    if found := pairs_of(snapshot):
        pictures += agreement_pictures(snapshot, found)
        grids.append(agreement_grid(snapshot, found))
    return Section("The fidelities", pictures=pictures, grids=grids)


def _sampler(snapshot: Snapshot) -> Section | None:
    loss, samples = loss_figure(snapshot), samples_figure(snapshot)
    if loss is None or samples is None:
        return None
    pictures = [
        Picture(
            "loss",
            loss,
            "The last round's training. The loss on fresh trajectories shows whether the policy "
            "learnt the reward or only its replay buffer.",
        ),
        Picture(
            "samples",
            samples,
            "An effective sample size near 1 says that the policy samples in proportion to the "
            "reward. It is taken from a quarter of a batch, and so it never falls below one of "
            "these few, however far the policy is.",
        ),
    ]
    return Section("The sampler", pictures=pictures)


def _time(snapshot: Snapshot) -> Section | None:
    choosing = choosing_figure(snapshot)
    if choosing is None:
        return None
    pictures = [
        Picture(
            "choosing",
            choosing,
            "What fitting, training and proposing took by the clock, in the rounds that a "
            "surrogate chose.",
        ),
        Picture(
            "asking",
            asking_figure(snapshot),
            "What the oracles took by their own account, in all rounds: workers that ask at the "
            "same time are added up, so that the clock may have shown less.",
        ),
    ]
    parts = choosing_seconds(snapshot) | {
        f"oracle {name}": seconds for name, seconds in oracle_seconds(snapshot).items()
    }
    rows = [(part, str(len(seconds)), f"{sum(seconds):.2f}") for part, seconds in parts.items()]
    grid = Grid(
        "In all; oracles over rounds of every kind, summed over workers.",
        ("what", "rounds", "seconds"),
        rows,
    )
    return Section("Time", pictures=pictures, grids=[grid])


def _failures(snapshot: Snapshot) -> Section:
    reasons = Counter(
        (o.query.fidelity, o.outcome.error or "")
        for o in snapshot.observations
        if o.outcome.values is None
    )
    if not reasons:
        return Section("Failures", ["No query failed."])
    rows = [(reason, fidelity, str(n)) for (fidelity, reason), n in reasons.most_common()]
    charged = amount(sum(o.cost for o in snapshot.observations if o.outcome.values is None))
    said = f"Failed queries: {snapshot.n_failed}, for which {charged} was charged."
    grids = [Grid("By reason.", ("reason", "fidelity", "n"), rows, texts=2)]
    foreseen = _foreseen(snapshot)
    if foreseen:
        text = "How many failures each round expected, and how many there were."
        header = ("round", "fidelity", "queries", "expected", "failed")
        grids.append(Grid(text, header, foreseen, texts=2))
    return Section("Failures", [said], grids=grids)


def _foreseen(snapshot: Snapshot) -> list[tuple[str, ...]]:
    """Round, fidelity, its queries, expected failures and failures; of rounds that expect any."""
    rows: list[tuple[str, ...]] = []
    for info in snapshot.rounds:
        for fidelity, expected in snapshot.by_fidelity(info, "expected_failures"):
            asked = [
                o.outcome.values is None
                for o in snapshot.observations
                if o.round == info.number and o.query.fidelity == fidelity
            ]
            if asked:
                asked_about = (str(info.number), fidelity, str(len(asked)))
                rows.append((*asked_about, f"{expected:.1f}", str(sum(asked))))
    return rows


def _settings(snapshot: Snapshot) -> Section:
    values = snapshot.config.model_dump(mode="json", exclude_defaults=True)
    settings = [(name, inline(value)) for name, value in values.items()]
    seeds = [(str(r.number), r.kind, str(r.seed)) for r in snapshot.rounds]
    versions = snapshot.rounds[-1].versions.items() if snapshot.rounds else ()
    return Section(
        "Configuration, versions, seeds",
        grids=[
            Grid("What differs from the defaults.", ("field", "value"), settings, texts=None),
            Grid("Versions of the last round.", ("package", "version"), [*versions], texts=None),
            Grid("Seed of every round.", ("round", "kind", "seed"), seeds, texts=2),
        ],
    )
