"""The peptide ladder: its data, how good its classifiers are, and how they are kept."""

import multiprocessing
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from mfal.errors import ConfigError, InvalidKeyError, MissingDependencyError, UnknownNameError
from mfal.types import Fidelity, Objective, Oracle
from oracles.amp import LADDER, AmpOracle, problem
from oracles.amp_cache import load_or_train
from oracles.amp_classifier import Classifier, descriptors
from oracles.amp_data import Labelled, clean, labelled_peptides, split
from oracles.amp_training import SHARES, mutated_peptides, random_peptides

MAGAININ = "GIGKFLHSAKKFGKAFVGEIMNS"
PEPTIDES = [MAGAININ, "KK", "ACDEFGHIKLMNPQRSTVWY" * 2, "W"]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with fitted classifiers."""
    folder = tmp_path_factory.mktemp("classifiers")
    load_or_train(folder)
    return folder


@pytest.fixture(scope="module")
def ladder(kept: Path) -> dict[str, Classifier]:
    return load_or_train(kept)


@pytest.fixture
def oracle(kept: Path) -> AmpOracle:
    return AmpOracle(kept)


def values(oracle: Oracle, keys: list[str], fidelity: Fidelity) -> list[float]:
    return [outcome.values[0] for outcome in oracle.evaluate(keys, fidelity) if outcome.values]


def test_the_ladder() -> None:
    oracle = problem().oracle
    assert isinstance(oracle, Oracle)
    assert [(f.name, f.cost, f.level) for f in oracle.fidelities] == [
        ("svm-10", 1.0, 0.1),
        ("svm-40", 3.0, 0.4),
        ("svm-100", 7.0, 1.0),
    ]
    assert {f.name: f.level for f in LADDER} == SHARES
    assert oracle.objectives == (Objective("antimicrobial", "probability", "max"),)
    assert set(oracle.backends) == set(SHARES)


def test_cleaning_leaves_each_peptide_once_and_none_of_two_minds() -> None:
    pairs = [("KK", True), ("KK", True), ("AA", True), ("AA", False), ("GG", False)]
    pairs += [("KXK", True), ("", True), ("K" * 51, True), ("K" * 50, True)]
    found = clean(pairs)
    assert dict(zip(found.keys, found.antimicrobial, strict=True)) == {
        "KK": True,
        "GG": False,
        "K" * 50: True,
    }
    assert clean(reversed(pairs)) == found


def test_the_split_shares_no_peptide_and_holds_out_a_fifth() -> None:
    training, test = labelled_peptides()
    # 5200 rows, of which 4351 are left: distinct, in one class, 50 residues at most.
    assert (len(training.keys), len(test.keys)) == (3481, 870)
    assert not set(training.keys) & set(test.keys)
    assert 0.45 < np.mean(test.antimicrobial) < 0.6
    keys = [str(i) for i in range(10)]
    assert split(Labelled(keys, [True] * 10))[1].keys == keys[:2]


def test_the_target_tells_held_out_peptides_apart(ladder: dict[str, Classifier]) -> None:
    _, test = labelled_peptides()
    rows = descriptors(test.keys)
    areas = [roc_auc_score(test.antimicrobial, ladder[f.name].probability(rows)) for f in LADDER]
    assert areas == sorted(areas)
    assert areas[-1] >= 0.96


def test_probabilities_mean_what_they_say(ladder: dict[str, Classifier]) -> None:
    _, test = labelled_peptides()
    found = ladder["svm-100"].probability(descriptors(test.keys))
    labels = np.array(test.antimicrobial)
    for low, high in ((0.0, 0.2), (0.2, 0.8), (0.8, 1.0)):
        inside = (found >= low) & (found <= high)
        error = abs(labels[inside].mean() - found[inside].mean())
        # Four standard deviations of a share among so many.
        assert error < 4 * np.sqrt(0.25 / inside.sum())


@pytest.mark.parametrize("of", ["test", "random", "mutated"])
def test_ranks_rise_along_the_ladder(ladder: dict[str, Classifier], of: str) -> None:
    _, test = labelled_peptides()
    antimicrobial = [k for k, yes in zip(test.keys, test.antimicrobial, strict=True) if yes]
    keys = {
        "test": test.keys,
        "random": random_peptides(1000, seed=5),
        "mutated": mutated_peptides(antimicrobial, 1000, seed=5),
    }[of]
    low, mid, target = (ladder[f.name].probability(descriptors(keys)) for f in LADDER)
    ranks = [spearmanr(rung, target).statistic for rung in (low, mid)]
    assert 0.5 < ranks[0] < ranks[1] < 1


def test_the_value_is_smooth_enough_to_climb(ladder: dict[str, Classifier]) -> None:
    # Every single substitution changes the value, and the best of them raises it.
    start = random_peptides(1, seed=8)[0]
    target = ladder["svm-100"]
    for _ in range(3):
        children = [
            start[:i] + residue + start[i + 1 :]
            for i in range(len(start))
            for residue in "ACDEFGHIKLMNPQRSTVWY"
            if residue != start[i]
        ]
        here = target.probability(descriptors([start]))[0]
        found = target.probability(descriptors(children))
        assert (found != here).mean() > 0.99
        assert len(np.unique(found.round(9))) > 0.9 * len(found)
        assert found.max() > here
        start = children[int(found.argmax())]


def test_a_kept_file_is_used_and_a_broken_one_made_anew(kept: Path, tmp_path: Path) -> None:
    (whole,) = kept.iterdir()
    copy = tmp_path / whole.name
    copy.write_bytes(whole.read_bytes())
    before = copy.stat().st_mtime_ns
    assert values(AmpOracle(tmp_path), [MAGAININ], LADDER[0])
    assert copy.stat().st_mtime_ns == before
    copy.write_bytes(whole.read_bytes()[:1000])
    assert values(AmpOracle(tmp_path), [MAGAININ], LADDER[0])
    assert copy.read_bytes() == whole.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == [whole.name]


def test_a_value_depends_neither_on_order_nor_on_company(oracle: AmpOracle) -> None:
    for fidelity in LADDER:
        together = values(oracle, PEPTIDES, fidelity)
        alone = [values(oracle, [key], fidelity)[0] for key in reversed(PEPTIDES)]
        assert together == alone[::-1]
        assert all(0 < value < 1 for value in together)


def _first_use(folder: str, found: "multiprocessing.Queue[list[float]]") -> None:
    found.put(values(AmpOracle(Path(folder)), PEPTIDES, LADDER[2]))


@pytest.fixture
def context() -> Iterator[multiprocessing.context.SpawnContext]:
    yield multiprocessing.get_context("spawn")


@pytest.mark.slow
def test_several_processes_may_come_first(
    tmp_path: Path, context: multiprocessing.context.SpawnContext, kept: Path
) -> None:
    found: multiprocessing.Queue[list[float]] = context.Queue()
    workers = [context.Process(target=_first_use, args=(str(tmp_path), found)) for _ in range(3)]
    for worker in workers:
        worker.start()
    answers = [found.get(timeout=240) for _ in workers]
    for worker in workers:
        worker.join()
    assert answers == [values(AmpOracle(kept), PEPTIDES, LADDER[2])] * 3
    (made,) = tmp_path.iterdir()
    (wanted,) = kept.iterdir()
    assert made.read_bytes() == wanted.read_bytes()


@pytest.mark.parametrize("bad", ["", "KXK", "kk", "K" * 51, "K K", "KÄ"])
def test_keys_outside_the_search_space_are_refused(oracle: AmpOracle, bad: str) -> None:
    with pytest.raises(InvalidKeyError) as caught:
        oracle.evaluate([MAGAININ, bad], LADDER[0])
    assert repr(bad) in caught.value.message
    describe = problem().describe
    assert describe is not None
    with pytest.raises(InvalidKeyError):
        describe(bad)


def test_an_unknown_fidelity_is_refused(oracle: AmpOracle) -> None:
    with pytest.raises(UnknownNameError, match="svm-50") as caught:
        oracle.evaluate([MAGAININ], Fidelity("svm-50", cost=1.0, level=1.0))
    assert "svm-10, svm-40, svm-100" in caught.value.hint


def test_the_environment_builds_peptides_of_the_lengths_asked_for() -> None:
    environment = problem(min_length=3, max_length=5).environment()
    assert environment.keys(environment.states(["KKK", "KKKKK"])) == ["KKK", "KKKKK"]
    for key in ("KK", "KKKKKK"):
        with pytest.raises(InvalidKeyError):
            environment.states([key])
    with pytest.raises(ConfigError, match="min_length is 6"):
        problem(min_length=6, max_length=5)


def test_describe_gives_charge_and_moment() -> None:
    describe = problem().describe
    assert describe is not None
    assert describe(MAGAININ) == "net charge +3.1, hydrophobic moment 0.69"


@pytest.mark.parametrize("package", ["modlamp.datasets", "sklearn"])
def test_a_missing_package_names_the_extra(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=package) as caught:
        problem()
    assert caught.value.hint.endswith("pip install -e '.[peptides]'")


def test_a_look_at_the_problem_loads_nothing_heavy() -> None:
    script = """
import sys
from oracles.amp import problem
problem().oracle.backends
sys.exit(str({"torch", "sklearn", "pandas"} & set(sys.modules) or "") or 0)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
