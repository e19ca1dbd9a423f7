"""Loss anywhere: nothing wrong is ever told as certain, and everything after the next frame is right."""

import hashlib
import random

import pytest

from fleetcap_streams.protocols.contract import Chunk, Direction, Gap, Limits, Message, Role
from fleetcap_streams.protocols.http2.parser import Http2Parser
from tests.streams.protocols.http2.conversation import CLIENT, SERVER, Conversation, Headers, cut, random_conversation, run

UNKNOWN = "?"


def like(told: Headers, said: Headers) -> bool:
    """What is known is right. Unknown fields that come first may be pseudo-headers."""
    while len(told) > len(said) and told[0] == (UNKNOWN, UNKNOWN):
        told = told[1:]
    return len(told) == len(said) and all(
        name in (UNKNOWN, sent_name) and (value == sent or (name, value) == (UNKNOWN, UNKNOWN))
        for (name, value), (sent_name, sent) in zip(told, said, strict=True)
    )


def assert_never_wrong(messages: list[Message], talk: Conversation) -> set[tuple[int, Direction]]:
    """Hold every message against the truth; gives those that are told in full, or that say what cannot be known of them."""
    truth = {(said.stream, said.direction): said for said in talk.said}
    complete = set()
    for message in messages:
        if message.role is Role.SINGLE:
            continue
        http = message.http
        assert http is not None
        stream = message.attributes["stream_id"]
        assert isinstance(stream, int)
        said = truth[stream, message.direction]
        pseudo = {name: value for name, value in said.headers if name.startswith(":")}
        if "head-unknown" in message.notes:
            assert not message.complete
        else:
            assert like(list(http.headers), said.headers[len(pseudo) :])
            assert http.method in ("", pseudo.get(":method"))
            assert http.target in ("", pseudo.get(":path"))
            assert http.authority in ("", pseudo.get(":authority"))
            assert http.status in (0, int(pseudo.get(":status", 0)))
        if "trailers-uncertain" in message.notes:
            complete.add((stream, message.direction))
        else:
            assert not http.trailers or like(list(http.trailers), said.trailers)
        if message.complete:
            assert (message.body, message.missing_bytes) == (said.body, 0)
            assert len(http.trailers) == len(said.trailers)
            complete.add((stream, message.direction))
        if message.body_sha256:
            assert message.body_sha256 == hashlib.sha256(said.body).digest()
    return complete


def heads_after(talk: Conversation, direction: Direction, position: int) -> set[tuple[int, Direction]]:
    """Messages whose first frame comes after the first frame boundary at or after a position."""
    data = b"".join(chunk for side, chunk in talk.sent if side == direction)
    at = 24 if direction == CLIENT else 0
    begun: dict[int, int] = {}
    while at < len(data):
        if data[at + 3] == 1:
            begun.setdefault(int.from_bytes(data[at + 5 : at + 9]), at)
        at += 9 + int.from_bytes(data[at : at + 3])
    return {(stream, direction) for stream, start in begun.items() if start >= position}


def sizes(talk: Conversation) -> dict[Direction, int]:
    return {direction: sum(len(chunk) for side, chunk in talk.sent if side == direction) for direction in Direction}


@pytest.mark.parametrize("told", [True, False], ids=["joined", "joined unknowingly"])
def test_the_first_bytes_are_missing(*, told: bool):
    for seed in range(8):
        rng = random.Random(seed)
        talk = random_conversation(seed, 8)
        size = sizes(talk)
        for _ in range(25):
            start = {direction: rng.randrange(size[direction]) for direction in Direction}
            chunks = cut(talk.sent, {direction: (0, start[direction]) for direction in Direction})
            heard: list[tuple[Direction, Chunk]] = [(side, chunk) for side, chunk in chunks if isinstance(chunk, bytes)]
            if told:
                heard = [(CLIENT, Gap(0)), (SERVER, Gap(0)), *heard]
            complete = assert_never_wrong(run(Http2Parser(Limits()), heard), talk)
            for direction in Direction:
                assert heads_after(talk, direction, start[direction]) <= complete


def test_every_first_byte_of_a_conversation():
    talk = random_conversation(5, 3)
    size = sizes(talk)
    for start in range(0, min(size.values()), 3):
        chunks = cut(talk.sent, dict.fromkeys(Direction, (0, start)))
        assert_never_wrong(run(Http2Parser(Limits()), [chunk for chunk in chunks if isinstance(chunk[1], bytes)]), talk)


@pytest.mark.parametrize("missing", [1, 5, 9, 40, 300, 3000])
def test_a_hole_anywhere(missing: int):
    for seed in range(6):
        rng = random.Random(seed)
        talk = random_conversation(seed, 8)
        size = sizes(talk)
        for direction in Direction:
            for _ in range(12):
                start = rng.randrange(size[direction])
                chunks = cut(talk.sent, {direction: (start, start + missing)})
                complete = assert_never_wrong(run(Http2Parser(Limits()), chunks), talk)
                assert heads_after(talk, direction, start + missing) <= complete
                assert {(said.stream, said.direction) for said in talk.said if said.direction != direction} <= complete


def test_holes_in_both_directions_again_and_again():
    for seed in range(10):
        rng = random.Random(seed)
        talk = random_conversation(seed, 10)
        chunks: list[tuple[Direction, Chunk]] = []
        for direction, chunk in talk.sent:
            if rng.random() < 0.15:
                low, high = sorted((rng.randrange(len(chunk) + 1), rng.randrange(len(chunk) + 1)))
                parts: list[Chunk] = [chunk[:low], *([Gap(high - low)] if high > low else []), chunk[high:]]
                chunks += [(direction, part) for part in parts if part]
            else:
                chunks.append((direction, chunk))
        assert_never_wrong(run(Http2Parser(Limits()), chunks), talk)


def test_every_byte_is_in_a_message_or_told_as_missing():
    """Of a direction that was joined: skipped bytes come out as they went in."""
    talk = random_conversation(3, 6)
    data = b"".join(chunk for side, chunk in talk.sent if side == SERVER)
    for start in range(10, 400, 7):
        messages = run(Http2Parser(Limits()), [(SERVER, Gap(0)), (SERVER, data[start:])])
        skipped = b"".join(message.body for message in messages if message.role is Role.SINGLE)
        assert data[start:].startswith(skipped)
