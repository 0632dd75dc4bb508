"""Which process is which, whatever it is called."""

import shutil
import subprocess
from pathlib import Path

from mfal import process


def test_a_process_whose_name_is_cut_within_a_letter_runs(tmp_path: Path) -> None:
    # The system keeps 15 bytes of a name, and these letters have two each.
    program = tmp_path / f"{8 * 'ä'}"
    program.symlink_to(str(shutil.which("cat")))
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as child:
        since = process.started(child.pid)
        assert since is not None and process.runs(child.pid, since)
