"""NATS, case by case."""

import json

import pytest

from fleetcap_streams.protocols.contract import Attribute, End, Gap, Limits, Message, Opening, Role, Score
from fleetcap_streams.protocols.nats import SPEC
from tests.streams.protocols.tapping import CLIENT, SERVER, Conversation, Tap, decoded, pairs

INFO = b'INFO {"server_id":"NA","version":"2.10.7","max_payload":1024,"port":4222}\r\n'
VERBOSE = b'CONNECT {"verbose":true}\r\n'
QUIET = b'CONNECT {"verbose":false}\r\n'


def spoken(*said: tuple[int, bytes], limits: Limits | None = None) -> list[Message]:
    tap = Tap(SPEC, limits or Limits())
    for direction, data in said:
        tap.see(CLIENT if direction else SERVER, data)
    return tap.messages


@pytest.mark.parametrize(
    ("unit", "body", "attributes"),
    [
        (b"PUB a.b 2\r\nhi\r\n", b"hi", {"operation": "PUB", "subject": "a.b"}),
        (b"pub\ta.b  c \t 0\n\r\n", b"", {"operation": "PUB", "subject": "a.b", "reply_to": "c"}),
        (b"PUB a 4\r\n\r\n\r\n\r\n", b"\r\n\r\n", {"operation": "PUB", "subject": "a"}),
        (
            b"HPUB a b 27 28\r\nNATS/1.0\r\nA: 1\r\na:\r\nA:2\r\n\r\n!\r\n",
            b"!",
            {"operation": "HPUB", "subject": "a", "reply_to": "b", "headers": [("A", "1"), ("a", ""), ("A", "2")]},
        ),
        (b"SUB a q 7\r\n", b"SUB a q 7", {"operation": "SUB", "subject": "a", "queue": "q", "sid": "7"}),
        (b"SUB a  7\r\n", b"SUB a  7", {"operation": "SUB", "subject": "a", "sid": "7"}),
        (b"UNSUB 7 5\r\n", b"UNSUB 7 5", {"operation": "UNSUB", "sid": "7", "max_messages": 5}),
        (b"UnSub 7\r\n", b"UnSub 7", {"operation": "UNSUB", "sid": "7"}),
        (b"PONG \r\n", b"PONG ", {"operation": "PONG"}),
    ],
)
def test_what_clients_say(unit: bytes, body: bytes, attributes: dict[str, Attribute]):
    message = spoken((0, INFO), (1, QUIET), (1, unit))[-1]
    assert (message.body, message.attributes) == (body, attributes)
    assert message.complete
    assert message.role is (Role.RESPONSE if unit.startswith(b"PONG") else Role.SINGLE)


@pytest.mark.parametrize(
    ("unit", "body", "attributes"),
    [
        (b"MSG a 7 2\r\nhi\r\n", b"hi", {"subject": "a", "sid": "7"}),
        (b"MSG a 7 r 2\r\nhi\r\n", b"hi", {"subject": "a", "sid": "7", "reply_to": "r"}),
        (b"HMSG a 7 16 16\r\nNATS/1.0 503\r\n\r\n\r\n", b"", {"subject": "a", "sid": "7", "status": 503}),
        (
            b"HMSG a 7 r 37 38\r\nNATS/1.0 100 Idle Heartbeat\r\nK: v\r\n\r\n.\r\n",
            b".",
            {
                "subject": "a",
                "sid": "7",
                "reply_to": "r",
                "status": 100,
                "description": "Idle Heartbeat",
                "headers": [("K", "v")],
            },
        ),
        (b"-ERR 'Stale Connection'\r\n", b"-ERR 'Stale Connection'", {"error": "Stale Connection"}),
        (b"LMSG a.b 1\r\nx\r\n", b"x", {"subject": "a.b"}),
        (b"RMSG $G a.b + r q 1\r\nx\r\n", b"x", {"account": "$G", "subject": "a.b"}),
        (b"RS+ $G a.b q 1\r\n", b"RS+ $G a.b q 1", {"account": "$G", "subject": "a.b"}),
    ],
)
def test_what_servers_say(unit: bytes, body: bytes, attributes: dict[str, Attribute]):
    message = spoken((0, INFO), (0, unit))[-1]
    assert message.attributes == {"operation": unit.split()[0].decode(), **attributes}
    assert (message.body, message.role, message.complete) == (body, Role.SINGLE, True)


def test_what_stands_before_a_payload_is_the_head():
    message = spoken((0, INFO), (0, b"HMSG a 7 16 18\r\nNATS/1.0 503\r\n\r\nhi\r\n"))[-1]
    assert (message.head, message.body) == (b"HMSG a 7 16 18\r\nNATS/1.0 503\r\n\r\n", b"hi")
    assert (message.body_size, message.encoded_size) == (2, 2)


def test_greetings_tell_who_is_there():
    connect = b'CONNECT {"verbose":false,"name":"me","lang":"go","version":"1.25","user":"app","pedantic":true,"echo":true}\r\n'
    info, connected = spoken((0, INFO), (1, connect))
    assert info.attributes == {
        "operation": "INFO",
        "server_id": "NA",
        "server_version": "2.10.7",
        "max_payload": 1024,
        "port": 4222,
    }
    assert connected.attributes == {
        "operation": "CONNECT",
        "verbose": False,
        "client_name": "me",
        "client_language": "go",
        "client_version": "1.25",
        "user": "app",
        "pedantic": True,
    }


@pytest.mark.parametrize("key", ["pass", "auth_token", "jwt", "sig", "nkey", "PASS", "Auth_Token", "pa\u017fs"])
@pytest.mark.parametrize("value", ["hunter2", ["hunter2"], {"a": "hunter2"}])
def test_what_proves_an_identity_is_left_out(key: str, value: object):
    connect = json.dumps({"verbose": False, key: value, "name": "me"}).encode()
    (message,) = spoken((1, b"CONNECT " + connect + b"\r\n"))
    assert json.loads(message.body) == {"verbose": False, key: "(hidden)", "name": "me"}
    assert (message.notes, message.head, message.body_size) == (("secret-hidden",), b"CONNECT ", len(connect))
    assert "hunter2" not in repr(message)


@pytest.mark.parametrize(
    "broken", [b'{"pass":"hunter2"', b'["hunter2"]', b'{"pass":"hunter2\xff"}', b'{"a":' * 9000 + b'"hunter2"']
)
def test_a_greeting_that_cannot_be_read_is_not_shown(broken: bytes):
    (message,) = spoken((1, b"CONNECT " + broken + b"\r\n"))
    assert message.body == b""
    assert "secret-hidden" in message.notes


def test_a_greeting_that_breaks_off_is_not_shown():
    tap = Tap(SPEC)
    tap.client(b'CONNECT {"pass":"hunter2"')
    (message,) = tap.client(b"") or tap.close()
    assert (message.body, message.complete, message.attributes) == (b"", False, {"operation": "CONNECT"})


def roles(messages: list[Message]) -> list[tuple[str, Role, int]]:
    return [(str(message.attributes["operation"]), message.role, message.exchange) for message in messages]


def test_a_quiet_client_is_answered_to_pings_only():
    said = spoken((0, INFO), (1, QUIET + b"PUB a 0\r\n\r\nPING\r\nPING\r\n"), (0, b"PONG\r\nPING\r\nPONG\r\n"), (1, b"PONG\r\n"))
    assert roles(said)[2:] == [
        ("PUB", Role.SINGLE, 0),
        ("PING", Role.REQUEST, 1),
        ("PING", Role.REQUEST, 2),
        ("PONG", Role.RESPONSE, 1),
        ("PING", Role.REQUEST, 3),
        ("PONG", Role.RESPONSE, 2),
        ("PONG", Role.RESPONSE, 3),
    ]


@pytest.mark.parametrize("connect", [VERBOSE, b'CONNECT {"lang":"go"}\r\n'], ids=["said so", "by default"])
def test_a_verbose_client_is_answered_to_every_command(connect: bytes):
    said = spoken((0, INFO), (1, connect + b"SUB a 1\r\nPUB a 1\r\nx\r\n"), (0, b"+OK\r\n-ERR 'No'\r\nMSG a 1 1\r\nx\r\n+OK\r\n"))
    assert roles(said)[1:] == [
        ("CONNECT", Role.REQUEST, 1),
        ("SUB", Role.REQUEST, 2),
        ("PUB", Role.REQUEST, 3),
        ("+OK", Role.RESPONSE, 1),
        ("-ERR", Role.RESPONSE, 2),
        ("MSG", Role.SINGLE, 0),
        ("+OK", Role.RESPONSE, 3),
    ]
    assert said[5].attributes == {"operation": "-ERR", "error": "No", "answers": "SUB"}


@pytest.mark.parametrize(
    "error", ["Stale Connection", "Slow Consumer", "Unknown Protocol Operation", "User Authentication Expired"]
)
def test_an_error_that_answers_nothing_takes_nobody_s_turn(error: str):
    said = spoken((0, INFO), (1, VERBOSE + b"SUB a 1\r\n"), (0, b"+OK\r\n-ERR '" + error.encode() + b"'\r\n+OK\r\n"))
    assert roles(said)[3:] == [("+OK", Role.RESPONSE, 1), ("-ERR", Role.SINGLE, 0), ("+OK", Role.RESPONSE, 2)]


def test_an_error_that_only_warns_comes_before_the_answer():
    said = spoken((0, INFO), (1, VERBOSE + b"PUB a.* 0\r\n\r\n"), (0, b"+OK\r\n-ERR 'Invalid Publish Subject'\r\n+OK\r\n"))
    assert roles(said)[3:] == [("+OK", Role.RESPONSE, 1), ("-ERR", Role.INTERIM, 2), ("+OK", Role.RESPONSE, 2)]


def test_joined_later_a_verbose_client_shows_itself():
    tap = Tap(SPEC)
    tap.hear([(CLIENT, Gap(0)), (SERVER, Gap(0)), (CLIENT, b"PUB a 1\r\nx\r\n"), (SERVER, b"+OK\r\n")])
    assert roles(tap.messages) == [("PUB", Role.SINGLE, 0), ("+OK", Role.RESPONSE, 0)]
    assert not tap.messages[-1].complete
    tap.hear([(CLIENT, b"PUB a 1\r\ny\r\n"), (SERVER, b"+OK\r\n")])  # it may be one behind
    assert pairs(tap.messages) == []
    for direction in (CLIENT, SERVER):
        tap.see(direction, End.IDLE)
    tap.hear([(CLIENT, b"PUB a 1\r\nz\r\n"), (SERVER, b"+OK\r\n")])
    assert pairs(tap.messages) == [(b"z", b"+OK")]


def test_an_answer_tells_which_request_it_is_for():
    said = spoken(
        (1, QUIET + b"PUB ask.me _INBOX.1 1\r\n?\r\n"),
        (0, b"MSG _INBOX.1 9 1\r\n!\r\n"),
        (0, b"MSG serve.me 9 _INBOX.2 1\r\n?\r\n"),
        (1, b"PUB _INBOX.2 1\r\n!\r\nPUB _INBOX.3 1\r\n!\r\n"),
    )
    assert [message.attributes.get("in_reply_to") for message in said[1:]] == [None, "ask.me", None, "serve.me", None]


def test_requests_that_are_remembered_have_a_limit():
    tap = Tap(SPEC, Limits(pending=2))
    tap.client(QUIET + b"".join(b"PUB ask.%d in.%d 0\r\n\r\n" % (number, number) for number in range(3)))
    tap.server(b"MSG in.0 1 0\r\n\r\nMSG in.1 1 0\r\n\r\nMSG in.2 1 0\r\n\r\n")
    assert [message.attributes.get("in_reply_to") for message in tap.messages[-3:]] == [None, "ask.1", "ask.2"]


def test_a_hole_in_a_payload_costs_that_message_only():
    tap = Tap(SPEC)
    tap.hear([(SERVER, INFO), (SERVER, b"MSG a 1 10\r\nabc"), (SERVER, Gap(4)), (SERVER, b"hij\r\nMSG b 1 1\r\nx\r\n")])
    holed, whole = tap.messages[1:]
    assert (holed.body, holed.body_size, holed.missing_bytes, holed.complete) == (b"abc", 10, 4, False)
    assert (holed.notes, holed.attributes["subject"]) == (("truncated",), "a")
    assert (whole.body, whole.complete, whole.notes) == (b"x", True, ())


def test_a_long_payload_is_cut_and_counted():
    message = spoken((1, QUIET), (1, b"PUB a 5000\r\n" + bytes(5000) + b"\r\n"), limits=Limits(body=100, head=1000))[-1]
    assert (len(message.body), message.body_size, message.complete, message.notes) == (100, 5000, True, ("body-cut",))


def test_what_is_no_unit_costs_what_it_is():
    said = spoken((0, INFO), (1, QUIET), (1, b"DEADBEEF\r\nPING\r\n"), (0, b"-ERR 'Unknown Protocol Operation'\r\n"))
    assert roles(said)[2:] == [("PING", Role.REQUEST, 1), ("-ERR", Role.SINGLE, 0)]
    assert said[2].notes == ("resynchronised",)


def test_a_payload_that_does_not_end_where_it_says_is_none():
    said = spoken((0, INFO), (0, b"MSG a 1 2\r\nhello\r\nPING\r\n"))
    assert roles(said)[1:] == [("PING", Role.REQUEST, 1)]


@pytest.mark.parametrize(
    ("left", "found"),
    [
        (b"SUB 1 5\r\n", []),  # of UNSUB 1 5
        (b"PUB a 22 27\r\nNATS/1.0\r\nBar: Baz\r\n\r\nwhat?\r\n", []),  # of HPUB
        (b"PUB a 22 5\r\nwhat?\r\n", ["PUB"]),
        (b"SUB a  5\r\n", ["SUB"]),
        (b"sub a q 5\r\n", ["SUB"]),
        (b"llo\r\nSUB 1 5\r\n", ["SUB"]),
        (b"llo\r\nping\r\n", []),  # a payload of text
    ],
)
def test_behind_a_hole_a_part_of_a_line_is_not_taken_for_another(left: bytes, found: list[str]):
    tap = Tap(SPEC)
    tap.hear([(CLIENT, QUIET), (CLIENT, Gap(2)), (CLIENT, left), (CLIENT, b"PING\r\n")])
    assert [message.attributes["operation"] for message in tap.messages[1:]] == [*found, "PING"]


@pytest.mark.parametrize(
    ("received", "sent", "joined", "score"),
    [
        (INFO, b"", False, Score.YES),
        (b'INFO {"server', b"", False, Score.MORE),
        (b'INFO {"redis":1}\r\n', b"", False, Score.NO),
        (b"", b'CONNECT {"verbose":true', False, Score.YES),
        (b"", b"CONNECT example.org:443 HTTP/1.1\r\n", False, Score.NO),
        (b"", b"SUB a 1\r\n", False, Score.YES),
        (b"", b"SUB", False, Score.MORE),
        (b"", b"PUB a 5\r\nhel", False, Score.MORE),
        (b"", b"PUB a 5\r\nhello\r\n", False, Score.YES),
        (b"", b"PUB a 5\r\nhello!\r\n", False, Score.NO),
        (b"", b"PUB a 50000\r\nhello", False, Score.MAYBE),
        (b"PONG\r\n", b"PING\r\n", True, Score.MAYBE),
        (b"+PONG\r\n", b"PING\r\n", True, Score.MORE),
        (b"+OK\r\n", b"USER me\r\n", False, Score.NO),
        (b"+OK\r\n", b"", True, Score.MORE),
        (b"llo\r\nMSG a 1 2\r\nhi\r\n", b"", True, Score.MAYBE),
        (b"llo\r\nMSG a 1 2\r\nhi\r\n", b"", False, Score.NO),
        (bytes(5000), bytes(5000), True, Score.NO),
    ],
)
def test_the_probe(received: bytes, sent: bytes, joined: bool, score: Score):  # noqa: FBT001
    assert SPEC.probe(Opening(received, sent, joined, None)) is score


def test_a_conversation_of_a_cluster_goes_both_ways():
    talk: Conversation = (
        (SERVER, INFO),
        (CLIENT, b'CONNECT {"verbose":false,"name":"n1"}\r\n' + INFO + b"PING\r\n"),
        (SERVER, b"PONG\r\nRS+ $G a.b\r\nRMSG $G a.b 2\r\nhi\r\nHMSG $G a.b + r q 12 13\r\nNATS/1.0\r\n\r\nx\r\n"),
    )
    messages = decoded(SPEC, talk)
    assert all(message.complete and not message.notes for message in messages)
    assert [message.attributes.get("subject") for message in messages[-3:]] == ["a.b"] * 3
