"""Kafka exchange by exchange: what is told, who answers whom, and where frames are found again."""

from struct import pack

import pytest

from fleetcap_streams.protocols.contract import End, Gap, Limits, Message, Opening, Role, Score
from fleetcap_streams.protocols.kafka import SPEC
from tests.streams.protocols.kafka.conversation import (
    KAFKA_BROKERS,
    KAFKA_IDS,
    KAFKA_TOPICS,
    kafka,
    kafka_asks,
    kafka_batch,
    kafka_compact,
    kafka_fetched,
    kafka_fetches,
    kafka_produced,
    kafka_produces,
    kafka_text,
)
from tests.streams.protocols.tapping import CLIENT, JOINED, Tap

HEARTBEAT = kafka_compact(b"billing") + pack(">i", 9) + b"\2m\0\0"
METADATA = kafka(pack(">i", 1) + b"\0" + pack(">i", 0) + KAFKA_BROKERS + b"\0" + pack(">i", 1) + b"\3" + KAFKA_TOPICS + b"\0")


def beats(number: int) -> bytes:
    return kafka_asks(12, 4, number, HEARTBEAT, tags=b"\0")


def beaten(number: int, error: int = 0) -> bytes:
    return kafka(pack(">i", number) + b"\0" + pack(">ih", 0, error) + b"\0")


def lines(messages: list[Message]) -> list[tuple[str, int, str]]:
    return [(message.role.value, message.exchange, message.body.decode()) for message in messages]


def test_pipelined_requests_meet_their_responses_by_number():
    tap = Tap(SPEC)
    tap.client(kafka_produces(7, b"orders", 3) + beats(8) + kafka_fetches(9, b"news"))
    tap.server(beaten(8) + kafka_produced(7, b"orders", 6) + kafka_fetched(9, b"news", kafka_batch(40), kafka_batch(2)))
    assert lines(tap.messages) == [
        ("request", 1, "Produce v8 topics=orders partitions=1 records=3"),
        ("request", 2, "Heartbeat v4 group=billing"),
        ("request", 3, "Fetch v12 topics=news partitions=1"),
        ("response", 2, "Heartbeat v4"),
        ("response", 1, "Produce v8 topics=orders partitions=1 error=NOT_LEADER_OR_FOLLOWER"),
        ("response", 3, "Fetch v12 topics=news partitions=1 records=42"),
    ]
    assert tap.messages[4].attributes["error_code"] == 6
    assert tap.messages[4].attributes["errors"] == 1


def test_what_is_not_acknowledged_waits_for_nobody():
    tap = Tap(SPEC)
    tap.client(kafka_produces(7, b"orders", 3, acks=0) + kafka_produces(8, b"orders", 1))
    tap.server(kafka_produced(8, b"orders"))
    assert [(message.role, message.exchange) for message in tap.messages] == [
        (Role.SINGLE, 0),
        (Role.REQUEST, 1),
        (Role.RESPONSE, 1),
    ]


def test_a_topic_that_is_named_by_its_id_has_the_name_that_metadata_told():
    fetch = pack(">iiibii", 500, 1, 1 << 20, 0, 0, -1)
    partition = pack(">iiqiqi", 0, 3, 100, -1, 0, 1 << 20) + b"\0"
    told = KAFKA_IDS[b"news"]
    body = fetch + b"\3" + b"".join(topic + b"\2" + partition + b"\0" for topic in (told, bytes(15) + b"\xff")) + b"\1\1\0"
    tap = Tap(SPEC)
    tap.client(kafka_asks(3, 12, 1, b"\0\1\0\0", tags=b"\0"))
    tap.server(METADATA)
    (message,) = tap.client(kafka_asks(1, 16, 2, body, tags=b"\0"))
    assert message.attributes["topics"] == ["news", "AAAAAAAAAAAAAAAAAAAA_w"]


def test_all_topics_are_asked_for_by_none():
    asked, answered = Tap(SPEC), Tap(SPEC)
    (message,) = asked.client(kafka_asks(3, 12, 1, b"\0\1\0\0", tags=b"\0"))
    assert message.attributes["all_topics"] is True
    answered.client(kafka_asks(3, 12, 1, b"\0\1\0\0", tags=b"\0"))
    (message,) = answered.server(METADATA)
    assert message.attributes["topics"] == ["orders", "news"]
    assert message.attributes["partitions"] == 2


def test_tokens_of_a_login_are_paired_hidden_and_over_when_a_request_comes():
    tap = Tap(SPEC)
    tap.client(kafka_asks(17, 0, 0, kafka_text(b"SCRAM-SHA-256")))
    tap.server(kafka(pack(">ihi", 0, 0, 1) + kafka_text(b"SCRAM-SHA-256")))
    for said, answer in (
        (b"n,,n=app,r=hunter2", b"r=hunter2xyz,s=QQ==,i=4096"),
        (b"c=biws,r=hunter2xyz,p=hunter2", b"v=hunter2"),
    ):
        tap.client(kafka(said))
        tap.server(kafka(answer))
    tap.client(beats(1))
    tap.server(beaten(1))
    assert "hunter2" not in repr(tap.messages)
    assert [message.exchange for message in tap.messages] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert [message.notes for message in tap.messages[2:6]] == [("secret-hidden",)] * 4
    assert tap.messages[-1].body == b"Heartbeat v4"


def test_authentication_in_frames_shows_no_bytes_of_it():
    tap = Tap(SPEC)
    tap.client(kafka_asks(36, 1, 1, pack(">i", 12) + b"\0app\0hunter2"))
    tap.server(kafka(pack(">ih", 1, 58) + kafka_text(b"bad hunter2") + pack(">i", 0) + pack(">q", 0)))
    assert "hunter2" not in repr(tap.messages)
    assert tap.messages[1].attributes["error_name"] == "SASL_AUTHENTICATION_FAILED"


def test_an_error_that_nobody_knows_has_its_number_only():
    tap = Tap(SPEC)
    tap.client(beats(1))
    (message,) = tap.server(beaten(1, 5120))
    assert message.attributes["error_code"] == 5120
    assert "error_name" not in message.attributes
    assert message.body == b"Heartbeat v4 error=5120"


def old_messages(*codecs: int, magic: int = 1) -> bytes:
    """Messages as Kafka wrote them before 0.11."""
    bodies = [bytes(4) + bytes((magic, codec)) + bytes(8 * magic) + pack(">i", -1) + pack(">i", 2) + b"ab" for codec in codecs]
    return b"".join(pack(">qi", place, len(body)) + body for place, body in enumerate(bodies))


@pytest.mark.parametrize(
    ("batches", "records", "notes"),
    [
        (old_messages(0, 0, 0), 3, ()),
        (old_messages(0, magic=0), 1, ()),
        (old_messages(1, 1), 2, ("records-uncounted",)),
        (kafka_batch(7) + kafka_batch(9)[:-1], 7, ()),  # what a broker cuts off comes again
        (kafka_batch(7) + bytes(100), 7, ("records-uncounted",)),
        (b"", None, ()),
    ],
)
def test_records_are_counted_by_the_heads_of_their_batches(batches: bytes, records: int | None, notes: tuple[str, ...]):
    tap = Tap(SPEC)
    tap.client(kafka_fetches(1, b"news"))
    (message,) = tap.server(kafka_fetched(1, b"news", batches))
    assert message.attributes.get("records") == records
    assert message.notes == notes


def test_a_frame_over_the_cap_passes_by_and_is_counted_as_far_as_it_is_kept():
    tap = Tap(SPEC, Limits(head=400))
    tap.client(kafka_produces(1, b"orders", 5)[:-1])
    tap.client(b"\0")
    big = kafka_asks(
        0,
        8,
        2,
        kafka_text(None)
        + pack(">hi", 1, 1500)
        + pack(">i", 1)
        + kafka_text(b"big")
        + pack(">iii", 1, 0, 9000)
        + kafka_batch(6)
        + bytes(9000 - len(kafka_batch(6))),
    )
    for start in range(0, len(big), 700):
        tap.client(big[start : start + 700])
    tap.server(kafka_produced(1, b"orders") + kafka_produced(2, b"big"))
    request = tap.messages[1]
    assert request.body == b"Produce v8 topics=big partitions=1 records=6"
    assert request.body_size == len(big)
    assert {"body-cut", "counted-partly"} <= set(request.notes)
    assert [message.exchange for message in tap.messages] == [1, 2, 1, 2]


def test_more_requests_than_may_wait_forget_the_oldest():
    tap = Tap(SPEC, Limits(pending=3))
    tap.client(b"".join(beats(number) for number in range(5)))
    tap.server(b"".join(beaten(number) for number in range(5)))
    assert [message.exchange for message in tap.messages if message.role is Role.RESPONSE] == [0, 0, 3, 4, 5]
    assert [message.notes for message in tap.messages[5:7]] == [("request-unknown",)] * 2


def test_a_response_to_what_was_not_seen_is_told_by_its_number():
    tap = Tap(SPEC)
    tap.hear(JOINED)
    tap.server(beaten(500))
    tap.client(beats(501))
    tap.server(beaten(501))
    tap.close()
    unknown = [message for message in tap.messages if "request-unknown" in message.notes]
    assert [(message.exchange, message.attributes) for message in unknown] == [(0, {"correlation_id": 500})]
    assert lines(tap.messages)[-1] == ("response", 1, "Heartbeat v4")


def test_a_lost_request_costs_its_own_exchange_only():
    tap = Tap(SPEC)
    tap.client(beats(1))
    tap.hear([(CLIENT, Gap(len(beats(2))))])
    tap.client(beats(3))
    tap.server(beaten(1) + beaten(2) + beaten(3))
    responses = [message for message in tap.messages if message.role is Role.RESPONSE]
    assert [message.exchange for message in responses] == [1, 0, 2]
    assert responses[1].notes == ("request-unknown",)


def test_requests_within_records_are_not_taken_for_requests_after_a_loss():
    inner = kafka_asks(12, 4, 90_000, HEARTBEAT, client=b"somebody-else", tags=b"\0") * 3
    body = kafka_text(None) + pack(">hi", 1, 1500) + pack(">i", 1) + kafka_text(b"raw") + pack(">iii", 1, 0, len(inner)) + inner
    tap = Tap(SPEC)
    tap.client(beats(1))
    frame = kafka_asks(0, 8, 2, body)
    tap.hear([(CLIENT, Gap(60)), (CLIENT, frame[60:])])
    tap.client(beats(3))
    assert [message.attributes["client_id"] for message in tap.messages] == ["app-1", "app-1"]
    assert tap.messages[-1].notes == ("resynchronised",)


def test_who_asks_is_found_out_anew_when_a_named_client_asks_from_the_other_side():
    tap = Tap(SPEC)
    tap.server(beats(1))
    tap.client(beats(70_000))
    tap.server(beaten(70_000))
    assert lines(tap.messages)[-1] == ("response", 2, "Heartbeat v4")


def test_a_response_that_looks_like_a_request_is_none():
    answer = kafka_produced(3, b"orders")  # by its header a Produce request of version 3 by a client called orders
    tap = Tap(SPEC)
    tap.hear(JOINED)
    tap.server(answer)
    tap.client(kafka_produces(4, b"orders", 1))
    tap.server(kafka_produced(4, b"orders"))
    assert lines(tap.messages) == [
        ("request", 1, "Produce v8 topics=orders partitions=1 records=1"),
        ("response", 0, "response 3"),
        ("response", 1, "Produce v8 topics=orders partitions=1"),
    ]
    swapped = Tap(SPEC)
    swapped.server(answer)
    swapped.client(kafka_produces(4, b"orders", 1))
    swapped.server(kafka_produced(4, b"orders"))
    assert [message.role for message in swapped.messages] == [Role.RESPONSE, Role.REQUEST, Role.RESPONSE]
    assert [message.exchange for message in swapped.messages] == [0, 1, 1]


def test_a_client_without_a_name_is_believed_when_it_is_answered():
    asked = kafka_asks(3, 1, 77, pack(">i", 0), client=None)
    assert SPEC.probe(Opening(b"", asked, joined=False, client=None)) is Score.MORE
    assert SPEC.probe(Opening(kafka(pack(">ii", 77, 0)), asked, joined=False, client=None)) is Score.YES
    assert SPEC.probe(Opening(kafka(pack(">ii", 78, 0)), asked, joined=False, client=None)) is Score.NO
    tap = Tap(SPEC)
    tap.client(asked)
    assert "client_id" not in tap.messages[0].attributes


def test_joined_within_a_frame_it_is_still_found():
    talk = beats(41)[9:] + beats(42)
    assert SPEC.probe(Opening(b"", talk, joined=True, client=None)) is Score.MAYBE
    assert SPEC.probe(Opening(b"", talk, joined=False, client=None)) is Score.NO


@pytest.mark.parametrize("end", [End.CLOSED, End.LOST])
def test_what_is_broken_off_is_told_as_truncated(end: End):
    tap = Tap(SPEC)
    tap.client(kafka_produces(1, b"orders", 5)[:80])
    tap.close(end)
    (message,) = tap.messages
    assert message.attributes["topics"] == ["orders"]
    assert not message.complete
    assert message.missing_bytes > 0
    assert "truncated" in message.notes


def test_topics_are_all_counted_and_the_first_are_named():
    names = b"".join(kafka_text(b"t%d" % number) for number in range(3000))
    tap = Tap(SPEC)
    (message,) = tap.client(kafka_asks(3, 1, 1, pack(">i", 3000) + names))
    assert message.attributes["topic_count"] == 3000
    assert message.attributes["topics"] == [f"t{number}" for number in range(64)]
    assert len(tap.parser.snapshot()) < 300
