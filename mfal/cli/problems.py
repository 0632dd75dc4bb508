"""Commands for problems of one's own: check one, begin one, weigh its ladder."""

from pathlib import Path
from typing import Annotated

import typer

from mfal.cli.campaigns import AsJson
from mfal.cli.which import Folder, Overrides, Which, chosen
from mfal.folder import CONFIGS
from mfal.sections import MONTH

Seed = Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Of everything that is drawn.")]

new = typer.Typer(help="Write files to start from.", no_args_is_help=True)


def check(
    problem: Annotated[
        str,
        typer.Argument(
            help="./my_problem.py:problem, package.module:attribute or a name.",
            show_default=False,
        ),
    ],
    candidates: Annotated[
        int | None,
        typer.Option(
            "-n",
            min=3,
            help="Candidates to ask the oracle about: 8 random ones, or all of --keys.",
            show_default=False,
        ),
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(help="Ask about the candidates of this file, one a line.", show_default=False),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, max=MONTH, help="Seconds that a candidate may take.")
    ] = 60.0,
    seed: Seed = 0,
    options: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", help="An option of the problem: a=b. May be given again."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Hold a problem to the laws of environments and oracles; exit code 1 if one is broken."""
    from mfal.cli.check import check_in_terminal

    passed = check_in_terminal(
        problem,
        options or (),
        n=candidates,
        seed=seed,
        file=keys,
        timeout=timeout,
        as_json=as_json,
    )
    if not passed:
        raise typer.Exit(1)


@new.command("problem")
def new_problem(
    name: Annotated[
        str, typer.Argument(help="Lower case, digits and underscores.", show_default=False)
    ],
) -> None:
    """Write NAME.py, a problem that works, and NAME.yaml, a campaign on it."""
    from mfal.cli.new_problem import new_problem as write

    code, campaign = write(name, Path())
    typer.echo(
        f"wrote {code} and {campaign}. Change them to your own, then:\n"
        f"  mfal check ./{code}:problem\n"
        f"  mfal ladder {campaign}\n"
        f"  mfal round {campaign}"
    )


def ladder(
    which: Which,
    candidates: Annotated[
        int, typer.Option("-n", min=10, help="Random candidates to ask about.")
    ] = 100,
    best: Annotated[
        int, typer.Option(min=0, help="Of the campaign's ledger, the best to ask about as well.")
    ] = 20,
    configs: Folder = CONFIGS,
    overrides: Overrides = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the ladder into this file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask every fidelity about the same candidates: is each worth its cost? Spends no budget."""
    from mfal.cli.ladder import ladder_in_terminal

    config, source = chosen(which, configs, overrides)
    ladder_in_terminal(config, source, n=candidates, best=best, plot=plot, as_json=as_json)
