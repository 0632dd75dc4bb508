"""The command line: a thin layer that parses, calls the library, and shows."""

import gc
import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mfal.cli import problems
from mfal.cli.campaigns import NoPrefect, register
from mfal.cli.interrupts import interrupt_waits
from mfal.cli.runner import chosen_runner
from mfal.cli.which import Folder, Overrides, Which, chosen
from mfal.config import config_schema
from mfal.errors import MfalError
from mfal.folder import CONFIGS

app = typer.Typer(
    help="Multi-fidelity active learning: the best and most diverse candidates for a budget.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command("round")
def round_(
    which: Which,
    rounds: Annotated[int, typer.Option(min=1, help="How many rounds to run.")] = 1,
    configs: Folder = CONFIGS,
    overrides: Overrides = None,
    no_prefect: NoPrefect = False,
) -> None:
    """Run rounds: the initial design first where there is none, unfinished ones before new ones."""
    _run(which, rounds, configs, overrides, no_prefect)


@app.command()
def campaign(
    which: Which,
    configs: Folder = CONFIGS,
    overrides: Overrides = None,
    no_prefect: NoPrefect = False,
) -> None:
    """Run rounds until the budget is spent."""
    _run(which, None, configs, overrides, no_prefect)


@app.command()
def report(
    which: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG|NAME",
            help="A campaign by its YAML file or its name, or a comparison by its YAML file.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write into; by default report/ beside the ledger."),
    ] = None,
    published: Annotated[
        Path | None,
        typer.Option(
            help="CSV file of published curves to lay over a comparison, with the columns "
            "method, cost, value and source."
        ),
    ] = None,
    configs: Folder = CONFIGS,
    overrides: Overrides = None,
) -> None:
    """Write what a campaign or a comparison has found as one HTML file; runs nothing."""
    from mfal.cli.report import report_in_terminal

    report_in_terminal(which, configs, overrides or (), out, published)


@app.command()
def compare(
    comparison: Annotated[
        Path, typer.Argument(help="YAML file of the comparison.", show_default=False)
    ],
    overrides: Overrides = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Runs at once, instead of what the file says.")
    ] = None,
    show: Annotated[
        bool, typer.Option("--show", help="Show what there is so far, and run nothing.")
    ] = False,
) -> None:
    """Run several methods and seeds on one problem; again, to go on where it was stopped."""
    with interrupt_waits():
        from mfal.cli.compare import compare_in_terminal

    compare_in_terminal(comparison, overrides or (), processes, run=not show)


@app.command("import")
def import_(
    which: Which,
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV or parquet file with the columns candidate, fidelity and the objective's "
            "name; where wanted error and cost.",
            show_default=False,
        ),
    ],
    configs: Folder = CONFIGS,
    overrides: Overrides = None,
) -> None:
    """Begin with observations of your own, or bring the measurements a round waits for.

    All rows are imported, or none and what is wrong with them is said.
    """
    from mfal.cli.rounds import import_in_terminal

    config, source = chosen(which, configs, overrides)
    import_in_terminal(config, file, source)


@app.command()
def verify(
    exercise: Annotated[
        str,
        typer.Argument(
            help="tetris, tetris-4x4, hypergrid, sparse-hypergrid, dna6, or ./file.py:exercise"
        ),
    ] = "tetris",
    loss: Annotated[str, typer.Option(help="vargrad, tb, db, subtb or fm.")] = "vargrad",
    trajectories: Annotated[
        int | None,
        typer.Option(min=1, help="Fresh trajectories; by default the exercise's own number."),
    ] = None,
    seed: problems.Seed = 0,
    epsilon: Annotated[
        float, typer.Option(min=0, max=1, help="Share of random actions in training.")
    ] = 0.05,
    random_actions: Annotated[
        float,
        typer.Option(min=0, max=1, help="Tell the modes' share for this share of random actions."),
    ] = 0.1,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", help="Change a setting: train.x=c, policy.x=c."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the verdict into this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Train a GFlowNet on a problem with a known answer, and say how close it came."""
    from mfal.cli.verify import verify_in_terminal

    verify_in_terminal(
        exercise,
        [f"train.loss={loss}", f"train.epsilon={epsilon}", *(overrides or ())],
        trajectories=trajectories,
        seed=seed,
        random_actions=random_actions,
        plot=plot,
        as_json=as_json,
    )


app.command()(problems.check)
app.command()(problems.ladder)
app.add_typer(problems.new, name="new")
register(app)


@app.command()
def schema() -> None:
    """Print the JSON schema of a configuration, for editors and forms."""
    typer.echo(json.dumps(config_schema(), indent=2))


@app.command()
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as installed

    typer.echo(installed("mfal"))


def _run(
    which: str, rounds: int | None, configs: Path, overrides: list[str] | None, no_prefect: bool
) -> None:
    config, source = chosen(which, configs, overrides)
    runner = chosen_runner(no_prefect=no_prefect)  # before torch: a server starts meanwhile
    with interrupt_waits():
        from mfal.cli.rounds import run_in_terminal

    try:
        run_in_terminal(config, rounds, source, runner)
    except KeyboardInterrupt:
        typer.echo("stopped: what was answered is recorded, and the same command goes on", err=True)
        raise


def main() -> None:
    """Entry point: a user's error is a message and exit code 2, never a traceback."""
    try:
        app()
    except MfalError as error:
        console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
        console.print(f"error: {error.message}", style="bold red")
        if error.hint:
            console.print(f"hint:  {error.hint}")
        sys.exit(2)
    finally:
        gc.freeze()  # the process ends: to look through torch's objects once more takes a second
