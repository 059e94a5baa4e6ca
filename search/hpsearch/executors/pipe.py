"""The coordinator's end of the pipe to a worker: it never waits, whatever the worker does or does not do.

The worker has an ordinary `multiprocessing.connection.Connection`. With one of those here, a worker that is stopped in
the middle of a message would hold up the coordinator, and with it all other workers.
"""

from __future__ import annotations

import pickle
import socket
import struct
from multiprocessing.connection import Connection
from typing import Any

__all__ = ["Pipe"]

_SHORT, _LONG = struct.Struct("!i"), struct.Struct("!Q")
_AT_ONCE = 1 << 20
_LONGEST = 1 << 30


class _Garbled(Exception):
    """What came from the worker is no message."""


class Pipe:
    """Messages in both directions, framed as `Connection` does: the length in four bytes, or -1 and then in eight."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        self.theirs = Connection(theirs.detach())
        """The worker's end; to be closed here once the worker has it."""
        self.ended = False
        """Whether nothing more will come."""
        self.garbled = ""
        """What came that is no message, where that is why nothing more will come."""
        self._in = bytearray()
        self._out = bytearray()

    def fileno(self) -> int:
        """What to wait on; -1 after `close`."""
        return self._socket.fileno()

    @property
    def closed(self) -> bool:
        """Whether this end was closed."""
        return self.fileno() < 0

    @property
    def waiting(self) -> bool:
        """Whether there is something that the worker had no room for."""
        return bool(self._out)

    def send(self, message: Any) -> None:
        """Say something; what the worker has no room for is kept until `flush`.

        Args:
            message: Any value that can be pickled; to a worker that is gone it is lost.
        """
        data = pickle.dumps(message)
        header = _SHORT.pack(len(data)) if len(data) <= 0x7FFFFFFF else _SHORT.pack(-1) + _LONG.pack(len(data))
        self._out += header + data
        self.flush()

    def flush(self) -> None:
        """Say what was kept, as far as there is room now."""
        try:
            while self._out:
                sent = self._socket.send(self._out)
                del self._out[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self._out.clear()

    def receive(self, everything: bool = False) -> list[Any]:
        """The messages that are there, in order; sets `ended` where the other end is closed, or `garbled` too.

        Args:
            everything: Whether to read to the end, as of a worker that is dead, and not only as much at once as others
                can wait for.
        """
        messages: list[Any] = []
        while True:
            came = self._read()
            try:
                while (frame := self._frame()) is not None:
                    messages.append(_unpickled(frame))
            except _Garbled as error:
                self.garbled, self.ended = str(error), True
            if self.ended or not (everything and came):
                return messages

    def close(self) -> None:
        """Close this end; the worker reads its end."""
        self._socket.close()
        self._out.clear()
        self.ended = True

    def _read(self) -> int:
        """Take what is there, up to a limit; returns how many bytes."""
        before = len(self._in)
        try:
            while not self.ended and len(self._in) - before < _AT_ONCE:
                data = self._socket.recv(1 << 16)
                self._in += data
                self.ended = not data
        except BlockingIOError:
            pass
        except OSError:  # the worker ended with something unread
            self.ended = True
        return len(self._in) - before

    def _frame(self) -> bytes | None:
        """The next whole message, or None where it has not arrived."""
        if len(self._in) < _SHORT.size:
            return None
        (length,) = _SHORT.unpack_from(self._in)
        start = _SHORT.size
        if length == -1 and len(self._in) >= start + _LONG.size:
            (length,) = _LONG.unpack_from(self._in, start)
            start += _LONG.size
        elif length == -1:
            return None
        if not 0 <= length <= _LONGEST:
            raise _Garbled(f"a message of {length} bytes")
        if len(self._in) < start + length:
            return None
        frame = bytes(self._in[start : start + length])
        del self._in[: start + length]
        return frame


def _unpickled(frame: bytes) -> Any:
    try:
        return pickle.loads(frame)
    except Exception as error:  # bytes that are no message may raise anything
        raise _Garbled(f"{type(error).__name__}: {error}") from error
