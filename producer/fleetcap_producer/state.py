"""What the kernel remembers of connections and sockets, read from its maps. Owns the maps' names and layouts, decides nothing."""

import ctypes
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from fleetcap_producer.program import Programs
from fleetcap_producer.records import Closed, LostClose, Session, SessionKey, Socket, State

_WORD = 8


class Totals(NamedTuple):
    """Bytes that crossed a connection, lost ones included."""

    received: int
    sent: int


class SessionState(NamedTuple):
    """Which connection an SSL object carries, and whether the object was freed."""

    connection: int
    freed: bool


class Kernel(Protocol):
    """What the table of connections asks of the kernel's memory."""

    def totals(self, connection: int) -> Totals | None:
        """None: the kernel has forgotten the connection."""

    def session(self, tgid: int, ssl: int) -> SessionState | None:
        """None: the kernel knows no such object."""

    def socket_born(self, sock: int) -> int | None:
        """When the socket now at this address was first seen; None: none is known."""

    def forget_connection(self, connection: int) -> None:
        """The kernel begins a new one where it meets the same object again."""

    def forget_session(self, tgid: int, ssl: int) -> None:
        """For an object that is gone."""

    def lost_closes(self) -> Iterator[Closed]:
        """Closed sockets for which the ring buffer had no room; each is given once."""


class KernelMaps:
    """`Kernel`, by the maps of loaded programs."""

    def __init__(self, programs: Programs) -> None:
        self._sessions = programs.table("sessions", ctypes.sizeof(SessionKey), ctypes.sizeof(Session))
        self._connections = programs.table("connections", _WORD, ctypes.sizeof(State))
        self._sockets = programs.table("sockets", _WORD, ctypes.sizeof(Socket))
        self._lost_closes = programs.table("lost_closes", _WORD, ctypes.sizeof(LostClose))

    def totals(self, connection: int) -> Totals | None:
        """See `Kernel`."""
        found = self._connections.get(_word(connection))
        return Totals(*State.from_buffer_copy(found).position) if found else None

    def session(self, tgid: int, ssl: int) -> SessionState | None:
        """See `Kernel`."""
        found = self._sessions.get(bytes(SessionKey(tgid, 0, ssl)))
        if found is None:
            return None
        session = Session.from_buffer_copy(found)
        return SessionState(session.connection, bool(session.freed))

    def socket_born(self, sock: int) -> int | None:
        """See `Kernel`."""
        found = self._sockets.get(_word(sock))
        return int(Socket.from_buffer_copy(found).born) if found else None

    def forget_connection(self, connection: int) -> None:
        """See `Kernel`."""
        self._connections.delete(_word(connection))

    def forget_session(self, tgid: int, ssl: int) -> None:
        """See `Kernel`."""
        self._sessions.delete(bytes(SessionKey(tgid, 0, ssl)))

    def lost_closes(self) -> Iterator[Closed]:
        """See `Kernel`."""
        for key in self._lost_closes.keys():  # noqa: SIM118  not a dict
            found = self._lost_closes.get(key)
            self._lost_closes.delete(key)
            if found:
                lost = LostClose.from_buffer_copy(found)
                yield Closed(lost.sock, ctypes.c_uint64.from_buffer_copy(key).value, lost.time)


def _word(number: int) -> bytes:
    return bytes(ctypes.c_uint64(number))
