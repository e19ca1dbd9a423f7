"""Packet captures as records of the raw topic: frames in, packed batches of raw events out.

Packed by the producer's own packer, by the capture's clock; that clock stands in for the broker's as well.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from fleetcap.inputs import link
from fleetcap.inputs.errors import InputError, UnknownFormatError
from fleetcap.inputs.flows import Flows
from fleetcap.inputs.frame import Frame
from fleetcap.inputs.ip import IpReader
from fleetcap.recording import Recorded
from fleetcap_producer.captured import Captured
from fleetcap_producer.packing import Packed, Packer
from fleetcap_streams.engine.values import Record

_NS: Final = 1_000_000_000


class PacketRecords:
    """Makes records of frames. `node` names what was captured."""

    def __init__(self, name: str, node: str) -> None:
        self._name = name
        self._ip = IpReader()
        self._flows = Flows(node)
        self._packer = Packer(node, "")
        self._time_ns = 0
        self._offset = 0
        self._read = 0
        self._unknown: set[int] = set()

    def records(self, frames: Iterable[Frame]) -> Iterator[Recorded]:
        """Records in the order of the capture, all of one partition.

        Raises:
            InputError: at the end: the frames' own, or of none of them is it known how to read its link layer.
        """
        damage: InputError | None = None
        try:
            for frame in frames:
                self._time_ns = max(self._time_ns, frame.time_ns)
                yield from self._recorded(self._pack(self._events(frame)))
        except InputError as error:
            damage = error
        yield from self._recorded(self._pack(self._flows.finish(self._time_ns)))
        yield from self._recorded(self._packer.flush())
        if damage is not None:
            raise damage
        if self._unknown and not self._read:
            numbers = ", ".join(map(str, sorted(self._unknown)))
            raise UnknownFormatError(
                f"{self._name} has packets of link type {numbers} only, which cannot be read; "
                "capture on another interface, such as `any`"
            )

    def _events(self, frame: Frame) -> list[Captured]:
        packet = link.ip_packet(frame.link, frame.data)
        if packet is None:
            if not link.known(frame.link):
                self._unknown.add(frame.link)
                return []
            self._read += 1
            return []
        self._read += 1
        segment = self._ip.segment(packet, frame.length - len(frame.data), frame.time_ns)
        if segment is None or segment.flags is None:
            return []
        return self._flows.take(segment)

    def _pack(self, events: list[Captured]) -> list[Packed]:
        now_s = self._time_ns / _NS
        due = self._packer.due(now_s)
        return due + self._packer.add(events, now_s) if events else due

    def _recorded(self, packed: Iterable[Packed]) -> Iterator[Recorded]:
        for one in packed:
            yield Recorded(0, Record(self._offset, one.key, one.value, self._time_ns // 1_000_000))
            self._offset += 1
