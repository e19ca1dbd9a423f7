"""`fleetcap packets`: the packets of captured processes in a pcapng file, with their names and, where asked for, their keys."""

import os
import sys
import time
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

from fleetcap.commands.capture import KEYS_WARNING, tap_config
from fleetcap.settings import Settings
from fleetcap_producer.capture import stopped_by_signals
from fleetcap_producer.captured import Captured
from fleetcap_producer.keys import key_log_line
from fleetcap_producer.packets import Flows
from fleetcap_producer.pcapng import PcapngWriter
from fleetcap_producer.sniffing import Packet, Sniffer
from fleetcap_producer.tap import Tap
from fleetcap_proto.v1 import raw_pb2, secrets_pb2

_KEY, _CLOSED = raw_pb2.EVENT_KIND_KEY, raw_pb2.EVENT_KIND_CLOSED
_WAIT_S = 0.02
_AT_ONCE = 4096  # packets, before keys and connections are looked at again
_SETTLE_S = 0.2  # after a stop, for packets still under way


def run(settings: Settings, file: Path) -> int:
    """Capture until a signal comes; returns the exit code."""
    sniffer = Sniffer()
    tap = Tap(tap_config(settings, ()))
    try:
        tap.start()
        with create(file).open("wb") as stream, stopped_by_signals() as stop:
            work = _Work(sniffer, PcapngWriter(stream, f"fleetcap {version('fleetcap')}"), settings.ports)
            sys.stderr.write((KEYS_WARNING if settings.secrets else "") + f"capturing into {file}; Ctrl-C stops\n")
            sys.stderr.flush()
            while not stop.is_set():
                work.take(tap.drain(_WAIT_S))
            time.sleep(_SETTLE_S)
            tap.stop()
            while events := tap.drain(0.0):
                work.take(events)
            work.take(())
            sys.stderr.write(work.summary(sum(tap.losses().values())))
    finally:
        tap.close()
        sniffer.close()
    return 0


def create(file: Path) -> Path:
    """An empty file that only its owner can read: packets may be plaintext, and keys make them so."""
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    os.fchmod(fd, 0o600)
    os.close(fd)
    return file


class _Work:
    """Packets and events in, blocks out."""

    def __init__(self, sniffer: Sniffer, writer: PcapngWriter, ports: Sequence[int]) -> None:
        self._sniffer = sniffer
        self._writer = writer
        self._ports = frozenset(ports)
        self._flows = Flows()
        self._keys = 0

    def take(self, events: Iterable[Captured]) -> None:
        """Packets first, so that all that led to an event is held already; keys before what they decrypt."""
        for packet in self._sniffer.read(_AT_ONCE):
            if not self._ports or packet.source.port in self._ports or packet.destination.port in self._ports:
                self._write(self._flows.packet(packet))
        seen = list(events)
        lines = [key_log_line(secrets_pb2.KeyLogEntry.FromString(one.payload)) for one in seen if one.kind == _KEY]
        self._writer.secrets(lines)
        self._keys += len(lines)
        now_ns = time.time_ns()
        for event in seen:
            if event.connection.uuid:
                self._write(self._flows.known(event.connection))
                if event.kind == _CLOSED:
                    self._flows.closed(event.connection, now_ns)
        self._flows.forget(now_ns)
        self._writer.flush()

    def _write(self, packets: Iterable[tuple[Packet, str]]) -> None:
        for packet, comment in packets:
            self._writer.packet(packet.interface, packet.time_ns, packet.data, packet.length, comment)

    def summary(self, lost: int) -> str:
        """One line of what there was."""
        missed = self._sniffer.dropped()
        return (
            f"{self._writer.packets:,} packets of {self._flows.connections:,} connections, {self._keys:,} keys; "
            f"{missed:,} packets dropped by the kernel, {self._flows.given_up:,} for lack of room, {lost:,} events lost\n"
        )
