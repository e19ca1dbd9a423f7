"""AMQP 0-9-1, case by case."""

import re
from struct import pack

import pytest

from fleetcap_streams.protocols.amqp import SPEC, wire
from fleetcap_streams.protocols.amqp.methods import METHODS
from fleetcap_streams.protocols.contract import Attribute, Direction, End, Gap, Limits, Message, Opening, Role, Score
from tests.streams.protocols.conversations import (
    AMQP,
    AMQP_DECLARE,
    AMQP_DECLARED,
    AMQP_GREETING,
    amqp_ack,
    amqp_content,
    amqp_deliver,
    amqp_frame,
    amqp_long,
    amqp_method,
    amqp_publish,
    amqp_short,
)
from tests.streams.protocols.tapping import CLIENT, JOINED, SERVER, Tap, pairs

OPEN = amqp_method(1, 20, 10, b"\0")
OPENED = amqp_method(1, 20, 11, bytes(4))
CONFIRM = amqp_method(1, 85, 10, b"\0")
CONFIRMED = amqp_method(1, 85, 11)
HEARTBEAT = b"\x08\0\0\0\0\0\0\xce"


def opened(limits: Limits | None = None) -> Tap:
    tap = Tap(SPEC, limits or Limits())
    tap.hear([(CLIENT, OPEN), (SERVER, OPENED)])
    return tap


def publishing(limits: Limits | None = None) -> Tap:
    tap = opened(limits)
    tap.hear([(CLIENT, CONFIRM), (SERVER, CONFIRMED)])
    return tap


def close(channel: int, class_id: int, code: int, text: bytes, failing: tuple[int, int] = (0, 0)) -> bytes:
    return amqp_method(
        channel, class_id, 50 if class_id == 10 else 40, pack(">H", code) + amqp_short(text) + pack(">HH", *failing)
    )


def table(*members: tuple[bytes, bytes]) -> bytes:
    return amqp_long(b"".join(amqp_short(name) + value for name, value in members))


def parts(messages: list[Message]) -> list[tuple[str, Role, int]]:
    return [(str(message.attributes["operation"]), message.role, message.exchange) for message in messages]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            amqp_method(1, 40, 10, b"\0\0\1x\6direct\x12" + table()),
            {"exchange": "x", "type": "direct", "durable": True, "no_wait": True},
        ),
        (amqp_method(1, 50, 20, b"\0\0\1q\1x\3a.b\1" + table()), {"queue": "q", "exchange": "x", "routing_key": "a.b"}),
        (amqp_method(1, 60, 10, pack(">IHB", 0, 250, 1)), {"prefetch_size": 0, "prefetch_count": 250, "global": True}),
        (amqp_method(1, 60, 90, pack(">QB", 7, 1)), {"delivery_tag": 7, "requeue": True}),
        (amqp_method(1, 60, 120, pack(">QB", 1 << 63, 3)), {"delivery_tag": 1 << 63, "multiple": True, "requeue": True}),
        (amqp_method(1, 90, 20), {}),
        (amqp_method(0, 10, 60, amqp_short(b"low on memory")), {"reason": "low on memory"}),
        (amqp_method(0, 10, 31, pack(">HIH", 1, 131072, 60)), {"channel_max": 1, "frame_max": 131072, "heartbeat": 60}),
        (
            close(1, 20, 404, b"NOT_FOUND", (50, 10)),
            {"reply_code": 404, "error_code": 404, "error": "NOT_FOUND", "failing_method": "queue.declare"},
        ),
        (close(0, 10, 200, b"bye"), {"reply_code": 200, "reply_text": "bye"}),
        (close(1, 20, 404, b"x", (77, 1)), {"failing_method": "77.1"}),
    ],
)
def test_what_methods_say(said: bytes, told: dict[str, Attribute]):
    message = opened().client(said)[-1]
    assert told.items() <= message.attributes.items()
    assert message.complete
    assert message.body.startswith(str(message.attributes["operation"]).encode())
    assert not {name for name in message.attributes if name.startswith("_")}
    assert ("error" in message.attributes) is (b"\1\x94" in said)


def test_arguments_of_every_type_in_a_table():
    arguments = table(
        (b"t", b"t\1"),
        (b"b", b"b\xff"),
        (b"B", b"B\xff"),
        (b"s", b"s\xff\xfe"),
        (b"u", b"u\xff\xfe"),
        (b"I", b"I\xff\xff\xff\xfd"),
        (b"i", b"i\xff\xff\xff\xfd"),
        (b"l", b"l" + pack(">q", -9)),
        (b"f", b"f" + pack(">f", 0.5)),
        (b"d", b"d" + pack(">d", 0.25)),
        (b"D", b"D\2" + pack(">i", -12345)),
        (b"D small", b"D\3" + pack(">i", 5)),
        (b"S", b"S" + amqp_long(b"text\xff")),
        (b"x", b"x" + amqp_long(b"bytes")),
        (b"T", b"T" + pack(">Q", 1700000000)),
        (b"V", b"V"),
        (b"F", b"F" + table((b"in", b"t\0"))),
        (b"A", b"A" + amqp_long(b"t\1S" + amqp_long(b"two"))),
    )
    message = opened().client(amqp_method(1, 50, 10, b"\0\0\1q\0" + arguments))[-1]
    assert message.attributes["arguments"] == {
        "t": True,
        "b": -1,
        "B": 255,
        "s": -2,
        "u": 65534,
        "I": -3,
        "i": 4294967293,
        "l": -9,
        "f": 0.5,
        "d": 0.25,
        "D": "-123.45",
        "D small": "0.005",
        "S": "text\\xff",
        "x": "bytes",
        "T": 1700000000,
        "V": None,
        "F": {"in": False},
        "A": [True, "two"],
    }


def test_tables_are_shown_up_to_a_depth_and_a_width():
    deep = b"t\1"
    for _ in range(500):
        deep = b"F" + table((b"a", deep))
    wide = table(*((b"%d" % number, b"t\1") for number in range(1000)))
    tap = opened()
    shown = tap.client(amqp_method(1, 50, 10, b"\0\0\1q\0" + table((b"deep", deep))))[-1]
    assert shown.complete
    assert 5 < str(shown.attributes["arguments"]).count("'a'") < 20
    shown = tap.client(amqp_method(1, 50, 10, b"\0\0\1q\0" + wide))[-1]
    assert shown.complete
    assert 50 < str(shown.attributes["arguments"]).count("True") < 300


@pytest.mark.parametrize(
    "arguments",
    [
        b"",
        b"\0\0\5q",
        b"\0\0\1q\0\0\0\0\x09\1at\1",
        b"\0\0\1q\0" + table((b"a", b"?")),
        b"\0\0\1q\0" + amqp_long(b"\1aF\0\0\0\xff"),
    ],
)
def test_a_method_that_is_not_what_it_says(arguments: bytes):
    message = opened().client(amqp_method(1, 50, 10, arguments))[-1]
    assert (message.complete, message.notes) == (False, ("unreadable",))


def test_every_property_of_a_content():
    properties = (
        pack(">H", 0xFFFC)
        + amqp_short(b"text/plain")
        + amqp_short(b"gzip")
        + table((b"n", b"I\0\0\0\1"))
        + b"\2\5"
        + b"".join(map(amqp_short, (b"corr", b"reply", b"60000", b"id")))
        + pack(">Q", 1700000000)
        + b"".join(map(amqp_short, (b"kind", b"guest", b"app", b"cluster")))
    )
    (message,) = opened().client(amqp_publish(1, b"x", b"k") + amqp_content(1, b"body", properties))
    assert message.attributes == {
        "operation": "basic.publish",
        "channel": 1,
        "exchange": "x",
        "routing_key": "k",
        "mandatory": False,
        "immediate": False,
        "content_type": "text/plain",
        "content_encoding": "gzip",
        "headers": {"n": 1},
        "delivery_mode": 2,
        "priority": 5,
        "correlation_id": "corr",
        "reply_to": "reply",
        "expiration": "60000",
        "message_id": "id",
        "timestamp": 1700000000,
        "type": "kind",
        "user_id": "guest",
        "app_id": "app",
        "cluster_id": "cluster",
    }
    assert (message.body, message.body_size, message.role, message.complete) == (b"body", 4, Role.SINGLE, True)
    assert message.head.startswith(b"basic.publish channel=1 exchange=x routing_key=k content_type=text/plain ")


@pytest.mark.parametrize(
    ("said", "hidden"),
    [
        (amqp_method(0, 10, 11, table() + b"\5PLAIN" + amqp_long(b"\0app\0hunter2") + b"\0"), "response"),
        (amqp_method(0, 10, 20, amqp_long(b"hunter2")), "challenge"),
        (amqp_method(0, 10, 21, amqp_long(b"hunter2")), "response"),
        (amqp_method(0, 10, 70, amqp_long(b"hunter2") + b"\3why"), "new_secret"),
        (amqp_method(0, 10, 11, table() + b"\5PLAIN" + amqp_long(b"\0app\0hunter2") + b"\xff"), "response"),  # broken
    ],
)
def test_what_proves_an_identity_is_left_out(said: bytes, hidden: str):
    message = Tap(SPEC).client(said)[-1]
    assert hidden not in message.attributes
    assert "secret-hidden" in message.notes
    assert "hunter2" not in repr(message)


def test_a_body_in_frames_is_one_message_among_others():
    tap = opened()
    body = bytes(range(256)) * 4
    content = amqp_content(1, body, most=300)
    tap.client(OPEN.replace(b"\1\0\1", b"\1\0\2", 1))
    tap.client(amqp_publish(1, b"", b"one") + content[:330])
    tap.client(amqp_publish(2, b"", b"two") + amqp_content(2, b"between"))
    tap.client(HEARTBEAT + content[330:])
    assert [(message.attributes["operation"], message.body) for message in tap.messages[-2:]] == [
        ("heartbeat", b"heartbeat"),
        ("basic.publish", body),
    ]
    assert tap.messages[-3].body == b"between"
    assert tap.messages[-1].complete


def test_a_long_body_is_cut_and_counted():
    tap = opened(Limits(body=100, head=1000))
    (message,) = tap.client(amqp_publish(1, b"", b"k") + amqp_content(1, bytes(5000), most=1500))
    assert (len(message.body), message.body_size, message.notes, message.complete) == (100, 5000, ("body-cut",), True)


def test_contents_of_many_channels_share_their_room():
    tap = Tap(SPEC, Limits(body=1000, head=3000, pending=100))
    for channel in range(1, 21):
        tap.client(amqp_method(channel, 20, 10, b"\0") + amqp_publish(channel, b"", b"k"))
        tap.client(amqp_frame(2, channel, pack(">HHQH", 60, 0, 2000, 0)) + amqp_frame(3, channel, bytes(1000)))
    assert len(tap.parser.snapshot()) < 20_000
    tap.close()
    assert sum(len(message.body) for message in tap.messages if message.head) <= 3000


def test_a_hole_in_a_body_costs_that_content_only():
    tap = opened()
    content = amqp_deliver(1, 1, b"k") + amqp_content(1, b"0123456789")
    tap.server(content[:-6])
    tap.see(SERVER, Gap(3))
    tap.server(content[-3:] + amqp_deliver(1, 2, b"k") + amqp_content(1, b"whole"))
    holed, whole = tap.messages[-2:]
    assert (holed.body, holed.body_size, holed.missing_bytes, holed.complete, holed.notes) == (
        b"01234",
        10,
        3,
        False,
        ("truncated",),
    )
    assert (whole.body, whole.complete, whole.notes) == (b"whole", True, ())


def test_a_content_that_breaks_off_is_put_out():
    tap = opened()
    content = amqp_deliver(1, 1, b"k") + amqp_content(1, b"0123456789", most=4)
    tap.server(content[:-12])
    (message,) = tap.close(End.LOST)
    assert (message.body, message.body_size, message.missing_bytes, message.complete) == (b"0123456", 10, 4, False)
    assert message.attributes["delivery_tag"] == 1


def test_a_content_whose_method_was_lost_says_so():
    tap = Tap(SPEC)
    tap.hear([*JOINED, (SERVER, amqp_content(1, b"body"))])
    (message,) = tap.messages
    assert (message.attributes["operation"], message.body, message.complete) == ("content", b"body", False)
    assert "after-gap" in message.notes


def test_methods_are_answered_on_their_channel():
    tap = opened()
    tap.hear([(CLIENT, OPEN.replace(b"\1\0\1", b"\1\0\2", 1)), (SERVER, OPENED.replace(b"\1\0\1", b"\1\0\2", 1))])
    on_two = [said.replace(b"\1\0\1", b"\1\0\2", 1) for said in (AMQP_DECLARE, AMQP_DECLARED)]
    tap.hear([(CLIENT, AMQP_DECLARE), (CLIENT, on_two[0]), (SERVER, on_two[1]), (SERVER, AMQP_DECLARED)])
    assert parts(tap.messages)[-4:] == [
        ("queue.declare", Role.REQUEST, 3),
        ("queue.declare", Role.REQUEST, 4),
        ("queue.declare-ok", Role.RESPONSE, 4),
        ("queue.declare-ok", Role.RESPONSE, 3),
    ]


def test_a_method_that_wants_no_answer_waits_for_none():
    tap = opened()
    tap.client(amqp_method(1, 50, 30, b"\0\0\1q\1"))
    tap.hear([(CLIENT, amqp_method(1, 50, 30, b"\0\0\1r\0")), (SERVER, amqp_method(1, 50, 31, bytes(4)))])
    assert parts(tap.messages)[-3:] == [
        ("queue.purge", Role.SINGLE, 0),
        ("queue.purge", Role.REQUEST, 2),
        ("queue.purge-ok", Role.RESPONSE, 2),
    ]


@pytest.mark.parametrize("asks", [CLIENT, SERVER])
def test_either_side_may_ask(asks: Direction):
    tap = opened()
    tap.hear([(asks, amqp_method(1, 20, 20, b"\0")), (asks.other, amqp_method(1, 20, 21, b"\0"))])
    tap.hear([(asks, close(1, 20, 320, b"CONNECTION_FORCED")), (asks.other, amqp_method(1, 20, 41))])
    assert [(role, number) for _, role, number in parts(tap.messages)[-4:]] == [
        (Role.REQUEST, 2),
        (Role.RESPONSE, 2),
        (Role.REQUEST, 3),
        (Role.RESPONSE, 3),
    ]
    assert [message.direction for message in tap.messages[-4:]] == [asks, asks.other] * 2


def test_a_method_that_fails_is_answered_by_the_close_of_its_channel():
    tap = opened()
    tap.client(AMQP_DECLARE)
    tap.hear([(SERVER, close(1, 20, 404, b"NOT_FOUND", (50, 10))), (CLIENT, amqp_method(1, 20, 41))])
    assert parts(tap.messages)[-4:] == [
        ("queue.declare", Role.REQUEST, 2),
        ("channel.close", Role.RESPONSE, 2),
        ("channel.close", Role.REQUEST, 3),
        ("channel.close-ok", Role.RESPONSE, 3),
    ]
    assert tap.messages[-3].attributes["error"] == "NOT_FOUND"


def test_an_answer_to_something_else_takes_nobody_s_turn():
    tap = opened()
    tap.client(AMQP_DECLARE)
    tap.hear([(SERVER, amqp_method(1, 60, 11)), (SERVER, AMQP_DECLARED)])
    assert parts(tap.messages)[-2:] == [("basic.qos-ok", Role.RESPONSE, 0), ("queue.declare-ok", Role.RESPONSE, 2)]


def confirms(tap: Tap) -> list[tuple[int, Attribute]]:
    return [(message.exchange, message.attributes["confirms"]) for message in tap.messages if "confirms" in message.attributes]


def test_confirmations_answer_what_was_published():
    tap = publishing()
    for _ in range(5):
        tap.client(amqp_publish(1, b"", b"k") + amqp_content(1, b"x"))
    tap.server(amqp_ack(1, 2) + amqp_ack(1, 3, multiple=True) + amqp_method(1, 60, 120, pack(">QB", 5, 0)) + amqp_ack(1, 5))
    assert parts(tap.messages)[4:9] == [("basic.publish", Role.REQUEST, number) for number in range(3, 8)]
    assert confirms(tap) == [(4, 2), (3, 1), (5, 3), (7, 5)]
    assert parts(tap.messages)[-2:] == [("basic.nack", Role.RESPONSE, 7), ("basic.ack", Role.SINGLE, 0)]


def test_all_that_was_published_is_confirmed_by_the_tag_0():
    tap = publishing()
    for _ in range(3):
        tap.client(amqp_publish(1, b"", b"k") + amqp_content(1, b"x"))
    tap.server(amqp_ack(1, 0, multiple=True))
    assert confirms(tap) == [(3, 1), (4, 2), (5, 3)]


def test_a_consumer_s_acknowledgement_confirms_nothing():
    tap = publishing()
    tap.client(amqp_publish(1, b"", b"k") + amqp_content(1, b"x") + amqp_ack(1, 1))
    assert confirms(tap) == []


@pytest.mark.parametrize("way", Direction)
def test_when_something_was_lost_nothing_is_confirmed(way: Direction):
    tap = publishing()
    tap.client(amqp_publish(1, b"", b"k") + amqp_content(1, b"x"))
    tap.see(way, Gap(20))
    tap.client(amqp_publish(1, b"", b"k") + amqp_content(1, b"y"))
    tap.server(amqp_ack(1, 1) + amqp_ack(1, 2))
    assert confirms(tap) == []
    tap.hear([(CLIENT, OPEN), (SERVER, OPENED), (CLIENT, CONFIRM), (SERVER, CONFIRMED)])
    tap.hear([(CLIENT, amqp_publish(1, b"", b"k") + amqp_content(1, b"z")), (SERVER, amqp_ack(1, 1))])
    assert [body for body, answer in pairs(tap.messages) if answer.startswith(b"basic.ack")] == [b"z"]


def test_confirmations_that_are_waited_for_have_a_limit():
    tap = publishing(Limits(pending=3))
    for _ in range(5):
        tap.client(amqp_publish(1, b"", b"k") + amqp_content(1, b"x"))
    tap.server(amqp_ack(1, 5, multiple=True))
    assert [role for _, role, _ in parts(tap.messages)[4:]] == [Role.REQUEST] * 3 + [Role.SINGLE] * 3


def test_channels_have_a_limit():
    tap = Tap(SPEC, Limits(pending=50))
    for channel in range(1, 1000):
        tap.client(amqp_method(channel, 20, 10, b"\0"))
    assert len(tap.parser.snapshot()) < 5_000
    tap.server(amqp_method(999, 20, 11, bytes(4)) + OPENED)
    assert [number for _, role, number in parts(tap.messages) if role is Role.RESPONSE] == [999, 0]


def test_what_is_closed_and_opened_again_is_another_channel():
    tap = publishing()
    tap.hear([(CLIENT, close(1, 20, 200, b"")), (SERVER, amqp_method(1, 20, 41)), (CLIENT, OPEN), (SERVER, OPENED)])
    tap.hear([(CLIENT, amqp_publish(1, b"", b"k") + amqp_content(1, b"x")), (SERVER, amqp_ack(1, 1))])
    assert parts(tap.messages)[-2:] == [("basic.publish", Role.SINGLE, 0), ("basic.ack", Role.SINGLE, 0)]


def test_a_frame_that_does_not_end_as_frames_do_is_none():
    tap = opened()
    tap.client(AMQP_DECLARE[:-1] + b"\xcd" + HEARTBEAT)
    assert parts(tap.messages)[2:] == [("heartbeat", Role.SINGLE, 0)]
    assert tap.messages[-1].notes == ("resynchronised",)


def test_a_frame_longer_than_the_peers_agreed_to_is_none():
    tap = Tap(SPEC)
    tap.client(amqp_method(0, 10, 31, pack(">HIH", 0, 4096, 0)))
    tap.client(OPEN + amqp_publish(1, b"", b"k") + amqp_content(1, bytes(5000), most=4089) + HEARTBEAT)
    assert [message.attributes["operation"] for message in tap.messages] == [
        "connection.tune-ok",
        "channel.open",
        "basic.publish",
        "heartbeat",
    ]
    assert not tap.messages[-2].complete


@pytest.mark.parametrize(
    "found", [AMQP_DECLARE, amqp_content(1, b""), HEARTBEAT], ids=["method", "content's header", "heartbeat"]
)
@pytest.mark.parametrize("before", [b"", b"\1\0\1\0\0", b"\x08\0\0\0\0\0\0", b"\3\0\1\0\0\0\4body", bytes(40)])
def test_where_a_frame_is_found_again(found: bytes, before: bytes):
    assert wire.find(before + found, 0) == (len(before), True)
    assert wire.find(before + found[:-1] + b"\xcf", 0)[1] is False


@pytest.mark.parametrize(
    ("received", "sent", "joined", "score"),
    [
        (b"", b"AMQP\0\0\x09\1", False, Score.YES),
        (b"", b"AMQP\1\1\0\x09", False, Score.YES),
        (b"", b"AMQP\1\1", False, Score.MORE),
        (b"", b"AMQP\0\0", False, Score.MORE),
        (b"", b"AMQP\1\1\0\x0a", False, Score.NO),  # AMQP 0-10
        (b"", b"AMQP\0\1\0\0", False, Score.NO),  # AMQP 1.0
        (b"AMQP\3\1\0\0", b"AMQP\3\1\0\0", True, Score.MORE),
        (AMQP_GREETING, b"", False, Score.YES),
        (AMQP_GREETING[:-1], b"", False, Score.MORE),
        (AMQP_GREETING[:-1] + b"\0", b"", False, Score.NO),
        (HEARTBEAT, b"", True, Score.YES),
        (b"ody\xce" + AMQP_DECLARE, b"", True, Score.MAYBE),
        (b"ody\xce" + AMQP_DECLARE, b"", False, Score.NO),
        (amqp_frame(3, 1, b"body"), b"", True, Score.MORE),
        (bytes(20_000), bytes(20_000), True, Score.NO),
    ],
)
def test_the_probe(received: bytes, sent: bytes, joined: bool, score: Score):  # noqa: FBT001
    assert SPEC.probe(Opening(received, sent, joined, None)) is score


@pytest.mark.parametrize(
    ("header", "version"), [(b"AMQP\0\0\x09\1", "0-9-1"), (b"AMQP\1\1\0\x09", "0-9"), (b"AMQP\1\1\x08\0", "0-8")]
)
def test_the_header_names_a_version(header: bytes, version: str):
    (message,) = Tap(SPEC).client(header)
    assert message.attributes == {"operation": "protocol-header", "version": version}
    assert message.complete


def test_every_answer_has_a_method_that_asks():
    by_name = {method.name: method for method in METHODS.values()}
    assert len(by_name) == len(METHODS)
    assert all(by_name[method.answers].asks for method in METHODS.values() if method.answers)
    assert {name for name, method in by_name.items() if method.asks} == {m.answers for m in METHODS.values() if m.answers}
    assert all(re.fullmatch(r"_?[a-z_]+", name) for method in METHODS.values() for name, _ in method.arguments)


def test_a_conversation_s_operations_are_known():
    tap = Tap(SPEC)
    tap.hear(AMQP, close=True)
    assert not {str(message.attributes["operation"]) for message in tap.messages} - {
        *(method.name for method in METHODS.values()),
        "protocol-header",
        "heartbeat",
    }
