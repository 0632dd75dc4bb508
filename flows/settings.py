"""How this project runs Prefect: local, quiet, and without telemetry."""

import logging
import os
from http.client import HTTPException
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from mfal.errors import ConfigError, MfalError

HOST = "127.0.0.1"
DEFAULT_PORT = 4200
ORIGINS = "PREFECT_SERVER_CORS_ALLOWED_ORIGINS"
HEALTHY = b"true"  # what Prefect's server says of its health

DEFAULTS = {
    # Nothing is reported to anybody.
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    # The terminal shows rounds; Prefect's lines and those of mfal's loggers go to its database
    # and its page.
    "PREFECT_LOGGING_EXTRA_LOGGERS": "mfal",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
    # mfal's loggers speak outside of runs as well, where there is no page to be told.
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}


def apply_defaults() -> None:
    """Set what the environment does not set itself."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("PREFECT_HOME", str(Path.cwd() / ".prefect"))
    _ask_no_proxy_for_this_machine()
    # Prefect lends its handlers to the extra loggers, and not its level.
    extra = logging.getLogger("mfal")
    if extra.level == logging.NOTSET:
        extra.setLevel(logging.INFO)


def _ask_no_proxy_for_this_machine() -> None:
    """Reach servers on loopback directly, whatever proxy the environment names for others."""
    names = ("no_proxy", "NO_PROXY")  # which of the two is heeded differs
    said = next((os.environ[name] for name in names if name in os.environ), "")
    for name in names:
        given = [host.strip() for host in os.environ.get(name, said).split(",") if host.strip()]
        os.environ[name] = ",".join([*given, *(h for h in (HOST, "localhost") if h not in given)])


def ui_port() -> int:
    """Port of the server and its page: MFAL_UI_PORT, or Prefect's own 4200; raises ConfigError."""
    given = os.environ.get("MFAL_UI_PORT", str(DEFAULT_PORT))
    if not given.isdecimal() or not 0 < int(given) < 65536:
        raise ConfigError(f"MFAL_UI_PORT: {given!r} is no port", "give a number from 1 to 65535")
    return int(given)


def origins() -> str:
    """Where pages may come from that a browser lets ask the server: its own.

    By Prefect's default any page that is open in a browser on this machine may, and change runs.
    """
    return ",".join(f"http://{host}:{ui_port()}" for host in (HOST, "localhost"))


def api_url(port: int | None = None) -> str:
    """Address of the API of a server on this machine."""
    return f"http://{HOST}:{port or ui_port()}/api"


def use_running_server() -> bool:
    """Point Prefect at the running server, if there is one."""
    url = os.environ.get("PREFECT_API_URL", api_url())
    if not is_healthy(url):
        return False
    os.environ["PREFECT_API_URL"] = url
    return True


def refuse_silent() -> None:
    """Raise MfalError where the environment names a server; for where it does not answer."""
    if url := os.environ.get("PREFECT_API_URL"):
        raise MfalError(
            f"no Prefect server answers at {url}",
            "that is what PREFECT_API_URL says: start it, or unset the variable; a round then has "
            "a server of its own, and runs without Prefect, too: --no-prefect",
        )


def refuse_other_version() -> None:
    """Raise MfalError where the server of this process does not understand this Prefect."""
    # Imported here: settings must stand before Prefect is first imported.
    from prefect import get_client
    from prefect.exceptions import PrefectHTTPStatusError

    try:
        with get_client(sync_client=True) as client:
            client.raise_for_api_version_mismatch_once()
    except (RuntimeError, PrefectHTTPStatusError) as error:
        raise MfalError(
            f"the Prefect server at {os.environ['PREFECT_API_URL']} cannot be used: {error}",
            "start one of this version elsewhere: MFAL_UI_PORT=4300 make ui, and set the variable "
            "for what is to use it, too",
        ) from error


def is_healthy(url: str, seconds: float = 10) -> bool:
    """Whether a Prefect server answers at this API address, and not just any program."""
    if urlsplit(url).scheme not in ("http", "https"):
        return False
    try:
        with urlopen(f"{url}/health", timeout=seconds) as response:
            return bool(response.read(len(HEALTHY) + 1) == HEALTHY)
    except (URLError, HTTPException, OSError, ValueError):
        return False
