"""What the clients logged against what fleetcap decoded: every exchange once for each captured side, and right in all of it.

It takes values and gives values; where they come from is `watching`'s business.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple

from fleetcap.demo.truth import Address, Exchange
from fleetcap_proto.v1 import common_pb2, exchange_pb2


class Side(NamedTuple):
    """A connection as one of its processes sees it: what tells one from all others."""

    pid: int
    local: Address
    remote: Address


@dataclass(frozen=True, slots=True)
class Expected:
    """An exchange that has to be there, on one side."""

    made: Exchange
    side: Side
    comm: str
    role: int

    def __str__(self) -> str:
        """For a person: `GET /hello as seen by nginx (pid 7)`."""
        return f"{self.made.method} {self.made.target} ({self.made.scenario}) as seen by {self.comm} (pid {self.side.pid})"


@dataclass(frozen=True, slots=True)
class Comparison:
    """How it came out. `wrong` and `surplus` are one line each, with what differs."""

    right: tuple[Expected, ...]
    missing: tuple[Expected, ...]
    wrong: tuple[str, ...]
    surplus: tuple[str, ...]

    @property
    def perfect(self) -> bool:
        """Everything is there, once, and right."""
        return not (self.missing or self.wrong or self.surplus)


def expected(made: Iterable[Exchange]) -> list[Expected]:
    """Both sides of each exchange: client and server run on this machine, and both use the tapped library."""
    both = []
    for one in made:
        client = Side(one.client_pid, one.client, one.server)
        server = Side(one.server_pid, one.server, one.client)
        both.append(Expected(one, client, one.client_comm, common_pb2.ROLE_CLIENT))
        both.append(Expected(one, server, one.server_comm, common_pb2.ROLE_SERVER))
    return both


def compare(wanted: Sequence[Expected], seen: Iterable[exchange_pb2.Exchange]) -> Comparison:
    """Match in order within each connection. Exchanges of connections that nobody asked for are passed over."""
    by_side: dict[Side, list[Expected]] = defaultdict(list)
    for one in wanted:
        by_side[one.side].append(one)
    found: dict[Side, list[exchange_pb2.Exchange]] = defaultdict(list)
    for exchange in seen:
        found[side_of(exchange)].append(exchange)

    right: list[Expected] = []
    missing: list[Expected] = []
    wrong: list[str] = []
    surplus: list[str] = []
    for side, ours in by_side.items():
        theirs = sorted(found[side], key=lambda exchange: exchange.number)
        for want, have in zip_longest(ours, theirs):
            if have is None:
                missing.append(want)
            elif want is None:
                surplus.append(f"{have.request.http.method} {have.request.http.target} of pid {side.pid} is there once too often")
            elif faults := differences(want, have):
                wrong.append(f"{want}: {'; '.join(faults)}")
            else:
                right.append(want)
    return Comparison(tuple(right), tuple(missing), tuple(wrong), tuple(surplus))


def side_of(exchange: exchange_pb2.Exchange) -> Side:
    """The connection and the process that an exchange was seen on."""
    local = Address(exchange.local.ip, exchange.local.port)
    return Side(exchange.process.pid, local, Address(exchange.remote.ip, exchange.remote.port))


def differences(want: Expected, have: exchange_pb2.Exchange) -> list[str]:
    """Every way in which an exchange is not what the client logged: `status 404 instead of 200`."""
    made, request, response = want.made, have.request, have.response
    pairs: list[tuple[str, object, object]] = [
        ("protocol", have.protocol, "http1"),
        ("method", request.http.method, made.method),
        ("target", request.http.target, made.target),
        ("status", response.http.status, made.status),
        ("request body size", request.body_size, made.request_size),
        ("request body hash", request.body_sha256.hex(), made.request_sha256),
        ("response body size", response.body_size, made.response_size),
        ("response body hash", response.body_sha256.hex(), made.response_sha256),
        ("process name", have.process.comm, want.comm),
        ("role", common_pb2.Role.Name(have.role), common_pb2.Role.Name(want.role)),
        ("missing bytes", request.missing_bytes + response.missing_bytes, 0),
        ("completeness", (request.complete, response.complete), (True, True)),
    ]
    faults = [f"{name} {is_} instead of {should}" for name, is_, should in pairs if is_ != should]
    if have.latency_ns <= 0:
        faults.append(f"latency {have.latency_ns} ns is not above 0")
    return faults
