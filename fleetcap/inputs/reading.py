"""Finds out what an input is, by its content and never by its name, and gives its records."""

from collections.abc import Iterator
from typing import Final

from fleetcap import recording
from fleetcap.inputs import pcap, pcapng
from fleetcap.inputs.errors import UnknownFormatError
from fleetcap.inputs.json_events import JsonRecords
from fleetcap.inputs.packets import PacketRecords
from fleetcap.inputs.source import Source
from fleetcap.recording import Recorded

_BLANK: Final = b" \t\r\n\xef\xbb\xbf"


def read_records(source: Source) -> Iterator[Recorded]:
    """The records of an input, one by one, whatever its format.

    Raises:
        UnknownFormatError: at once: it is none of those that can be read.
        InputError: it cannot be read to its end; everything before that place was given.
    """
    head, name, stream = source.head, source.name, source.stream
    if head.startswith(recording.MAGIC):
        return recording.read_stream(name, stream)
    if head[:4] in pcap.MAGICS:
        return PacketRecords(name, source.node).records(pcap.read_pcap(name, stream))
    if head.startswith(pcapng.MAGIC):
        return PacketRecords(name, source.node).records(pcapng.read_pcapng(name, stream))
    if head.lstrip(_BLANK).startswith(b"{"):
        return JsonRecords(name, source.node).records(stream)
    raise UnknownFormatError(
        f"{name} is not a recording, packet capture (pcap, pcapng) or JSON lines of raw events"
        f"{' but empty' if not head else ''}; give one of these, compressed with gzip or not"
    )
