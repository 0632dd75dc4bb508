"""A fixed list of candidates instead of a search: every round chooses from what is in it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field
from torch import Generator

from mfal.envs.base import Environment
from mfal.envs.fidelity import FidelityEnvironment
from mfal.envs.keys import refused_keys
from mfal.errors import ConfigError
from mfal.gfn.base import LogReward, Proposals, TrainMetrics
from mfal.gfn.guided import random_states
from mfal.types import Fidelity, Query

_TRIES = 20  # how often n candidates are drawn before the space is taken for too small


class PoolSampler:
    """Proposes every candidate of a fixed list at every fidelity, and nothing else.

    Never asks for the reward: what a query is worth is for the selection of the batch to say.
    A campaign with this sampler stays within the list throughout: its initial design is drawn
    from it, and it is the set over which the target's maximum is thought of.

    Args:
        environment: Says which keys are candidates, and builds random ones.
        fidelities: The ladder.
        file: A text file with one key per line.
        n: Instead of a file, how many different candidates to draw, as `RandomSampler` does.
        seed: Seed of that draw; the campaign's own seed leaves the list as it is.

    Raises:
        ConfigError: There are both or neither of file and n, the file cannot be read, holds
            no key, a key twice or one that is no candidate, or there are fewer than n.
    """

    needs_reward = False

    def __init__(
        self,
        environment: Environment,
        fidelities: Sequence[Fidelity],
        *,
        file: str | None = None,
        n: Annotated[int, Field(gt=0)] | None = None,
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        if file is not None and n is None:
            keys = read_keys(Path(file), environment)
        elif n is not None and file is None:
            keys = draw_keys(environment, n, seed=seed)
        else:
            raise ConfigError(
                f"sampler 'pool': file is {file!r} and n is {n!r}",
                "give either file, one key per line, or n, how many to draw",
            )
        self.pool = tuple(keys)
        self._proposals = Proposals(tuple(Query(key, f.name) for key in keys for f in fidelities))

    def sample(
        self,
        log_reward: LogReward,
        n: int,
        *,
        seed: int,
        start: Sequence[str] = (),
        weights: bytes | None = None,
        on_step: Callable[[TrainMetrics], None] = lambda _: None,
    ) -> Proposals:
        """The whole list at every fidelity, whatever n is."""
        return self._proposals


def read_keys(path: Path, environment: Environment) -> list[str]:
    """The keys in a text file, one a line; blank lines are passed over.

    All are candidates, though maybe not as the environment writes them: see `check_keys`.

    Raises:
        ConfigError: naming the file, the line, and what would be right.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: cannot be read: {error}", "give a text file with one key per line"
        ) from error
    found: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        key = line.strip()
        if key in found:
            raise ConfigError(
                f"{path}, line {number}: {key!r} stands in line {found[key]}, too",
                "name every candidate once",
            )
        if key:
            found[key] = number
    if not found:
        raise ConfigError(f"{path}: holds no key", "write one key per line")
    for key, (what, right) in refused_keys(environment, list(found)).items():
        raise ConfigError(f"{path}, line {found[key]}: {what}", right)
    return list(found)


def draw_keys(environment: Environment, n: int, *, seed: int) -> list[str]:
    """N different candidates; see `mfal.gfn.guided.random_states`.

    Raises:
        ConfigError: if there are not that many.
    """
    candidates = FidelityEnvironment(environment, 1)
    generator = Generator().manual_seed(seed)
    found: dict[str, None] = {}
    for _ in range(_TRIES):
        found |= dict.fromkeys(candidates.keys(random_states(candidates, n, generator)))
        if len(found) >= n:
            return list(found)[:n]
    raise ConfigError(
        f"sampler 'pool': n is {n}, and {len(found)} different candidates were found",
        "set a smaller n: the problem's search space is small",
    )
