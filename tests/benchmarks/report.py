"""docs/benchmarks.md and docs/benchmarks.json: every benchmark keeps its own section of both."""

import json
import re
from pathlib import Path
from typing import Any

DOCS = Path("docs")

TITLE = """# Benchmarks

Written by `make bench`: every section by the benchmark it names. The raw figures are in
`benchmarks.json`.
"""


def section(name: str, markdown: str, data: Any, folder: Path = DOCS) -> None:
    """Replace the section ``name`` of the page, and its key of the figures; add it if it is new."""
    folder.mkdir(parents=True, exist_ok=True)
    page, figures = folder / "benchmarks.md", folder / "benchmarks.json"
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    block = f"{begin}\n{markdown.strip()}\n{end}"
    text = page.read_text() if page.exists() else TITLE
    known = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if known.search(text):
        text = known.sub(lambda _: block, text)
    else:
        text = f"{text.rstrip()}\n\n{block}\n"
    page.write_text(text)
    sections = json.loads(figures.read_text()) if figures.exists() else {}
    sections[name] = data
    figures.write_text(json.dumps(sections, indent=1, sort_keys=True) + "\n")


def table(header: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown: the first column to the left, the others to the right."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, rule, *rows])
