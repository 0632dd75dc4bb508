"""A program as an oracle: it reads a CSV file of candidates and writes one of values."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

from mfal.errors import ConfigError, MfalError, MissingDependencyError, UnknownNameError
from mfal.own.answers import UnavailableError, check_declaration, engines, failure, one_by_one
from mfal.process import end_with
from mfal.sections import MONTH
from mfal.tabular import Sheet, csv_text, finite_number, read_sheet
from mfal.types import Fidelity, Objective, Outcome

# A shell that waits for a line before it becomes the program its arguments name. If whoever
# started it dies first, there is none, and the program never begins.
_WHEN_TOLD = ("/bin/sh", "-c", 'read -r _ && exec "$@" </dev/null', "sh")
_NOT_RUN = (126, 127)  # exit codes of a shell for a program that it cannot run, or find
_STDERR_BYTES = 10_000
_STDERR_LINES = 5
_STDERR_LETTERS = 500


def external(
    *,
    command: Sequence[str],
    fidelities: Sequence[Fidelity],
    objectives: Sequence[Objective],
    version: str = "1",
    timeout_seconds: float = 50.0,
    deterministic: bool = True,
) -> "ExternalOracle":
    """An oracle that runs a program for each chunk of candidates; no shell reads its arguments.

    The program reads a CSV file with the columns ``candidate`` and ``fidelity``, and writes one
    with ``candidate`` and a column for each objective, by name, in any order of rows. A column
    ``error`` says why a candidate has no values. A row that is missing, that stands twice or
    holds no finite number is a failed outcome of that candidate. A program that ends with
    another exit code than 0, takes too long, or writes no such file, is asked again one
    candidate at a time, and what fails then has failed, the end of its stderr being the reason.
    Where it is gone or cannot be run (to a shell, the exit codes 126 and 127), or no folder can be
    made for its files, no candidate has failed; see `UnavailableError`.

    Args:
        command: The program and its arguments. ``{input}`` and ``{output}`` in an argument
            stand for the paths of the two files, and ``{fidelity}`` for the fidelity's name.
        version: Of the program. Answers of two versions never mix in a ledger.
        timeout_seconds: Longest that one run may take; it and what it started are killed then.
            What it leaves running in its process group when it ends by itself is ended, too.
            Keep it below the campaign's ``scoring.timeout_seconds``: a worker that is stopped
            takes its program with it, and with that what it said.
        deterministic: Whether it gives the same answer whenever it is asked the same.

    Raises:
        ConfigError: for a command without its two files, or a ladder that is none.
        MissingDependencyError: if there is no such program.
    """
    for needed in ("{input}", "{output}"):
        if not any(needed in argument for argument in command[1:]):
            raise ConfigError(
                f"the command {' '.join(command)!r} has no argument with {needed}",
                'e.g. command=["./score", "{input}", "{output}", "--level={fidelity}"]',
            )
    if shutil.which(command[0]) is None:
        raise MissingDependencyError(
            f"there is no program {command[0]!r}",
            f"install it or give its path; paths start where you run, now {Path.cwd()}",
        )
    if not 0 < timeout_seconds <= MONTH:
        raise ConfigError(
            f"timeout_seconds is {timeout_seconds!r}",
            f"give seconds above zero, at most {MONTH:,.0f}, which is 30 days",
        )
    check_declaration(command[0], fidelities, objectives)
    engine = f"{Path(command[0]).name} {version}"
    return ExternalOracle(
        tuple(command),
        tuple(fidelities),
        tuple(objectives),
        engines(fidelities, engine),
        timeout_seconds,
        deterministic,
    )


class CommandError(MfalError):
    """A program that gave no usable answer at all."""


class ExternalOracle:
    """Runs a program for its answers; see `external`."""

    def __init__(
        self,
        command: tuple[str, ...],
        fidelities: tuple[Fidelity, ...],
        objectives: tuple[Objective, ...],
        backends: Mapping[str, str],
        timeout_seconds: float,
        deterministic: bool,
    ) -> None:
        self._command = command
        self._timeout = timeout_seconds
        self.fidelities = fidelities
        self.objectives = objectives
        self.backends = backends
        self.deterministic = deterministic

    def evaluate(self, keys: Sequence[str], fidelity: Fidelity) -> list[Outcome]:
        """One outcome per key, in order."""
        if fidelity.name not in self.backends:
            raise UnknownNameError(
                f"fidelity {fidelity.name!r} is not one of the program's",
                f"choose from {', '.join(self.backends)}",
            )
        return self._answer(keys, fidelity.name)

    def _answer(self, keys: Sequence[str], fidelity: str) -> list[Outcome]:
        if not keys:
            return []
        started = time.perf_counter()
        try:
            sheet = self._ask(keys, fidelity)
        except OSError as error:  # no folder, no room, no process
            raise UnavailableError(f"{self._command[0]} cannot be run: {error}") from error
        except CommandError as error:
            if len(keys) > 1:
                return one_by_one(lambda one: self._answer(one, fidelity), keys)
            return [failure(str(error), time.perf_counter() - started)]
        seconds = (time.perf_counter() - started) / len(keys)
        return [self._outcome(key, sheet, seconds) for key in keys]

    def _ask(self, keys: Sequence[str], fidelity: str) -> Sheet:
        """The table that the program wrote, with all the columns that it has to have."""
        # What a program leaves there, and nobody here may remove, spoils no answer.
        with TemporaryDirectory(prefix="mfal-", ignore_cleanup_errors=True) as folder:
            given, wanted = Path(folder) / "input.csv", Path(folder) / "output.csv"
            try:
                rows = [
                    ("candidate", "fidelity"),
                    *((key, fidelity) for key in dict.fromkeys(keys)),
                ]
                given.write_text(csv_text(rows), encoding="utf-8", newline="")
            except ValueError as error:  # half a surrogate pair, say
                raise CommandError(f"the candidate cannot be written as UTF-8: {error}") from error
            places = {"{input}": str(given), "{output}": str(wanted), "{fidelity}": fidelity}
            try:
                run([_filled(argument, places) for argument in self._command], self._timeout)
                sheet = _output(wanted)
            except CommandError as error:  # without the folder, or no reason would occur twice
                raise CommandError(error.message.replace(f"{folder}{os.sep}", "")) from error
        missing = {"candidate", *(o.name for o in self.objectives)} - {*sheet.columns}
        if missing:
            raise CommandError(
                f"the program's output has no column {', '.join(sorted(missing))}; "
                f"it has {', '.join(sheet.columns) or 'none'}"
            )
        return sheet

    def _outcome(self, key: str, sheet: Sheet, seconds: float) -> Outcome:
        rows = [cells for _, cells in sheet.rows if cells["candidate"] == key]
        if len(rows) != 1:
            return failure(f"the program wrote {len(rows) or 'no'} rows for it", seconds)
        if rows[0].get("error") is not None:
            return failure(str(rows[0]["error"]), seconds)
        values = []
        for o in self.objectives:
            value = finite_number(rows[0][o.name])
            if value is None:
                return failure(f"{o.name}: {rows[0][o.name] or ''!r} is no finite number", seconds)
            values.append(value)
        return Outcome(tuple(values), None, seconds)


def _output(path: Path) -> Sheet:
    """The table that a program wrote."""
    if not path.exists():
        raise CommandError("the program wrote no output file")
    try:
        return read_sheet(path)
    except MfalError as error:
        raise CommandError(f"the program's output: {error.message}") from error


def run(command: Sequence[str], timeout: float) -> None:
    """Run a program to its end.

    It ends with this process, and so does whatever it starts that stays in its process group.

    Raises:
        CommandError: if that does not come in time, with code 0.
        UnavailableError, OSError: if the program cannot be run.
    """
    # Not a pipe: what a program leaves running would hold it open.
    with _lifeline() as line, TemporaryFile(prefix="mfal-") as stderr:
        with subprocess.Popen(
            [*_WHEN_TOLD, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            pass_fds=[line],
            start_new_session=True,  # so that what it starts ends with it
        ) as process:
            end_with(line, process.pid)
            _finish(process, command[0], timeout)
        if process.returncode != 0:
            ended = f"{command[0]} ended with exit code {process.returncode}"
            said = _last_words(stderr)
            error = UnavailableError if process.returncode in _NOT_RUN else CommandError
            raise error(f"{ended}: {said}" if said else ended)


def _last_words(stderr: IO[bytes]) -> str:
    """The end of what was written to a file."""
    stderr.seek(max(0, stderr.seek(0, os.SEEK_END) - _STDERR_BYTES))
    lines = stderr.read().decode(errors="replace").strip().splitlines()[-_STDERR_LINES:]
    return "\n".join(lines)[-_STDERR_LETTERS:]


@contextmanager
def _lifeline() -> Iterator[int]:
    """The end for reading of a pipe whose other end only this process holds."""
    line, held = os.pipe()
    try:
        yield line
    finally:
        os.close(held)  # first: with no reader left nobody would be told, see `end_with`
        os.close(line)


def _finish(process: "subprocess.Popen[bytes]", name: str, timeout: float) -> None:
    """Tell a program to begin, and wait for its end; it is killed if that does not come in time."""
    try:
        process.communicate(b"\n", timeout=timeout)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        if isinstance(error, subprocess.TimeoutExpired):
            raise CommandError(f"{name} had not ended after {timeout:g} s") from error
        raise


def _filled(argument: str, places: Mapping[str, str]) -> str:
    for name, value in places.items():
        argument = argument.replace(name, value)
    return argument
