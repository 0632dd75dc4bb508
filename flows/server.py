"""Prefect's server on this machine, for its own page and for programs, and for no other page.

A browser sends it what any open page asks. It shows that page no answer, and yet lets much of it
through: a body that names no type, a websocket, and whatever goes to a name of the page's own that
was made to lead here.
"""

import socket
import sys
from collections.abc import Collection

import uvicorn
from fastapi.datastructures import Headers
from fastapi.requests import HTTPConnection
from fastapi.responses import PlainTextResponse
from prefect.server.api.server import create_app
from prefect.settings import PREFECT_SERVER_CORS_ALLOWED_ORIGINS
from starlette.types import ASGIApp, Receive, Scope, Send

from flows.settings import HOST


def serve(listener: socket.socket, *, ephemeral: bool = False) -> None:
    """Be the server on this socket until a signal ends it.

    Args:
        ephemeral: Without a page, and with those services alone that runs need.
    """
    allowed = PREFECT_SERVER_CORS_ALLOWED_ORIGINS.value().split(",")
    app = OwnPageOnly(create_app(ephemeral=ephemeral, final=True), allowed)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on"))
    server.run([listener])
    if not server.started:
        sys.exit(1)


class OwnPageOnly:
    """Lets pages of these origins ask, and whoever is no page; "*" lets in all."""

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        self._app, self._origins = app, origins
        self._hosts = {HOST, *(_host(origin.rpartition("//")[2]) for origin in origins)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan" or self._may_ask(HTTPConnection(scope).headers):
            await self._app(scope, receive, send)
        else:
            refusal = PlainTextResponse("only for this machine and the server's own page", 403)
            await refusal(scope, receive, send)

    def _may_ask(self, headers: Headers) -> bool:
        if "*" in self._origins:
            return True
        page = headers.get("origin")
        is_own = page is None or page in self._origins
        return is_own and _host(headers.get("host", "")) in self._hosts


def _host(address: str) -> str:
    return address.partition(":")[0]
