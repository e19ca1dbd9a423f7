"""The demo's judgement: what is right passes, and everything that can be wrong is told."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from fleetcap.demo.compare import Expected, compare, expected
from fleetcap.demo.truth import Address, Exchange, digest
from fleetcap_proto.v1 import common_pb2, exchange_pb2

MADE = Exchange(
    scenario="curl",
    method="POST",
    target="/form",
    status=201,
    request_size=4,
    request_sha256=digest(b"body"),
    response_size=2,
    response_sha256=digest(b"ok"),
    client=Address("::1", 40000),
    server=Address("::1", 443),
    client_pid=10,
    client_comm="curl",
    server_pid=20,
    server_comm="nginx",
)


def _seen(want: Expected, number: int = 1) -> exchange_pb2.Exchange:
    """The exchange as fleetcap would write it, built from nothing but the expectation."""
    made, side = want.made, want.side
    return exchange_pb2.Exchange(
        protocol="http1",
        number=number,
        process=common_pb2.Process(pid=side.pid, comm=want.comm),
        local=common_pb2.Endpoint(ip=side.local.ip, port=side.local.port),
        remote=common_pb2.Endpoint(ip=side.remote.ip, port=side.remote.port),
        role=common_pb2.ROLE_CLIENT if side.pid == made.client_pid else common_pb2.ROLE_SERVER,
        latency_ns=5,
        request=exchange_pb2.Message(
            http=exchange_pb2.Http(method=made.method, target=made.target),
            body_size=made.request_size,
            body_sha256=bytes.fromhex(made.request_sha256),
            complete=True,
        ),
        response=exchange_pb2.Message(
            http=exchange_pb2.Http(status=made.status),
            body_size=made.response_size,
            body_sha256=bytes.fromhex(made.response_sha256),
            complete=True,
        ),
    )


def test_each_exchange_is_expected_once_for_each_side() -> None:
    client, server = expected([MADE])
    assert (client.side.pid, client.side.local.port, client.side.remote.port) == (10, 40000, 443)
    assert (server.side.pid, server.side.local.port, server.side.remote.port) == (20, 443, 40000)


def test_all_there_and_right_is_perfect() -> None:
    wanted = expected([MADE, replace(MADE, target="/second")])
    seen = [_seen(wanted[0], 1), _seen(wanted[2], 2), _seen(wanted[3], 2), _seen(wanted[1], 1)]
    result = compare(wanted, seen)
    assert result.perfect
    assert len(result.right) == 4


def test_nothing_seen_is_all_missing() -> None:
    result = compare(expected([MADE]), [])
    assert len(result.missing) == 2
    assert not result.perfect


def test_one_too_many_is_told() -> None:
    wanted = expected([MADE])
    result = compare(wanted, [_seen(wanted[0]), _seen(wanted[0], 2), _seen(wanted[1])])
    assert len(result.surplus) == 1
    assert not result.perfect


def test_a_wrong_order_is_told() -> None:
    wanted = expected([MADE, replace(MADE, target="/second")])
    seen = [_seen(wanted[0], 2), _seen(wanted[2], 1), _seen(wanted[1], 1), _seen(wanted[3], 2)]
    assert len(compare(wanted, seen).wrong) == 2


@pytest.mark.parametrize("change", [("pid", 99), ("local", 99), ("remote", 99)])
def test_an_exchange_of_another_connection_counts_for_nothing(change: tuple[str, int]) -> None:
    wanted = expected([MADE])
    other = _seen(wanted[0])
    name, value = change
    if name == "pid":
        other.process.pid = value
    else:
        getattr(other, name).port = value
    result = compare(wanted, [other, _seen(wanted[1])])
    assert (len(result.missing), len(result.right)) == (1, 1)


def _no_latency(exchange: exchange_pb2.Exchange) -> None:
    exchange.latency_ns = 0


def _absent_latency(exchange: exchange_pb2.Exchange) -> None:
    exchange.ClearField("latency_ns")


def _set(path: str, value: object) -> Callable[[exchange_pb2.Exchange], None]:
    def change(exchange: exchange_pb2.Exchange) -> None:
        *above, last = path.split(".")
        target = exchange
        for name in above:
            target = getattr(target, name)
        setattr(target, last, value)

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_set("request.http.method", "GET"), "method GET instead of POST"),
        (_set("request.http.target", "/"), "target / instead of /form"),
        (_set("response.http.status", 500), "status 500 instead of 201"),
        (_set("request.body_size", 3), "request body size 3 instead of 4"),
        (_set("response.body_size", 0), "response body size 0 instead of 2"),
        (_set("response.body_sha256", b""), "response body hash  instead of"),
        (_set("request.body_sha256", b"x"), "request body hash 78 instead of"),
        (_set("process.comm", "wget"), "process name wget instead of curl"),
        (_set("role", common_pb2.ROLE_SERVER), "role ROLE_SERVER instead of ROLE_CLIENT"),
        (_set("protocol", "raw"), "protocol raw instead of http1"),
        (_set("response.missing_bytes", 1), "missing bytes 1 instead of 0"),
        (_set("request.complete", False), "completeness (False, True)"),
        (_no_latency, "latency 0 ns is not above 0"),
        (_absent_latency, "latency 0 ns is not above 0"),
    ],
)
def test_every_fault_is_told(change: Callable[[exchange_pb2.Exchange], None], told: str) -> None:
    wanted = expected([MADE])
    wrong = _seen(wanted[0])
    change(wrong)
    result = compare(wanted, [wrong, _seen(wanted[1])])
    (line,) = result.wrong
    assert told in line
    assert not result.perfect
