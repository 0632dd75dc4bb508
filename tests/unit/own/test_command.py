import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from mfal import Fidelity, Objective, external
from mfal.errors import ConfigError, MissingDependencyError, UnknownNameError
from mfal.own.answers import UnavailableError
from mfal.own.command import ExternalOracle
from mfal.types import Oracle
from tests.support import ROOT

LADDER = (Fidelity("low", 1, 0.5), Fidelity("high", 3, 1.0))
OBJECTIVES = (Objective("length", "letters", "max"), Objective("level", "", "max"))

# What the program says to a candidate depends on the candidate.
PROGRAM = """
import csv, sys, time
source, target, level, log = sys.argv[1:]
with open(source, newline="", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
with open(log, "a") as file:
    file.write(f"{len(rows)}\\n")
out = [["level", "error", "candidate", "length"]]
for row in rows:
    word, rung = row["candidate"], int(row["fidelity"] == "high")
    assert level == f"--{row['fidelity']}=" + "{it}"
    if word == "exit":
        print("about to end", file=sys.stderr)
        sys.exit("no licence")
    if word == "hang":
        time.sleep(60)
    if word == "nothing":
        sys.exit(0)
    if word == "columns":
        out = [["candidate", "value"]]
    elif word == "error":
        out.append([rung, "too hot", word, ""])
    elif word == "text":
        out.append([rung, "", word, "many"])
    elif word == "empty":
        out.append([rung, "", word, ""])
    elif word == "infinite":
        out.append([rung, "", word, "inf"])
    elif word == "twice":
        out += [[rung, "", word, 1], [rung, "", word, 2]]
    elif word != "missing":
        out.insert(1, [rung, "", word, len(word)])
with open(target, "w", newline="", encoding="utf-8") as file:
    csv.writer(file).writerows(out)
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log.txt"


@pytest.fixture
def program(tmp_path: Path, log: Path) -> ExternalOracle:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    command = [sys.executable, str(path), "{input}", "{output}", "--{fidelity}={it}", str(log)]
    return external(
        command=command,
        fidelities=LADDER,
        objectives=OBJECTIVES,
        version="2",
        timeout_seconds=2,
    )


def shell_script(folder: Path, text: str) -> Path:
    path = folder / "program.sh"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def asking(path: Path) -> ExternalOracle:
    return external(
        command=[str(path), "{input}", "{output}"],
        fidelities=LADDER,
        objectives=OBJECTIVES,
        timeout_seconds=10,
    )


def runs(log: Path) -> list[int]:
    return [int(line) for line in log.read_text().split()]


def test_values_come_back_in_order(program: ExternalOracle, log: Path) -> None:
    assert isinstance(program, Oracle)
    odd = ['a,"b\nc', " d ", "日本", "$(exit 1)", "a"]
    found = program.evaluate(odd, LADDER[1])
    assert [o.values for o in found] == [(float(len(key)), 1.0) for key in odd]
    assert [o.values for o in program.evaluate(["a"], LADDER[0])] == [(1.0, 0.0)]
    assert runs(log) == [5, 1]
    assert all(0 < o.seconds < 60 for o in found)
    assert program.evaluate([], LADDER[0]) == [] and runs(log) == [5, 1]
    assert program.backends["low"] == f"{Path(sys.executable).name} 2"


def test_a_program_that_knows_no_csv_reads_the_fidelity(tmp_path: Path) -> None:
    script = shell_script(
        tmp_path,
        'echo candidate,length,level >"$2"\n'
        "while IFS=, read -r key rung; do\n"
        '  [ "$rung" = fidelity ] || echo "$key,${#key},${#rung}" >>"$2"\n'
        'done <"$1"',
    )
    (found,) = asking(script).evaluate(["word"], LADDER[0])
    assert found.values == (4.0, 3.0)


def test_a_folder_that_cannot_be_removed_spoils_no_answer(tmp_path: Path) -> None:
    script = shell_script(
        tmp_path,
        'printf "candidate,length,level\\nword,4,1\\n" >"$2"\n'
        f'dirname "$2" >{tmp_path}/folder.txt\n'
        'mkdir "$(dirname "$2")/disk"\n'
        f'mount -t tmpfs tmpfs "$(dirname "$2")/disk" || touch {tmp_path}/not-mounted',
    )
    try:
        (found,) = asking(script).evaluate(["word"], LADDER[0])
    finally:
        folder = (tmp_path / "folder.txt").read_text().strip()
        subprocess.run(["umount", "--lazy", f"{folder}/disk"], capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)
    if (tmp_path / "not-mounted").exists():
        pytest.skip("only root may mount a disk, and not everywhere")
    assert found.values == (4.0, 1.0)


def test_a_bad_row_fails_its_candidate_only(program: ExternalOracle, log: Path) -> None:
    keys = ["error", "text", "empty", "infinite", "twice", "missing", "fine"]
    found = program.evaluate(keys, LADDER[0])
    assert [o.values or o.error for o in found] == [
        "too hot",
        "length: 'many' is no finite number",
        "length: '' is no finite number",
        "length: 'inf' is no finite number",
        "the program wrote 2 rows for it",
        "the program wrote no rows for it",
        (4.0, 0.0),
    ]
    assert runs(log) == [7]


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("exit", "ended with exit code 1: about to end\nno licence"),
        ("nothing", "the program wrote no output file"),
        ("columns", "the program's output has no column length, level; it has candidate, value"),
        ("\ud800", "cannot be written as UTF-8"),
    ],
)
def test_a_program_that_gives_up_is_asked_one_by_one(
    program: ExternalOracle, word: str, reason: str
) -> None:
    found = program.evaluate(["before", word, "after"], LADDER[0])
    assert [o.values for o in found] == [(6.0, 0.0), None, (5.0, 0.0)]
    assert found[1].error is not None and reason in found[1].error


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("true", "the program wrote no output file"),
        (
            r"printf 'candidate,length\n\351,1\n' > $2",
            "the program's output: output.csv: cannot be read: it is not UTF-8",
        ),
        (
            r"printf 'candidate;length\n' > $2",
            "the program's output: output.csv: its columns are separated by ';'",
        ),
        (
            'echo "cannot open $1 and $2" >&2; exit 3',
            "ended with exit code 3: cannot open input.csv and output.csv",
        ),
    ],
)
def test_a_reason_is_the_same_whatever_folder_the_files_lay_in(
    tmp_path: Path, script: str, reason: str
) -> None:
    path = shell_script(tmp_path, script)
    found = {o.error for o in asking(path).evaluate(["a", "bb", "ccc"], LADDER[0])}
    assert found in ({reason}, {f"{path} {reason}"})


def test_a_program_that_hangs_is_killed_with_what_it_started(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = tmp_path / "start.sh"
    script.write_text(f"#!/bin/sh\nsleep 300 &\necho $! > {pid}\nwait\n")
    script.chmod(0o755)
    made = external(
        command=[str(script), "{input}", "{output}"],
        fidelities=LADDER,
        objectives=OBJECTIVES,
        timeout_seconds=0.5,
    )
    (found,) = made.evaluate(["a"], LADDER[0])
    assert found.error == f"{script} had not ended after 0.5 s"
    child = int(pid.read_text())
    await_end([child])


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (None, "ended with exit code 127"),
        ("exit 127", "ended with exit code 127"),
        ("echo no licence >&2; exit 126", "ended with exit code 126: no licence"),
    ],
)
def test_a_program_that_cannot_be_run_fails_no_candidate(
    tmp_path: Path, script: str | None, reason: str
) -> None:
    path = shell_script(tmp_path, script or "exit 0")
    made = asking(path)
    if script is None:
        path.unlink()
    with pytest.raises(UnavailableError) as raised:
        made.evaluate(["a", "b"], LADDER[0])
    assert raised.value.message.startswith(f"{path} {reason}")


def test_a_folder_for_its_files_that_cannot_be_made_fails_no_candidate(
    program: ExternalOracle, monkeypatch: pytest.MonkeyPatch, log: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/nonexistent")
    with pytest.raises(UnavailableError, match=r"cannot be run: .*No such file") as raised:
        program.evaluate(["a", "b"], LADDER[0])
    assert sys.executable in raised.value.message and not log.exists()


@pytest.mark.parametrize(
    "start",
    [
        "sleep 300 & echo $!",
        # Like most that Python starts, it holds no file of whoever started it.
        f'{sys.executable} -c \'import subprocess as s; print(s.Popen(["sleep", "300"]).pid)\'',
    ],
    ids=["with its files", "without its files"],
)
def test_what_a_program_leaves_running_is_ended_and_fails_no_candidate(
    tmp_path: Path, start: str
) -> None:
    pid = tmp_path / "pid"
    answer = 'printf "candidate,length,level\\na,1,0\\n" > "$2"'
    made = asking(shell_script(tmp_path, f"{{ {start}; }} > {pid}\n{answer}"))
    (found,) = made.evaluate(["a"], LADDER[0])
    assert found.values == (1.0, 0.0)
    await_end([int(pid.read_text())])


def test_the_end_of_a_long_complaint_is_kept(tmp_path: Path) -> None:
    made = asking(shell_script(tmp_path, "seq 100000 >&2; exit 3"))
    (found,) = made.evaluate(["a"], LADDER[0])
    assert found.error is not None
    assert found.error.endswith("exit code 3: 99996\n99997\n99998\n99999\n100000")


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM])
def test_a_program_ends_with_the_process_that_asks_it(
    tmp_path: Path, signal_number: signal.Signals
) -> None:
    pids = tmp_path / "pids"
    script = tmp_path / "start.sh"
    # What it starts has stderr elsewhere, and so would not notice that nobody reads it.
    script.write_text(f"#!/bin/sh\nsleep 300 2>/dev/null &\necho $$ $! > {pids}\nwait\n")
    script.chmod(0o755)
    code = "import sys; from mfal.own.command import run; run([sys.argv[1]], 300)"
    worker = subprocess.Popen(
        [sys.executable, "-c", code, str(script)], env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    deadline = time.monotonic() + 60
    while not (pids.exists() and len(pids.read_text().split()) == 2):
        assert time.monotonic() < deadline and worker.poll() is None
        time.sleep(0.05)
    programs = [int(pid) for pid in pids.read_text().split()]
    assert all(map(is_running, programs))
    worker.send_signal(signal_number)
    worker.wait()
    await_end(programs)


def test_a_program_does_not_begin_if_whoever_asks_it_dies_while_starting_it(
    tmp_path: Path,
) -> None:
    begun = tmp_path / "begun"
    # It dies between having a process for the program, and having tied that to its own end.
    code = """
import os, signal, sys
from mfal.own import command
def die(line, group):
    print(group, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
command.end_with = die
command.run(["touch", sys.argv[1]], 300)
"""
    worker = subprocess.run(
        [sys.executable, "-c", code, str(begun)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    assert worker.returncode == -signal.SIGKILL
    await_end([int(worker.stdout)])
    assert not begun.exists()


def test_asking_leaves_no_file_open(program: ExternalOracle) -> None:
    program.evaluate(["a"], LADDER[0])
    before = psutil.Process().num_fds()
    program.evaluate(["a", "exit"], LADDER[0])
    assert psutil.Process().num_fds() == before


def await_end(pids: list[int]) -> None:
    deadline = time.monotonic() + 10
    while any(map(is_running, pids)):
        assert time.monotonic() < deadline, "a program goes on without whoever asked it"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat")
        return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")
    except ProcessLookupError:
        return False


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"command": ["true", "{input}"]}, ConfigError, "no argument with {output}"),
        ({"command": ["{input}", "{output}"]}, ConfigError, "no argument with {input}"),
        (
            {"command": ["no-such-program", "{input}", "{output}"]},
            MissingDependencyError,
            "there is no program 'no-such-program'",
        ),
        ({"timeout_seconds": 0.0}, ConfigError, "seconds above zero"),
        ({"timeout_seconds": 1e12}, ConfigError, "at most 2,592,000"),
        ({"fidelities": LADDER[:1]}, ConfigError, "levels"),
        ({"objectives": ()}, ConfigError, "objectives"),
    ],
)
def test_what_cannot_work_is_refused(options: Any, error: Any, message: str) -> None:
    given = {
        "command": ["true", "{input}", "{output}"],
        "fidelities": LADDER,
        "objectives": OBJECTIVES,
    }
    with pytest.raises(error, match=message):
        external(**given | options)


def test_an_unknown_fidelity_is_refused(program: ExternalOracle) -> None:
    with pytest.raises(UnknownNameError, match="low, high"):
        program.evaluate(["a"], Fidelity("middle", 1, 0.7))
