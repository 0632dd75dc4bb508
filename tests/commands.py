"""The command line as tests type it."""

import contextlib
import gc
import io
import os
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess
from unittest.mock import patch

from mfal.cli.app import main

WIDE = {"COLUMNS": "200"}


def mfal(*arguments: str, cwd: Path) -> "CompletedProcess[str]":
    """What ``mfal`` with these arguments says in a folder, and its exit code.

    It runs in this process: to start one and import torch takes seconds, and there is much to type.
    """
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(cwd),
        patch.dict(os.environ, WIDE),
        patch.object(sys, "argv", ["mfal", *arguments]),
        patch.object(gc, "freeze"),  # meant for a process that ends
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
    return CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def mfal_process(*arguments: str, cwd: Path) -> "CompletedProcess[str]":
    """The same in a process of its own, as a user runs it."""
    return subprocess.run(
        [sys.executable, "-m", "mfal", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=os.environ | WIDE,
        timeout=120,
    )
