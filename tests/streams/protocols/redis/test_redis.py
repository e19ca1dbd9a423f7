"""Redis, case by case."""

import pytest

from fleetcap_streams.protocols.contract import End, Gap, Limits, Message, Role
from fleetcap_streams.protocols.redis import SPEC
from tests.streams.protocols.conversations import command
from tests.streams.protocols.tapping import SERVER, Tap


def answered(reply: bytes, asked: bytes = b"X", limits: Limits | None = None) -> Message:
    tap = Tap(SPEC, limits or Limits())
    tap.client(command(*asked.split()))
    (message,) = tap.server(reply)
    assert (message.role, message.exchange) == (Role.RESPONSE, 1)
    return message


@pytest.mark.parametrize(
    ("reply", "kind", "body"),
    [
        (b"+OK\r\n", "simple_string", b"OK"),
        (b":-7\r\n", "integer", b"-7"),
        (b"$3\r\na\r\n\r\n", "bulk_string", b"a\r\n"),
        (b"$0\r\n\r\n", "bulk_string", b""),
        (b"$-1\r\n", "null", b"(nil)"),
        (b"*-1\r\n", "null", b"(nil)"),
        (b"_\r\n", "null", b"(nil)"),
        (b"*0\r\n", "array", b"(empty)"),
        (b"*2\r\n:1\r\n*2\r\n$1\r\na\r\n$-1\r\n", "array", b"1\n  a\n  (nil)"),
        (b"%1\r\n+k\r\n~2\r\n#t\r\n,1.5\r\n", "map", b"k\n  t\n  1.5"),
        (b"=8\r\ntxt:text\r\n", "verbatim_string", b"text"),
        (b"(12345678901234567890\r\n", "big_number", b"12345678901234567890"),
        (b"|1\r\n+ttl\r\n:9\r\n$1\r\na\r\n", "bulk_string", b"a"),
        (b"*2\r\n|1\r\n+k\r\n*1\r\n+v\r\n:1\r\n:2\r\n", "array", b"1\n2"),
        (b"$?\r\n;2\r\nab\r\n;1\r\nc\r\n;0\r\n", "bulk_string", b"ab\nc"),
        (b"*?\r\n:1\r\n*?\r\n.\r\n.\r\n", "array", b"1"),
    ],
)
def test_every_type_of_answer(reply: bytes, kind: str, body: bytes):
    message = answered(reply)
    assert (message.attributes["type"], message.body, message.complete) == (kind, body, True)
    assert message.body_size == len(reply)


@pytest.mark.parametrize("reply", [b"-WRONGTYPE no list\r\n", b"!18\r\nWRONGTYPE no list!\r\n"])
def test_errors_have_codes(reply: bytes):
    message = answered(reply)
    assert message.attributes["error_code"] == "WRONGTYPE"
    assert str(message.attributes["error"]).startswith("WRONGTYPE no list")


def test_errors_within_a_transaction_are_counted():
    facts = answered(b"*2\r\n+OK\r\n-ERR bad\r\n", b"EXEC").attributes
    assert (facts["type"], facts["rows"], facts["errors"]) == ("array", 2, 1)
    assert "error_code" not in facts


def test_a_long_string_passes_by_in_step():
    tap = Tap(SPEC, Limits(head=1000, body=100))
    tap.client(command(b"GET", b"a") + command(b"GET", b"b"))
    for piece in (b"$500000\r\n", *[b"x" * 50_000] * 10, b"\r\n$1\r\ny\r\n"):
        tap.server(piece)
    long, after = tap.messages[-2:]
    assert (long.body_size, long.complete, long.notes) == (500_011, True, ("body-cut",))
    assert len(long.body) <= 100
    assert (after.body, after.exchange) == (b"y", 2)


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        (b"AUTH hunter2", b"AUTH (hidden)"),
        (b"auth bob hunter2", b"auth bob (hidden)"),
        (b"HELLO 3 AUTH bob hunter2 SETNAME x", b"HELLO 3 AUTH bob (hidden) SETNAME x"),
        (b"CONFIG SET maxmemory 1 requirepass hunter2", b"CONFIG SET maxmemory 1 requirepass (hidden)"),
        (b"ACL SETUSER bob on >hunter2 ~*", b"ACL SETUSER bob on (hidden) ~*"),
        (b"MIGRATE h 1 k 0 9 AUTH hunter2", b"MIGRATE h 1 k 0 9 AUTH (hidden)"),
        (b"MIGRATE h 1 k 0 9 AUTH2 bob hunter2", b"MIGRATE h 1 k 0 9 AUTH2 bob (hidden)"),
    ],
)
def test_passwords_are_left_out(asked: bytes, shown: bytes):
    for said in (command(*asked.split()), asked + b"\r\n"):
        (message,) = Tap(SPEC).client(said)
        assert message.body == shown
        assert "hunter2" not in repr(message)
        assert "secret-hidden" in message.notes


def test_a_password_that_the_server_tells_is_left_out():
    message = answered(b"*2\r\n$11\r\nrequirepass\r\n$7\r\nhunter2\r\n", b"CONFIG GET requirepass")
    assert message.body == b"requirepass\n(hidden)"


def test_published_messages_are_no_answers():
    tap = Tap(SPEC)
    tap.client(command(b"SUBSCRIBE", b"a", b"b"))
    tap.server(b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n")
    tap.server(b"*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\na\r\n$2\r\nhi\r\n")
    assert [message.role for message in tap.messages[1:]] == [Role.INTERIM, Role.SINGLE, Role.RESPONSE, Role.SINGLE]
    assert [message.attributes.get("pattern") for message in tap.messages[1:]] == [None, None, None, "*"]


def test_a_list_that_looks_like_a_published_message_is_an_answer():
    assert answered(b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n", b"LRANGE l 0 -1").attributes["rows"] == 3


def test_commands_that_ask_for_no_answer_get_none():
    tap = Tap(SPEC)
    tap.client(command(b"CLIENT", b"REPLY", b"SKIP") + command(b"SET", b"k", b"v") + command(b"GET", b"k"))
    tap.server(b"$1\r\nv\r\n")
    assert [(message.role, message.exchange) for message in tap.messages] == [
        (Role.SINGLE, 0),
        (Role.SINGLE, 0),
        (Role.REQUEST, 1),
        (Role.RESPONSE, 1),
    ]


def test_who_asks_is_found_out_in_the_middle():
    tap = Tap(SPEC)
    tap.server(b"+OK\r\n")
    tap.client(command(b"SOME.MODULE", b"x"))
    assert tap.messages[-1].role is Role.REQUEST


def test_a_broken_answer_ends_with_the_next_question():
    tap = Tap(SPEC)
    tap.client(command(b"LRANGE", b"l", b"0", b"-1"))
    tap.server(b"*300\r\n$1\r\na\r\n")
    tap.see(SERVER, Gap(500))
    tap.server(b"$1\r\nz\r\n")
    tap.client(command(b"GET", b"k"))
    tap.server(b"$1\r\nv\r\n")
    broken, _, after = tap.messages[1:]
    assert (broken.exchange, broken.body, broken.complete) == (1, b"a\nz", False)
    assert (after.exchange, after.body, after.complete) == (2, b"v", True)


def test_a_pipeline_cut_by_the_end_keeps_what_was_whole():
    tap = Tap(SPEC)
    tap.client(command(b"GET", b"k") * 3)
    tap.server(b"$1\r\na\r\n$1\r\nb\r\n$5\r\nab")
    rest = tap.close(End.LOST)
    assert [(message.body, message.complete, message.exchange) for message in rest] == [(b"ab", False, 3)]
