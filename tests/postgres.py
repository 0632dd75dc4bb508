"""A PostgreSQL server for one run of the tests, on a socket in a folder of its own."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine

USER = "postgres"


class Server:
    """A running server; a new database for whoever asks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = 0

    def new_database(self) -> str:
        """URL of an empty database."""
        self._made += 1
        name = f"test{self._made}"
        admin = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with admin.connect() as c:
            c.exec_driver_sql(f"CREATE DATABASE {name}")
        admin.dispose()
        return self.url(name)

    def url(self, database: str, user: str = USER) -> str:
        return f"postgresql+psycopg://{user}@/{database}?host={self._folder}"


@contextmanager
def server(*, durable: bool = False) -> Iterator[Server]:
    """A server while the block lasts; skips the test where PostgreSQL is not installed.

    Its commits are on the disk before they are acknowledged only if `durable`.
    """
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    programs = _programs()
    # Not in pytest's folder: the path of a socket has at most about 100 letters.
    folder = Path(tempfile.mkdtemp(prefix="mfal-pg-"))
    as_user = []
    if os.getuid() == 0:  # the server refuses to run as root
        shutil.chown(folder, USER)
        as_user = ["runuser", "-u", USER, "--"]

    def call(program: str, *arguments: str) -> None:
        command = [*as_user, str(programs / program), "-D", str(folder / "data"), *arguments]
        with (folder / "out").open("a") as out:
            done = subprocess.run(command, stdout=out, stderr=out, cwd=folder)
        assert done.returncode == 0, (folder / "out").read_text()

    try:
        call("initdb", "--auth=trust", f"--username={USER}", "--no-sync")
        hosts = folder / "data" / "pg_hba.conf"
        hosts.write_text(f"local all asked scram-sha-256\n{hosts.read_text()}")
        options = f"-k {folder} -c listen_addresses= -c max_connections=60 -c fsync={durable}"
        call("pg_ctl", "start", "-w", "-o", options, "-l", str(folder / "log"))
        yield Server(folder)
        call("pg_ctl", "stop", "-m", "immediate")
    finally:
        shutil.rmtree(folder)


def _programs() -> Path:
    on_path = shutil.which("initdb")
    found = [Path(on_path).parent] if on_path else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found:
        pytest.skip("PostgreSQL is not installed")
    if os.getuid() == 0 and not (shutil.which("runuser") and _exists(USER)):
        pytest.skip(f"root may not run PostgreSQL, and there is no user {USER}")
    return found[-1]


def _exists(user: str) -> bool:
    return subprocess.run(["id", user], capture_output=True).returncode == 0
