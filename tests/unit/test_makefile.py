"""What `make` makes of SET: each change as one word for mfal, whatever is in it."""

import os
import shlex
import shutil
import subprocess

import pytest

from tests.support import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


def make(text: str) -> subprocess.CompletedProcess[str]:
    # -n shows what would be run; flags are those of a `make test` around this.
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "-n", "round", f"SET={text}"]
    return subprocess.run(command, cwd=ROOT, env=plain, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("", []),
        ("budget.total=500 name=second", ["budget.total=500", "name=second"]),
        (
            "initial.queries={low: 3, high: 2} seeds=[0, 1]",
            ["initial.queries={low: 3, high: 2}", "seeds=[0, 1]"],
        ),
        ("""name='a b' x="c" y=$$HOME;ls""", ["name='a b'", 'x="c"', "y=$HOME;ls"]),
    ],
)
def test_a_value_may_hold_spaces_and_reaches_mfal_as_it_is(text: str, changes: list[str]) -> None:
    words = shlex.split(make(text).stdout.splitlines()[-1])
    assert words[1:5] == ["round", "configs/dna.yaml", "--rounds", "1"]
    assert words[5::2] == ["--set"] * len(changes)
    assert [word.strip() for word in words[6::2]] == changes  # YAML drops spaces at an end


def test_what_is_no_change_is_refused() -> None:
    done = make("seed name=b")
    assert done.returncode != 0 and "seed is not of the form a.b=c" in done.stderr
