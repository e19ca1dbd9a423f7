"""PostgreSQL, case by case."""

from struct import pack

import pytest

from fleetcap_streams.protocols.contract import End, Gap, Limits, Message, Role
from fleetcap_streams.protocols.postgresql import SPEC
from tests.streams.protocols.conversations import (
    EXECUTE,
    READY,
    SYNC,
    bind,
    described,
    done,
    failed,
    prepare,
    row,
    said,
    startup,
)
from tests.streams.protocols.tapping import CLIENT, SERVER, Tap, pairs

WELCOME = said(b"R", pack(">I", 0)) + READY


def ready(limits: Limits | None = None) -> Tap:
    """A tap on a connection that is past its startup."""
    tap = Tap(SPEC, limits or Limits())
    tap.hear([(CLIENT, startup(user="app")), (SERVER, WELCOME)])
    tap.messages.clear()
    return tap


def query(statement: bytes) -> bytes:
    return said(b"Q", statement + b"\0")


def answers(tap: Tap) -> list[Message]:
    return [message for message in tap.messages if message.role is Role.RESPONSE]


@pytest.mark.parametrize(("code", "name"), [(80877103, "ssl_request"), (80877104, "gss_request")])
@pytest.mark.parametrize(("byte", "accepted"), [(b"N", False), (b"S", True), (b"G", True)])
def test_encryption_is_asked_for(code: int, name: str, byte: bytes, accepted: bool):  # noqa: FBT001
    tap = Tap(SPEC)
    tap.hear([(CLIENT, pack(">II", 8, code)), (SERVER, byte)])
    request, response = tap.messages
    assert (request.attributes["operation"], response.attributes["accepted"]) == (name, accepted)
    assert pairs(tap.messages) == [(b"", byte)]


@pytest.mark.parametrize("size", [1, 100])
def test_what_is_encrypted_is_handed_over(size: int):
    tap = Tap(SPEC)
    hello = b"\x16\3\1\2\0\1" + bytes(30)
    tap.hear([(CLIENT, pack(">II", 8, 80877103)), (SERVER, b"S")])
    for at in range(0, len(hello), size):
        tap.client(hello[at : at + size])
    assert tap.switched is not None
    assert (tap.switched.token, tap.switched.exchanges) == ("tls", 1)
    assert [data for way, data, _ in tap.switched.rest if way is CLIENT] == [hello[:size]]


def test_a_tap_within_tls_goes_on_after_the_servers_consent():
    tap = Tap(SPEC)
    tap.hear(
        [(CLIENT, pack(">II", 8, 80877103)), (SERVER, b"S"), (CLIENT, startup(user="app", database="shop")), (SERVER, WELCOME)]
    )
    assert tap.messages[-2].attributes["database"] == "shop"
    assert tap.messages[-1].attributes["transaction_status"] == "idle"


def test_a_cancel_tells_whom_but_not_the_key():
    tap = Tap(SPEC)
    (message,) = tap.client(pack(">IIII", 16, 80877102, 42, 0xDEADBEEF))
    assert message.role is Role.SINGLE
    assert message.attributes == {"operation": "cancel", "process_id": 42}
    assert str(0xDEADBEEF) not in repr(message)


def test_a_refused_login():
    tap = Tap(SPEC)
    refusal = failed("28P01", "password authentication failed", "FATAL")
    tap.hear(
        [(CLIENT, startup(user="app")), (SERVER, said(b"R", pack(">I", 5) + b"salt")), (CLIENT, said(b"p", b"md5hunter2\0"))]
    )
    tap.server(refusal)
    (answer,) = answers(tap)
    assert answer.attributes["error_code"] == "28P01"
    assert answer.attributes["authentication"] == ["md5"]
    assert "hunter2" not in repr(tap.messages)


def test_values_of_parameters_and_columns():
    tap = ready()
    types = pack(">HIII", 3, 23, 16, 0)
    tap.client(said(b"P", b"s\0insert into t values ($1, $2, $3)\0" + types) + SYNC)
    tap.server(said(b"1") + READY)
    cells = pack(">H", 3) + pack(">ii", 4, -7) + pack(">i", 1) + b"\1" + pack(">i", 2) + b"\xca\xfe"
    tap.client(said(b"B", b"\0s\0" + pack(">HH", 1, 1) + cells + pack(">HH", 1, 1)) + EXECUTE + SYNC)
    column = b"n\0" + pack(">IHIHIH", 0, 0, 701, 8, 0, 1)
    tap.server(said(b"2") + said(b"T", pack(">H", 1) + column) + row(pack(">d", 1.5)) + done(b"SELECT 1") + READY)
    request, response = tap.messages[-2:]
    assert request.attributes["parameters"] == ["-7", "t", "\\xcafe"]
    assert request.body == b"insert into t values ($1, $2, $3)"
    assert response.body == b"n\n1.5\nSELECT 1\n"


def test_a_portal_is_fetched_from_in_parts():
    tap = ready()
    more = said(b"E", b"c\0" + pack(">I", 2))
    tap.client(prepare(b"", b"select * from large") + bind(b"c", b"") + more + SYNC)
    tap.server(said(b"1") + said(b"2") + row(b"1") + row(b"2") + said(b"s") + READY)
    tap.client(prepare(b"", b"select 'another'") + SYNC)
    tap.server(said(b"1") + READY)
    tap.client(more + SYNC)
    tap.server(row(b"3") + done(b"SELECT 1") + READY)
    parts = [(request, response) for request, response in pairs(tap.messages) if request == b"select * from large"]
    assert len(parts) == 2
    assert [answer.attributes.get("suspended") for answer in answers(tap)] == [True, None, None]


def test_a_statement_from_before_is_unknown_but_its_execution_is_decoded():
    tap = ready()
    tap.client(bind(b"", b"S_1", b"5") + EXECUTE + SYNC)
    tap.server(said(b"2") + row(b"5") + done(b"SELECT 1") + READY)
    request, response = tap.messages
    assert (request.attributes["statement"], request.attributes["parameters"]) == ("S_1", ["5"])
    assert "statement-unknown" in request.notes
    assert (response.exchange, response.attributes["rows"], response.complete) == (request.exchange, 1, True)


def test_after_an_error_the_batch_is_skipped_even_what_comes_later():
    tap = ready()
    one = prepare(b"", b"select 1") + bind(b"", b"") + EXECUTE
    tap.client(one + one)
    tap.server(failed("22012", "division by zero"))
    tap.client(one + SYNC + query(b"select 4"))
    tap.server(READY + done(b"SELECT 1") + READY)
    assert [answer.attributes.get("skipped") for answer in answers(tap)] == [None, True, True, None]
    assert answers(tap)[0].attributes["error_code"] == "22012"
    assert answers(tap)[-1].attributes["command_tag"] == "SELECT 1"


def test_several_statements_in_one_query():
    tap = ready()
    tap.client(query(b"insert ...; insert ...; select 1"))
    tap.server(done(b"INSERT 0 2") + done(b"INSERT 0 3") + described(("a", 23)) + row(b"1") + done(b"SELECT 1") + READY)
    (answer,) = answers(tap)
    facts = answer.attributes
    assert (facts["affected_rows"], facts["rows"]) == (5, 1)
    assert facts["command_tags"] == ["INSERT 0 2", "INSERT 0 3", "SELECT 1"]


def test_a_large_value_passes_by_in_step():
    tap = ready(Limits(head=2000, body=100))
    tap.client(query(b"select repeat('x', 1000000)"))
    large = described(("repeat", 25)) + row(b"x" * 1_000_000) + done(b"SELECT 1") + READY
    for at in range(0, len(large), 60_000):
        tap.server(large[at : at + 60_000])
        assert len(tap.parser.snapshot()) < 5000
    (answer,) = answers(tap)
    assert (answer.attributes["rows"], answer.body_size, answer.complete) == (1, len(large), True)
    assert "body-cut" in answer.notes


def test_a_hole_in_a_row_costs_no_more():
    tap = ready()
    tap.client(query(b"select 1"))
    result = described(("a", 25)) + row(b"x" * 100) + row(b"second") + done(b"SELECT 2") + READY
    hole = result.index(b"xxxx") + 10
    tap.hear([(SERVER, result[:hole]), (SERVER, Gap(50)), (SERVER, result[hole + 50 :])])
    (answer,) = answers(tap)
    assert (answer.attributes["rows"], answer.complete, answer.missing_bytes) == (2, False, 50)
    assert b"second" in answer.body


def test_a_server_that_ends_on_its_own():
    tap = ready()
    tap.server(failed("57P01", "terminating connection", "FATAL"))
    (answer,) = answers(tap)
    assert (answer.exchange, answer.attributes["error_code"]) == (0, "57P01")


def test_what_is_not_answered_at_the_end():
    tap = ready()
    tap.client(query(b"select pg_sleep(9)"))
    tap.server(described(("a", 25)))
    (answer,) = tap.close(End.LOST)
    assert (answer.complete, answer.exchange) == (False, 2)
