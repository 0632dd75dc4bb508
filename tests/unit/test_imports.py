"""Files that the default suite does not run: whether the names that they import are there."""

import ast
from importlib import import_module
from pathlib import Path

import pytest

from tests.support import ROOT

FOLDERS = ("benchmarks", "reliability")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / "tests" / folder).glob("*.py"))
OWN = {"mfal", "oracles", "flows"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_what_is_imported_of_the_product_is_there(path: Path) -> None:
    missing = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in OWN:
            names = [alias.name for alias in node.names]
            missing += [f"{node.module}.{n}" for n in names if not _has(node.module, n)]
    assert missing == []


def _has(module: str, name: str) -> bool:
    """Whether a module has a name, or a package has such a module."""
    if hasattr(import_module(module), name):
        return True
    try:
        import_module(f"{module}.{name}")
    except ModuleNotFoundError:
        return False
    return True
