"""Names to code: built-in names, ``package.module:attribute`` and ``./file.py:attribute``."""

import importlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Callable, Collection
from dataclasses import fields, is_dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from mfal.config_errors import spelling_hint
from mfal.errors import ConfigError, MissingDependencyError, UnknownNameError
from mfal.sections import Component
from mfal.user_code import user_code

BUILTIN: dict[str, dict[str, str]] = {
    # Whatever runs campaigns for the command line. The library does not import Prefect.
    "runner": {
        "prefect": "flows.local:Flows",
    },
    "problem": {
        "dna": "oracles.dna:problem",
        "amp": "oracles.amp:problem",
        "branin": "oracles.branin:problem",
        "hartmann": "oracles.hartmann:problem",
        "ehrlich": "oracles.ehrlich:problem",
        "ip": "oracles.molecules:ip",
        "ea": "oracles.molecules:ea",
    },
    "exercise": {
        "tetris": "mfal.verification.exercises:tetris",
        "tetris-4x4": "mfal.verification.exercises:tetris_4x4",
        "hypergrid": "mfal.verification.exercises:hypergrid",
        "sparse-hypergrid": "mfal.verification.exercises:sparse_hypergrid",
        "dna6": "mfal.verification.exercises:dna6",
    },
    "features": {
        "kmers": "mfal.features.kmers:KmerCounts",
        "stems": "mfal.features.stems:StemSummary",
        "morgan": "mfal.features.morgan:MorganCounts",
        "peptides": "mfal.features.peptides:PeptideDescriptors",
        "coordinates": "mfal.features.coordinates:Coordinates",
    },
    "surrogate": {
        "gp": "mfal.surrogate.gp:MultiFidelityGP",
        "deep-kernel": "mfal.surrogate.deep:DeepKernelGP",
    },
    "acquisition": {
        "gibbon": "mfal.acquisition.gibbon:Gibbon",
        "mes": "mfal.acquisition.mes:MaxValueEntropy",
        "ei": "mfal.acquisition.ei:ExpectedImprovement",
        "ucb": "mfal.acquisition.ucb:UpperBound",
        "thompson": "mfal.acquisition.thompson:Thompson",
    },
    "similarity": {
        "edit": "mfal.similarity:EditSimilarity",
        "grid": "mfal.similarity:GridSimilarity",
        "identity": "mfal.similarity:AlignmentIdentity",
        "tanimoto": "mfal.similarity:Tanimoto",
    },
    "sampler": {
        "gflownet": "mfal.gfn.sampler:GFlowNetSampler",
        "random": "mfal.gfn.baselines:RandomSampler",
        "evolution": "mfal.gfn.evolution:EvolutionSampler",
        "breeding": "mfal.gfn.evolution:BreedingSampler",
        "pool": "mfal.gfn.pool:PoolSampler",
    },
}

_IN_WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}

# Kind -> the group of entry points in which installed packages offer theirs.
ENTRY_POINTS = {"problem": "mfal.problems"}


def build(kind: str, component: Component, **given: object) -> Any:  # noqa: ANN401
    """The part that `component` names, called with what the campaign gives and its options.

    Args:
        kind: One of the keys of `BUILTIN`.
        given: What the campaign itself passes to such a part, if it takes it.

    Raises:
        UnknownNameError: for a name that does not exist or an option that is not taken.
        ConfigError: for an option of the wrong type or out of range, and for whatever a part of
            a user's own raises.
    """
    factory, options = check(kind, component, given)
    accepted = inspect.signature(factory).parameters
    options |= {k: v for k, v in given.items() if k in accepted}
    if component.name in BUILTIN[kind]:
        return factory(**options)
    with user_code(f"{kind} {component.name!r}", "mend its code, or give it other options"):
        return factory(**options)


def check(
    kind: str, component: Component, given: Collection[str] = ()
) -> tuple[Callable[..., Any], dict[str, Any]]:
    """What `component` names, and its checked options; raises as `build` does, and calls nothing.

    Args:
        given: Names of the arguments that the campaign itself will pass.
    """
    factory = resolve(kind, component.name)
    accepted = _accepted_options(factory, given)
    unknown = sorted(set(component.options) - set(accepted))
    if unknown:
        raise UnknownNameError(
            f"{kind} {component.name!r}: has no option {', '.join(map(repr, unknown))}",
            f"it takes {', '.join(accepted)}" if accepted else "it takes no options",
        )
    missing = [
        p.name
        for p in inspect.signature(factory).parameters.values()
        if p.name in accepted and p.default is p.empty and p.name not in component.options
    ]
    if missing:
        several = "s" if len(missing) > 1 else ""
        options = ", ".join(f"{name}: …" for name in missing)
        raise ConfigError(
            f"{kind} {component.name!r}: needs the option{several} {', '.join(missing)}",
            f"write {{name: {component.name}, options: {{{options}}}}}",
        )
    return factory, _checked_options(kind, component, factory)


def resolve(kind: str, name: str) -> Callable[..., Any]:
    """The callable behind a name; raises UnknownNameError saying what exists."""
    installed = _installed(kind)
    target = BUILTIN[kind].get(name) or installed.get(name, name)
    module_name, separator, attribute = target.rpartition(":")
    if name.endswith(".py"):
        raise UnknownNameError(
            f"{kind} {name!r} is a file, and what is meant of it is not said",
            f"name it after a colon, as in {name}:{kind}",
        )
    if (
        not separator
        or not module_name
        or module_name.startswith(".") > module_name.endswith(".py")
    ):
        raise UnknownNameError(
            f"{kind} {name!r} is not known",
            f"built in: {', '.join(sorted(BUILTIN[kind]))}; "
            + (f"installed: {', '.join(sorted(installed))}; " if installed else "")
            + "your own: 'package.module:attribute' or './file.py:attribute'",
        )
    module = _load_file(module_name) if module_name.endswith(".py") else _load_module(module_name)
    try:
        found = getattr(module, attribute)
    except AttributeError as error:
        public = sorted(n for n, v in vars(module).items() if callable(v) and n[0] != "_")
        raise UnknownNameError(
            f"{kind} {name!r}: {module_name} has no {attribute!r}",
            f"it has {', '.join(public) or 'nothing that can be called'}",
        ) from error
    if not callable(found):
        raise UnknownNameError(
            f"{kind} {name!r} is a {type(found).__name__}", "name a function or a class"
        )
    return found  # type: ignore[no-any-return]


def _installed(kind: str) -> dict[str, str]:
    """Names that installed packages offer -> what they stand for.

    Raises:
        ConfigError: where two packages offer the same name, or one a built-in name.
    """
    if kind not in ENTRY_POINTS:
        return {}  # to look through all packages takes time
    found: dict[str, str] = {}
    for entry in entry_points(group=ENTRY_POINTS[kind]):
        other = BUILTIN[kind].get(entry.name) or found.get(entry.name, entry.value)
        if other != entry.value:
            raise ConfigError(
                f"the {kind} {entry.name!r} is offered twice, as {other} and as {entry.value}",
                "uninstall one of the packages, or have it choose another name",
            )
        found[entry.name] = entry.value
    return found


def _load_module(name: str) -> ModuleType:
    with user_code(name, "mend the module"):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            missing = error.name or ""
            if name == missing or name.startswith(f"{missing}."):
                raise UnknownNameError(
                    f"there is no module {name!r}", "check the spelling, or install its package"
                ) from error
            raise MissingDependencyError(
                f"{name} needs the package {missing!r}, which is not installed",
                f"pip install {missing.partition('.')[0]}",
            ) from error


def _load_file(name: str) -> ModuleType:
    path = Path(name).resolve()
    if not path.is_file():
        raise UnknownNameError(
            f"there is no file {name}", f"it was looked for at {path}; paths start where you run"
        )
    return _run_file(path, name)


@cache
def _run_file(path: Path, name: str) -> ModuleType:
    """The module in a file, once: the same name is another file in another folder."""
    module_name = f"mfal_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise UnknownNameError(f"{name} is not a Python file", "name a file that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    with user_code(name, "mend the file"):
        spec.loader.exec_module(module)
    return module


def _accepted_options(factory: Callable[..., Any], given: Collection[str]) -> list[str]:
    """Parameters that a user may set."""
    parameters = inspect.signature(factory).parameters.values()
    return [
        p.name
        for p in parameters
        if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD) and p.name not in given
    ]


def _checked_options(
    kind: str, component: Component, factory: Callable[..., Any]
) -> dict[str, Any]:
    """The options, checked one by one against the annotations of `factory`."""
    if not component.options:
        return {}  # no annotation has to be understood then
    with user_code(
        f"{kind} {component.name!r}: the types of its options",
        "import what its annotations name when the file runs, not under TYPE_CHECKING alone",
    ):
        hints = inspect.get_annotations(
            factory.__init__ if inspect.isclass(factory) else factory, eval_str=True
        )
    return {
        name: checked(f"{kind} {component.name!r}: option {name}", value, hints.get(name, Any))
        for name, value in component.options.items()
    }


def checked(what: str, value: object, hint: Any) -> Any:  # noqa: ANN401
    """`value` as what `hint` says it is.

    Args:
        what: What to call it in the error.

    Raises:
        ConfigError: naming what was wrong and what would be right.
    """
    try:
        return TypeAdapter(hint).validate_json(json.dumps(value, default=str), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, (what, *first["loc"])))
        got = first["input"] if first["loc"] else value
        right = spelling_hint(first["type"], got) or _expected(hint)
        raise ConfigError(f"{where}: {first['msg']}, got {got!r}", right) from error


def _expected(hint: object) -> str:
    """What an option of this type may be; its limits stand in the message."""
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if isinstance(hint, type) and is_dataclass(hint):
        return f"it takes {', '.join(field.name for field in fields(hint))}"
    if get_origin(hint) is Literal:
        return f"it is {' or '.join(map(str, get_args(hint)))}"
    if isinstance(hint, type):
        return f"it is {_IN_WORDS.get(hint, hint.__name__)}"
    return f"it is {str(hint).replace('typing.', '')}"
