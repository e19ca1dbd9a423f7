import random

import pytest

from fleetcap_streams.protocols.contract import Opening, Score
from fleetcap_streams.protocols.http2.probe import probe
from fleetcap_streams.protocols.http2.reader import PREFACE
from tests.streams.protocols.http2.conversation import CLIENT, SERVER, random_conversation
from tests.streams.protocols.http2.test_reader import frame

SETTINGS = frame(4, 0, 0, b"\0\3\0\0\0\x64")


def opening(received: bytes = b"", sent: bytes = b"", *, joined: bool = False) -> Opening:
    return Opening(received, sent, joined, None)


@pytest.mark.parametrize(
    ("seen", "score"),
    [
        (opening(sent=PREFACE), Score.YES),
        (opening(received=PREFACE + SETTINGS, sent=SETTINGS), Score.YES),
        (opening(sent=PREFACE[:1]), Score.MORE),
        (opening(sent=PREFACE[:23], received=SETTINGS), Score.MORE),
        (opening(received=SETTINGS), Score.MAYBE),
        (opening(received=SETTINGS[:8]), Score.MORE),
        (opening(sent=b"PRI * HTTP/1.1\r\n"), Score.NO),
        (opening(sent=b"GET / HTTP/1.1\r\n\r\n"), Score.NO),
        (opening(sent=b"*1\r\n$4\r\nPING\r\n"), Score.NO),
        (opening(sent=b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), Score.NO),
        (opening(received=b"\x4a\x00\x00\x00\x0a8.0.36\x00\x08\x00\x00\x00"), Score.NO),
        (opening(sent=b"\x00\x00\x00\x08\x04\xd2\x16\x2f"), Score.NO),
        (opening(), Score.MORE),
        (opening(sent=b"GET / HTTP/1.1\r\n\r\n", joined=True), Score.NO),
        (opening(sent=b"\x00\x00\x00\x3c\x00\x03\x00\x00user\x00me\x00", received=b"R\0\0\0\x08\0\0\0\0", joined=True), Score.NO),
        (opening(received=b"the end of a body" + frame(6, 0, 0, bytes(8)), joined=True), Score.YES),
        (opening(received=random.Random(1).randbytes(500), joined=True), Score.MORE),
    ],
)
def test_score(seen: Opening, score: Score):
    assert probe(seen) is score


def test_joined_conversations_are_recognised_and_no_mind_is_changed():
    for seed in range(3):
        talk = random_conversation(seed)
        sent = b"".join(chunk for side, chunk in talk.sent if side == CLIENT)
        received = b"".join(chunk for side, chunk in talk.sent if side == SERVER)
        rng = random.Random(seed)
        for _ in range(10):
            begin = rng.randrange(len(sent) // 2), rng.randrange(len(received) // 2)
            score = Score.MORE
            for size in range(1, 3000, 37):
                now = probe(opening(received[begin[1] : begin[1] + size], sent[begin[0] : begin[0] + size], joined=True))
                assert score is Score.MORE or now is score or score is Score.NO
                score = now
            assert score is Score.YES
