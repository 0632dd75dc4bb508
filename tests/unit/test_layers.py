"""Who may import whom, and what the command line loads before it has to."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT

# Inside mfal a module may import from its own layer and from those above it in this list.
LAYERS = [
    ["types", "errors", "digits", "fields"],
    ["sections", "yaml_file", "config_errors", "files", "user_code"],
    ["budget", "config", "failures", "reasons", "tabular", "process"],
    ["own", "ledger"],
    ["registry", "folder", "design", "similarity", "worth"],
    ["metrics"],
    ["dataset", "features", "scoring"],
    ["envs"],
    ["surrogate"],
    ["acquisition", "feasibility"],
    ["gfn", "batch"],
    ["boards", "verification", "readable", "portraits", "problem"],
    ["campaign", "diagnostics", "progress", "differences"],
    ["status", "waiting"],
    ["reference"],
    ["learn", "stopping", "answered"],
    ["rest", "importing", "recommend"],
    ["view"],
    ["propose"],
    ["round", "testing", "ladder"],
    ["check", "laws", "resume", "compare"],
    ["report"],
    ["cli"],
    ["__main__"],
]
RANK = {name: i for i, layer in enumerate(LAYERS) for name in layer}
LENT = {"features": {"rdkit"}}  # by package of mfal: libraries that count, and compute no energies
ORACLES_MAY = {"types", "errors", "envs", "features", "testing"}


def imports(path: Path, *, lazy: bool) -> Iterator[str]:
    """Dotted names that a file imports; those inside functions only if `lazy`."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    nodes = ast.walk(tree) if lazy else iter(tree.body)
    for node in nodes:
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("mfal", {"oracles", "flows", "prefect", "RNA", "nupack", "rdkit", "tests"}),
        ("oracles", {"flows", "prefect", "tests"}),
        ("flows", {"oracles", "tests"}),
    ],
)
def test_packages_do_not_import_what_is_not_theirs(package: str, forbidden: set[str]) -> None:
    found = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files(package)
        for name in imports(path, lazy=True)
        if name.partition(".")[0] in forbidden - LENT.get(path.parent.name, set())
    ]
    assert found == []


def test_what_is_lent_is_imported_once_it_is_needed() -> None:
    found = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files("mfal")
        for name in imports(path, lazy=False)
        if name.partition(".")[0] in {"rdkit", "selfies"}
    ]
    assert found == []


def test_oracles_use_only_the_public_ground_of_mfal() -> None:
    found = [
        f"{path.name} imports {name}"
        for path in files("oracles")
        for name in imports(path, lazy=True)
        if name.startswith("mfal.") and name.split(".")[1] not in ORACLES_MAY
    ]
    assert found == []


def test_layers_of_mfal_look_one_way() -> None:
    found = []
    for path in files("mfal"):
        own = path.relative_to(ROOT / "mfal").parts[0].removesuffix(".py")
        if own == "__init__":
            continue
        for name in imports(path, lazy=False):
            parts = name.split(".")
            if parts[0] == "mfal" and parts[1] in RANK and RANK[parts[1]] > RANK[own]:
                found.append(f"{path.relative_to(ROOT)} imports {name}")
    assert found == []


def test_every_module_of_mfal_has_a_layer() -> None:
    modules = {p.name.removesuffix(".py") for p in (ROOT / "mfal").iterdir() if p.suffix == ".py"}
    packages = {p.parent.name for p in (ROOT / "mfal").glob("*/__init__.py")}
    assert (modules | packages) - {"__init__"} == set(RANK)


@pytest.mark.parametrize(
    "code", ["import mfal", "import mfal.cli.app; mfal.cli.app.app(['--help'])"]
)
def test_a_look_at_mfal_loads_neither_torch_nor_prefect(code: str) -> None:
    script = f"""
import sys
try:
    {code.replace("; ", chr(10) + "    ")}
except SystemExit:
    pass
heavy = {{"torch", "prefect", "botorch", "gpytorch", "pandas", "RNA"}} & set(sys.modules)
sys.exit(f"loaded {{heavy}}" if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_flows_keep_annotations_that_prefect_can_read() -> None:
    # Prefect reads parameter types of served flows at run time.
    served = [text for path in files("flows") if "@flow(" in (text := path.read_text())]
    assert len(served) == 2
    for text in served:
        assert "from __future__ import annotations" not in text
        assert "TYPE_CHECKING" not in text
