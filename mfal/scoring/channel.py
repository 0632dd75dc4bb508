"""The line between a campaign and a worker process: whole messages, none waited for for ever."""

import pickle
import socket
import struct
import time

from mfal.errors import MfalError

_MARK = b"mfal"
_HEAD = struct.Struct(f"!{len(_MARK)}sQ")  # begins a message: the mark, and how long the rest is
_PART = 2**20  # bytes that are read at once
_LEAST = 0.001  # seconds; a socket that may wait for none raises another error


class GarbledError(MfalError):
    """Something came that is no message, or not the one that was due."""


class Channel:
    """Sends and receives messages through a socket, whose other end has one of these, too.

    Limits are in seconds; None for as long as it takes.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._arrived = bytearray()  # of a message that is not whole yet

    def send(self, message: object, limit: float | None = None) -> None:
        """Send a message; raises OSError if nobody can take it, TimeoutError after the limit."""
        body = pickle.dumps(message)
        self._end.settimeout(limit)
        self._end.sendall(_HEAD.pack(_MARK, len(body)) + body)

    def receive(self, limit: float | None = None) -> object:
        """The next message.

        Raises:
            TimeoutError: if it is not whole by then; the next call goes on with it.
            EOFError, OSError: if nobody is at the other end any more.
            GarbledError: if what came is no message.
        """
        until = None if limit is None else time.monotonic() + limit
        while (missing := self._missing()) > 0:
            self._end.settimeout(None if until is None else max(until - time.monotonic(), _LEAST))
            part = self._end.recv(min(missing, _PART))
            if not part:
                raise EOFError
            self._arrived += part
        body = self._arrived[_HEAD.size :]
        self._arrived.clear()
        try:
            return pickle.loads(body)  # noqa: S301 (of a process of ours)
        except Exception as error:
            raise GarbledError(f"a message cannot be read: {error!r}") from error

    def close(self) -> None:
        """Let go of the socket."""
        self._end.close()

    def _missing(self) -> int:
        """Bytes that have to come before the head, or after it the message, is whole."""
        mark = self._arrived[: len(_MARK)]
        if not _MARK.startswith(mark):
            raise GarbledError(f"it begins with {bytes(mark)!r}")
        if len(self._arrived) < _HEAD.size:
            return _HEAD.size - len(self._arrived)
        size: int = _HEAD.unpack_from(self._arrived)[1]
        return _HEAD.size + size - len(self._arrived)
