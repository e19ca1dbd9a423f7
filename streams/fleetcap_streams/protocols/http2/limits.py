"""What HTTP/2 alone can make grow, and how far; the rest is in the contract's `Limits`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Http2Limits:
    """Sizes are bytes. What is cut says so in its message's notes."""

    table: int = 64 * 1024  # of a dynamic table as RFC 7541 section 4.1 counts; entries beyond it are unknown
    streams: int = 1000  # open at once; beyond it the oldest is put out as far as it has come
    held: int = 512 * 1024  # of heads and kept bodies of all open streams; beyond it bodies are no longer kept
    closed: int = 256  # streams that were reset and are remembered, because frames to them may still be on their way
    decoders: int = 100  # content decoders at once, of some 40 KiB each (zstd: up to 8 MiB); more bodies stay as sent
