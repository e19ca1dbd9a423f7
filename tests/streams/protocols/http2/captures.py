"""TCP payloads of a packet capture, in order, by tshark: what a tap would have seen of it."""

import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from fleetcap_streams.protocols.contract import Chunk, Direction, Gap

FIELDS = ("tcp.srcport", "tcp.dstport", "tcp.seq", "tcp.payload")


@cache
def tshark(path: Path, *arguments: str) -> str:
    """What it prints, or no test where it is not installed."""
    program = shutil.which("tshark")
    if program is None:
        pytest.skip("tshark is not installed")
    return subprocess.run([program, "-n", "-r", str(path), *arguments], check=True, capture_output=True, text=True).stdout


def ports(path: Path) -> tuple[int, int]:
    """Of the client and the server, by the first packet that has payload."""
    line = tshark(path, "-Y", "tcp.len > 0", "-T", "fields", "-e", "tcp.srcport", "-e", "tcp.dstport").splitlines()[0]
    client, server = map(int, line.split("\t"))
    return client, server


def conversation(path: Path) -> list[tuple[Direction, Chunk]]:
    """The first connection's payloads, repeated bytes left out and gaps where bytes are missing."""
    client, _ = ports(path)
    expected: dict[Direction, int] = {}
    chunks: list[tuple[Direction, Chunk]] = []
    arguments = [part for field in FIELDS for part in ("-e", field)]
    for line in tshark(path, "-Y", "tcp.len > 0", "-T", "fields", *arguments).splitlines():
        source, _, sequence, payload = line.split("\t")
        direction = Direction.SENT if int(source) == client else Direction.RECEIVED
        data, start = bytes.fromhex(payload.replace(":", "")), int(sequence)
        position = expected.setdefault(direction, start)
        if start > position:
            chunks.append((direction, Gap(start - position)))
        data = data[max(position - start, 0) :]
        if data:
            chunks.append((direction, data))
            expected[direction] = max(position, start) + len(data)
    return chunks
