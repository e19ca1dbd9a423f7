"""MySQL and MariaDB, case by case."""

import zlib
from collections.abc import Callable
from struct import pack

import pytest
import zstandard

from fleetcap_streams.protocols.contract import Gap, Limits, Message, Role
from fleetcap_streams.protocols.mysql import SPEC
from fleetcap_streams.protocols.mysql.handshake import Capability
from tests.streams.protocols.conversations import (
    CAPABILITIES,
    EXECUTION,
    GREETING,
    PREPARED,
    PROOF,
    column,
    eof,
    ok,
    packet,
    packets,
    refused,
    short,
)
from tests.streams.protocols.tapping import CLIENT, JOINED, SERVER, Tap, pairs

EVERYTHING = 0xFFFFFFFF & ~Capability.SSL


def login(capabilities: int) -> bytes:
    length = short(PROOF)
    return pack("<IIB", capabilities, 1 << 24, 45) + bytes(23) + b"app\0" + length + b"shop\0native\0"


def ready(capabilities: int = CAPABILITIES, limits: Limits | None = None) -> Tap:
    """A tap on a connection that is past its login, where so much was agreed upon."""
    tap = Tap(SPEC, limits or Limits())
    offered = GREETING.replace(pack("<H", CAPABILITIES & 0xFFFF), pack("<H", EVERYTHING & 0xFFFF), 1)
    offered = offered.replace(pack("<HB", CAPABILITIES >> 16, 21), pack("<HB", EVERYTHING >> 16, 21), 1)
    tap.hear([(SERVER, packet(0, offered)), (CLIENT, packet(1, login(capabilities))), (SERVER, packet(2, ok()))])
    assert [message.role for message in tap.messages] == [Role.SINGLE, Role.REQUEST, Role.RESPONSE]
    tap.messages.clear()
    return tap


def joined() -> Tap:
    tap = Tap(SPEC)
    tap.hear(JOINED)
    return tap


def ask(statement: bytes) -> bytes:
    return packet(0, b"\3" + statement)


def last(tap: Tap) -> Message:
    return tap.messages[-1]


RESULT = (b"\1", column(b"a"))
ROWS = (short(b"x"), short(b"y"))


@pytest.mark.parametrize("tap", [ready(), joined()], ids=["known", "joined"])
def test_ends_of_columns_and_rows(tap: Tap):
    tap.client(ask(b"select a from t"))
    tap.server(packets(*RESULT, eof(), *ROWS, eof()))
    assert (last(tap).attributes["rows"], last(tap).body, last(tap).complete) == (2, b"a\nx\ny\n", True)


@pytest.mark.parametrize("tap", [ready(CAPABILITIES | Capability.DEPRECATE_EOF), joined()], ids=["known", "joined"])
def test_results_without_ends_of_columns(tap: Tap):
    end = b"\xfe" + ok()[1:]
    for rows in (ROWS, ()):
        tap.client(ask(b"select a from t"))
        tap.server(packets(*RESULT, *rows, end))
        assert (last(tap).attributes["rows"], last(tap).complete) == (len(rows), True)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("deprecated", [True, False])
def test_preparing_is_understood_without_having_seen_the_login(first: bool, deprecated: bool):  # noqa: FBT001
    tap = joined()
    between = () if deprecated else (eof(),)
    prepared = packets(PREPARED, column(b"?"), *between, column(b"id", 3), column(b"name"), *between)
    statement = b"\x16select id, name from t where id = ?"
    if not first:
        tap.client(ask(b"select 1"))
        tap.server(packets(*RESULT, *between, *ROWS, (b"\xfe" + ok()[1:]) if deprecated else eof()))
    tap.client(packet(0, statement))
    tap.server(prepared)
    tap.client(packet(0, EXECUTION))
    rows = (b"\0\0" + pack("<i", -5) + short(b"five"), (b"\xfe" + ok()[1:]) if deprecated else eof())
    tap.server(packets(b"\2", column(b"id", 3), column(b"name"), *between, *rows))
    assert (statement[1:], b"id\tname\n-5\tfive\n") in pairs(tap.messages)
    assert tap.messages[-2].attributes["parameters"] == ["-5"]


def test_a_statement_that_cannot_be_prepared():
    tap = ready()
    tap.client(packet(0, b"\x16selec"))
    tap.server(packets(refused(1064, b"42000", b"syntax")))
    assert (last(tap).attributes["error_code"], last(tap).attributes["sql_state"]) == (1064, "42000")


def squeezed(sequence: int, payload: bytes, method: str) -> bytes:
    """A compressed packet."""
    ways: dict[str, Callable[[bytes], bytes]] = {"zlib": zlib.compress, "zstd": zstandard.compress, "not": bytes}
    held = ways[method](payload)
    length = 0 if method == "not" else len(payload)
    return len(held).to_bytes(3, "little") + bytes((sequence,)) + length.to_bytes(3, "little") + held


@pytest.mark.parametrize("method", ["zlib", "zstd", "not"])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("size", [7, 10_000])
def test_compressed_connections(method: str, known: bool, size: int):  # noqa: FBT001
    capability = Capability.ZSTD if method == "zstd" else Capability.COMPRESS
    tap = ready(CAPABILITIES | capability) if known else joined()
    statement = b"select a from t where a <> '" + b"x" * 90 + b"'"
    result = packets(*RESULT, eof(), *[short(b"row %d" % number) for number in range(100)], eof())
    middle = len(result) // 2
    tap.client(squeezed(0, ask(statement), method if method != "zstd" else "zstd"))
    answer = squeezed(1, result[:middle], method) + squeezed(2, result[middle:], method)
    for at in range(0, len(answer), size):
        tap.server(answer[at : at + size])
    request, response = tap.messages[-2:]
    assert request.body == statement
    assert (response.attributes["rows"], response.complete) == (100, True)


def test_what_cannot_be_decompressed_is_a_hole_of_known_size():
    tap = ready(CAPABILITIES | Capability.COMPRESS)
    tap.client(squeezed(0, ask(b"select a from t"), "zlib"))
    rows = packets(*RESULT, eof(), short(b"x" * 200), eof())
    place = rows.index(b"xxx") + 20
    bad = squeezed(2, rows[place : place + 100], "zlib")
    bad = bad[:8] + b"\xff" * (len(bad) - 8)
    tap.server(squeezed(1, rows[:place], "zlib") + bad + squeezed(3, rows[place + 100 :], "zlib"))
    assert (last(tap).attributes["rows"], last(tap).complete, last(tap).missing_bytes) == (1, False, 100)


def test_a_bomb_is_let_out_in_pieces():
    tap = ready(CAPABILITIES | Capability.COMPRESS, Limits(head=20_000, body=1000))
    tap.client(squeezed(0, ask(b"select a from t"), "zlib"))
    tap.server(squeezed(1, packets(*RESULT, eof()) + (8_000_000).to_bytes(3, "little") + b"\4" + bytes(8_000_000), "zlib"))
    tap.server(squeezed(2, packets(eof(), first=5), "zlib"))
    assert last(tap).attributes["rows"] == 1
    assert len(tap.parser.snapshot()) < 30_000


@pytest.mark.parametrize("size", [1, 100])
def test_what_is_encrypted_is_handed_over(size: int):
    tap = Tap(SPEC)
    tap.server(packet(0, GREETING))
    tap.client(packet(1, login(CAPABILITIES | Capability.SSL)[:32]))
    for at in range(0, 40, size):
        tap.client((b"\x16\3\1\2\0\1" + bytes(34))[at : at + size])
    assert tap.switched is not None
    assert tap.switched.token == "tls"  # noqa: S105 - a protocol's name


def test_a_tap_within_tls_sees_the_whole_login():
    tap = Tap(SPEC)
    tap.server(packet(0, GREETING))
    tap.client(packet(1, login(CAPABILITIES | Capability.SSL)[:32]))
    tap.client(packet(2, login(CAPABILITIES | Capability.SSL)))
    tap.server(packet(3, b"\xfecaching_sha2_password\0salt"))
    tap.client(packet(4, b"hunter2"))
    tap.server(packet(5, ok()))
    request, response = tap.messages[-2:]
    assert (request.attributes["user"], request.attributes["database"]) == ("app", "shop")
    assert (response.exchange, response.complete) == (request.exchange, True)
    assert "hunter2" not in repr(tap.messages)


@pytest.mark.parametrize("known", [True, False])
def test_attributes_before_a_query_are_not_its_text(known: bool):  # noqa: FBT001
    tap = ready(CAPABILITIES | Capability.QUERY_ATTRIBUTES) if known else joined()
    tap.client(packet(0, b"\3\0\1select 1"))
    assert last(tap).body == b"select 1"
    if known:
        tap.server(packets(ok()))
        tap.client(packet(0, b"\3\1\1\0\1\xfe\0" + short(b"trace") + short(b"id-7") + b"select 2"))
        assert last(tap).body == b"select 2"


def test_a_file_is_sent_when_the_server_asks():
    tap = ready()
    tap.client(ask(b"load data local infile 'f' into table t"))
    tap.server(packets(b"\xfbf"))
    tap.client(packet(2, b"1\tone\n") + packet(3, b"2\ttwo\n") + packet(4, b""))
    tap.server(packet(5, ok(2)))
    facts = last(tap).attributes
    assert (facts["local_infile"], facts["local_infile_bytes"], facts["affected_rows"]) == ("f", 12, 2)


def test_commands_without_an_answer():
    tap = ready()
    tap.client(packet(0, b"\x19" + pack("<I", 9)) + packet(0, b"\x18" + pack("<IH", 9, 0) + b"data") + packet(0, b"\1"))
    assert [message.role for message in tap.messages] == [Role.SINGLE] * 3


def test_a_change_of_user():
    tap = ready()
    tap.client(packet(0, b"\x11other\0" + short(PROOF) + b"store\0" + pack("<H", 45) + b"native\0"))
    tap.server(packet(1, b"\xfecaching\0salt"))
    tap.client(packet(2, PROOF))
    tap.server(packet(3, ok()))
    request, response = tap.messages
    assert (request.attributes["user"], request.attributes["database"]) == ("other", "store")
    assert (response.exchange, response.complete) == (request.exchange, True)
    assert PROOF.decode() not in repr(tap.messages)


def test_too_many_connections():
    tap = Tap(SPEC)
    tap.server(packet(0, b"\xff" + pack("<H", 1040) + b"Too many connections"))
    assert (last(tap).attributes["error_code"], last(tap).attributes["error"]) == (1040, "Too many connections")


def test_rows_lost_are_missing_and_the_next_command_is_whole():
    tap = ready()
    tap.client(ask(b"select a from t"))
    rows = packets(*RESULT, eof(), *ROWS * 50, eof())
    tap.hear([(SERVER, rows[:100]), (SERVER, Gap(50)), (SERVER, rows[150:])])
    tap.client(ask(b"select 2"))
    tap.server(packets(*RESULT, eof(), short(b"2"), eof()))
    answers = [message for message in tap.messages if message.role is Role.RESPONSE]
    assert answers[0].complete is False
    assert pairs(tap.messages) == [(b"select 2", b"a\n2\n")]
