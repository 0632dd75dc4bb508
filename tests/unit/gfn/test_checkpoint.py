import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from mfal.gfn.checkpoint import CheckpointError, from_bytes, read_checkpoint, to_bytes
from mfal.gfn.exact import exact_distribution
from mfal.gfn.train import Trainer
from tests.unit.envs.grid import GridEnvironment
from tests.unit.gfn.problems import corners, ladder
from tests.unit.gfn.test_contexts import conditional
from tests.unit.gfn.training import trainer

GRID = ladder(4)
REWARD = corners(GridEnvironment(side=4))


def on_grid(**changes: Any) -> Trainer:
    settings = {"steps": 40, "batch_size": 16, "hidden": 32, "guided_every": 7, "guided_size": 30}
    return trainer(GRID, REWARD, **{**settings, **changes})


def weights(trained: Trainer) -> list[torch.Tensor]:
    return [*trained.agent.policy.state_dict().values(), *trained.loss.state_dict().values()]


def assert_same(first: Trainer, second: Trainer) -> None:
    """Bit by bit."""
    assert first.steps_done == second.steps_done and first.history == second.history
    assert torch.equal(first.buffer.states, second.buffer.states)
    assert torch.equal(first.buffer.log_rewards, second.buffer.log_rewards)
    for one, other in zip(weights(first), weights(second), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "vargrad"},
        {"loss": "tb"},
        {"loss": "subtb", "backward": "learnt"},
        {"loss": "fm", "replay": "prioritised", "capacity": 12},
        {"loss": "tb", "guide": "local", "temperature": 1.5},
    ],
    ids=lambda changes: " ".join(map(str, changes.values())),
)
def test_training_goes_on_as_if_it_had_never_stopped(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint"
    whole, half = on_grid(**changes), on_grid(**changes)
    whole.run()
    half.run(steps=20)
    half.save(path)
    half.run()  # Going on changes nothing in the file.
    rest = on_grid(**changes, seed=5)
    rest.load(path)
    assert rest.steps_done == 20 and [line.step for line in rest.history] == [10, 20]
    rest.run()
    assert_same(rest, whole)
    assert_same(half, whole)


@pytest.mark.parametrize("loss", ["tb", "db"])
def test_training_under_contexts_goes_on_as_if_it_had_never_stopped(
    loss: Any, tmp_path: Path
) -> None:
    whole, half, rest = (conditional(loss, steps=20, seed=seed) for seed in (0, 0, 1))
    whole.run()
    half.run(steps=9)
    half.save(tmp_path / "checkpoint")
    rest.load(tmp_path / "checkpoint")
    rest.run()
    assert_same(rest, whole)


def test_a_checkpoint_of_untrained_weights_is_one_as_well(tmp_path: Path) -> None:
    first, second = on_grid(seed=1), on_grid(seed=2)
    first.save(tmp_path / "checkpoint")
    second.load(tmp_path / "checkpoint")
    assert len(second.buffer) == 0 and second.steps_done == 0
    first.run(), second.run()
    assert_same(first, second)


def saved(tmp_path: Path, **changes: Any) -> Path:
    done, path = on_grid(steps=5, **changes), tmp_path / "checkpoint"
    done.run()
    done.save(path)
    return path


def refused(path: Path, **changes: Any) -> CheckpointError:
    """The error of a trainer, which is left as it was."""
    fresh = on_grid(**{"steps": 5, **changes})
    before, state = [w.clone() for w in weights(fresh)], fresh._generator.get_state()
    with pytest.raises(CheckpointError) as raised:
        fresh.load(path)
    assert all(torch.equal(*pair) for pair in zip(weights(fresh), before, strict=True))
    assert torch.equal(fresh._generator.get_state(), state)
    assert fresh.steps_done == 0 and len(fresh.buffer) == 0
    assert raised.value.hint
    return raised.value


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    error = refused(saved(tmp_path), steps=6, learning_rate=0.01)
    assert "steps = 6 (was 5)" in error.message
    assert "learning_rate = 0.01 (was 0.005)" in error.message
    assert "epsilon" not in error.message


def test_another_policy_is_refused_by_its_weights(tmp_path: Path) -> None:
    error = refused(saved(tmp_path), hidden=33)
    assert "another policy" in error.message and "first_bias" in error.message


@pytest.mark.parametrize("kept", [0, 1, 100, -1])
def test_part_of_a_file_is_refused(kept: int, tmp_path: Path) -> None:
    path = saved(tmp_path)
    path.write_bytes(path.read_bytes()[:kept])
    assert "is not a checkpoint" in refused(path).message


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other"
    assert f"cannot read {path}" in refused(path).message
    assert "cannot read" in refused(tmp_path).message
    path.write_text("no checkpoint at all")
    assert "is not a checkpoint" in refused(path).message
    path.write_bytes(to_bytes({"a": torch.zeros(3)}))
    assert "something else" in refused(path).message


class Malicious:
    """Writes a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.trace, "was here")


@pytest.mark.parametrize("inside", [False, True])
def test_code_in_a_checkpoint_is_refused_and_not_run(inside: bool, tmp_path: Path) -> None:
    trace, path = tmp_path / "trace", saved(tmp_path)
    bad: Any = Malicious(trace)
    if inside:
        state = from_bytes(path.read_bytes(), "")
        torch.save({**state, "history": bad}, path)
    else:
        path.write_bytes(pickle.dumps(bad, protocol=2))
    assert "is not a checkpoint" in refused(path).message
    assert not trace.exists()
    # The file does carry code, which a trusting reader runs.
    torch.load(path, weights_only=False) if inside else pickle.loads(path.read_bytes())
    assert trace.exists()


def test_an_interrupted_save_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, path = on_grid(), tmp_path / "checkpoint"
    done.run(steps=20)
    done.save(path)
    before = path.read_bytes()
    done.run(steps=10)

    def fail(_: int) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="no space left"):
            done.save(path)
    assert path.read_bytes() == before
    rest, whole = on_grid(), on_grid()
    rest.load(path)
    rest.run(), whole.run()
    assert_same(rest, whole)
    done.save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint"]


def test_bytes_survive_the_round_trip() -> None:
    state = {"a": torch.arange(3), "b": {"c": [1, 2.5, "x", None, True]}}
    found = from_bytes(to_bytes(state), "here")
    assert torch.equal(found.pop("a"), state.pop("a")) and found == state
    with pytest.raises(CheckpointError, match="this file is not a checkpoint"):
        from_bytes(b"garbage", "this file")


def test_a_file_is_read_whatever_it_was_trained_for(tmp_path: Path) -> None:
    """Nothing but what is asked to be the same has to be."""
    path = saved(tmp_path)
    state = read_checkpoint(path, like=on_grid(steps=9)._state(), same=())
    assert state["settings"]["steps"] == 5
    other = on_grid(steps=9)
    other.agent.policy.load_state_dict(state["policy"])
    assert len(exact_distribution(other.agent)[0]) == 32
