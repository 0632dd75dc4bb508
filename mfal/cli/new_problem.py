"""Files to start a problem of one's own from."""

import keyword
import re
from importlib.util import find_spec
from pathlib import Path

from mfal.errors import ConfigError

PROBLEM = '''"""NAME: a problem of your own. Check it with `mfal check ./NAME.py:problem`."""

from mfal import Fidelity, Objective, Problem, oracle


# The ladder by rising level. Costs are in units of your own: what a query is worth to you.
@oracle(
    fidelities=[Fidelity("rough", cost=1, level=0.5), Fidelity("exact", cost=5, level=1.0)],
    objectives=[Objective("agreement", "places", "max")],
    version="1",  # raise it when the numbers change: a ledger never mixes two versions
)
def score(key: str, fidelity: Fidelity) -> float:
    """How many places of a word agree with the word read backwards.

    Put your own measure here. Whatever it raises is a failed query with that reason.
    """
    places = 4 if fidelity.name == "rough" else len(key) // 2
    return sum(key[i] == key[-1 - i] for i in range(places))


def problem() -> Problem:
    """What to search, and whom to ask."""

    def environment():
        # How a candidate is built. Imported here: it loads torch, which the oracle can do without.
        from mfal.envs.sequence import SequenceEnvironment

        return SequenceEnvironment(alphabet="ABCD", length=12)

    return Problem("NAME", score, environment)
'''

CAMPAIGN = """# Run a round with `mfal round NAME.yaml`; `mfal schema` says what else can be set.
name: TITLE
problem: ./NAME.py:problem
budget: {total: 200}
initial: {queries: {rough: 20, exact: 10}}
batch: {cost: 30}
# What the model sees of a candidate: counts of pairs of letters.
features: [{name: kmers, options: {alphabet: ABCD, k: 2}}]
"""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def new_problem(name: str, folder: Path) -> tuple[Path, Path]:
    """Write NAME.py and NAME.yaml, which work as they are, and give their paths.

    Raises:
        ConfigError: for a name that is none, or where one of the files exists.
    """
    if not _NAME.fullmatch(name) or name.endswith("_") or keyword.iskeyword(name):
        raise ConfigError(
            f"{name!r} is no name for a problem's file",
            "use lower-case letters, digits and underscores, a letter first, e.g. my_problem",
        )
    if find_spec(name) is not None and not (folder / f"{name}.py").exists():
        raise ConfigError(
            f"there is a module {name!r} already, which {name}.py would hide",
            f"choose another name, e.g. my_{name}",
        )
    texts = {
        folder / f"{name}.py": PROBLEM.replace("NAME", name),
        folder / f"{name}.yaml": CAMPAIGN.replace("NAME", name).replace(
            "TITLE", name.replace("_", "-")
        ),
    }
    there = [str(path) for path in texts if path.exists()]
    if there:
        raise ConfigError(f"{' and '.join(there)}: exists", "choose another name, or move it away")
    for path, text in texts.items():
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            message = f"{path}: cannot be written: {error}"
            raise ConfigError(message, "go to a folder that may be written") from error
    code, campaign = texts
    return code, campaign
