"""What a client logs of an exchange that it made: the truth that fleetcap's output is measured by.

One JSON object a line. It must not import anything of fleetcap's pipeline, and the programs that write it are made of the
standard library alone.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

EMPTY_SHA256: Final = hashlib.sha256().hexdigest()


@dataclass(frozen=True, slots=True)
class Address:
    """One end of a socket, as the socket itself says it."""

    ip: str
    port: int


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its response, as the client knows them. Sizes in bytes, of bodies with all codings taken off.

    `server_pid` is 0 in a client's own log; whoever started the server fills it in.
    """

    scenario: str
    method: str
    target: str
    status: int
    request_size: int
    request_sha256: str
    response_size: int
    response_sha256: str
    client: Address
    server: Address
    client_pid: int
    client_comm: str
    server_pid: int = 0
    server_comm: str = ""


def own_comm(pid: int | None = None) -> str:
    """The name of a process's main thread, as the kernel has it; at most 15 bytes."""
    return Path(f"/proc/{pid or os.getpid()}/comm").read_text().rstrip("\n")


def digest(body: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(body).hexdigest()


def log(exchange: Exchange) -> None:
    """Write one line to standard output, whole, at once: several threads may do so."""
    sys.stdout.write(json.dumps(asdict(exchange)) + "\n")
    sys.stdout.flush()


def parse(lines: Iterable[str]) -> list[Exchange]:
    """Read what `log` wrote.

    Raises:
        ValueError, KeyError, TypeError: a line is not one of ours.
    """
    return [_exchange(json.loads(line)) for line in lines if line.strip()]


def dump(exchanges: Iterable[Exchange]) -> str:
    """The same form as `log` writes."""
    return "".join(json.dumps(asdict(exchange)) + "\n" for exchange in exchanges)


def _exchange(values: dict[str, object]) -> Exchange:
    ends = {name: Address(**values.pop(name)) for name in ("client", "server")}  # type: ignore[arg-type]  # JSON's own types
    return Exchange(**values, **ends)  # type: ignore[arg-type]  # checked by the dataclass's names alone
