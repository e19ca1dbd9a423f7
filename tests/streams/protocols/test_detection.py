"""Detection with made-up protocols, whose probes answer by what the first bytes say."""

from collections.abc import Callable

import pytest

from fleetcap_streams.protocols.contract import Chunk, Direction, End, Gap, Limits, Opening, ProtocolSpec, Score
from fleetcap_streams.protocols.detection import Detector
from fleetcap_streams.protocols.raw import RawParser
from fleetcap_streams.protocols.registry import Registry, default_registry
from tests.streams.protocols.transcript import RECEIVED, SENT, Step, bytewise, request, response

LIMITS = Limits(detection=20)
Probe = Callable[[Opening], Score]


def after(size: int, verdict: Score) -> Probe:
    """A probe that cannot tell before it has seen so many bytes."""
    return lambda opening: verdict if len(opening.received) + len(opening.sent) >= size else Score.MORE


def spec(name: str, probe: Probe) -> ProtocolSpec:
    return ProtocolSpec(name, probe, RawParser, RawParser.restore)


def detector(*probes: Probe, limits: Limits = LIMITS) -> Detector:
    specs = [spec(name, probe) for name, probe in zip("abcdefgh", probes, strict=False)]
    return Detector(Registry(specs), limits, joined=False, client=None)


def found(seen: Detector, *chunks: Chunk) -> str | None:
    """Who was chosen at the first chunk that decided: a name, `raw`, or None."""
    for number, chunk in enumerate(chunks):
        assert not seen.decided
        seen.add(SENT, chunk, number)
    if not seen.decided:
        return None
    return "raw" if seen.spec is None else seen.spec.name


YES, MAYBE, NO, MORE = Score.YES, Score.MAYBE, Score.NO, Score.MORE


@pytest.mark.parametrize(
    ("probes", "chunks", "expected"),
    [
        ([after(1, NO), after(1, YES)], [b"x"], "b"),
        ([after(1, NO), after(1, NO)], [b"x"], "raw"),
        ([], [b"x"], "raw"),
        ([after(1, YES), after(1, YES)], [b"x"], "a"),
        ([after(1, YES), after(9, YES)], [b"x"], "a"),  # who comes later could only lose
        ([after(3, NO), after(1, YES)], [b"xx"], None),  # who comes earlier may still win
        ([after(3, NO), after(1, YES)], [b"xx", b"x"], "b"),
        ([after(3, YES), after(1, YES)], [b"xx", b"x"], "a"),
        ([after(1, MAYBE), after(1, YES)], [b"x"], "b"),
        ([after(1, MAYBE), after(1, MAYBE)], [b"x"], "a"),
        ([after(1, MAYBE), after(3, NO)], [b"xx"], None),
        ([after(1, MAYBE), after(3, YES)], [b"xx", b"x"], "b"),
        ([after(1, MAYBE), after(3, NO)], [b"xx", b"x"], "a"),
        ([after(1, MAYBE), after(99, YES)], [b"x" * 20], "a"),  # the limit
        ([after(99, YES)], [b"x" * 19], None),
        ([after(99, YES)], [b"x" * 25], "raw"),
        ([after(1, MAYBE), after(99, YES)], [b"x", End.CLOSED], "a"),
        ([after(1, MAYBE), after(99, YES)], [b"x", End.LOST], "a"),
        ([after(9, YES), after(1, YES)], [b"x", End.LOST], "b"),
        ([after(99, YES)], [b"x", End.IDLE], None),  # it lives on
        ([after(99, YES)], [End.CLOSED], "raw"),
    ],
)
def test_who_wins_and_when(probes: list[Probe], chunks: list[Chunk], expected: str | None):
    assert found(detector(*probes), *chunks) == expected


def test_everything_is_given_back_in_order_with_its_times():
    seen = detector(after(6, YES))
    items: list[tuple[Direction, Chunk, int]] = [
        (SENT, b"ab", 5),
        (RECEIVED, b"c", 6),
        (SENT, End.IDLE, 7),
        (RECEIVED, Gap(2), 8),
        (SENT, b"defgh", 9),
    ]
    for item in items:
        seen.add(*item)
    assert seen.decided
    assert seen.items == items


def test_bytes_behind_a_gap_are_judged_on_their_own_as_joined():
    openings: list[Opening] = []

    def note(opening: Opening) -> Score:
        openings.append(opening)
        return MORE

    seen = detector(note)
    seen.add(SENT, b"before", 1)
    seen.add(SENT, Gap(4), 2)
    seen.add(SENT, b"behind", 3)
    assert openings[0] == Opening(b"", b"before", False, None)
    assert openings[-1] == Opening(b"", b"behind", True, None)


@pytest.mark.parametrize("chunks", [[b"x", Gap(1)], [b"x"], [Gap(1)], [End.IDLE], [b"x", End.IDLE]])
def test_what_waits_is_bounded_whatever_comes(chunks: list[Chunk]):
    seen = detector(lambda _: MORE, limits=Limits(detection=1 << 16))
    for number in range(200_000):
        for chunk in chunks:
            seen.add(SENT, chunk, number)
        if seen.decided:
            break
    assert len(seen.items) <= 10_000
    assert sum(len(item[1]) for item in seen.items if isinstance(item[1], bytes)) <= 2 << 16


def test_probes_are_not_asked_for_every_dripping_byte():
    asked: list[int] = []

    def count(opening: Opening) -> Score:
        asked.append(len(opening.sent))
        return MORE

    seen = detector(count, limits=Limits(detection=1 << 16))
    for number in range(1 << 16):
        seen.add(SENT, b"x", number)
    assert seen.decided
    assert sum(asked) < 12 * (1 << 16) + 256 * 256, "the bytes looked at grow with the bytes given, not with their square"


OPENINGS = {
    "request": [(SENT, request())],
    "response": [(RECEIVED, response(b"x"))],
    "h2 client": [(SENT, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5))],
    "h2 server": [(RECEIVED, b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64")],
    "tls": [(SENT, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32))],
    "kafka": [(SENT, b"\x00\x00\x00\x1c\x00\x12\x00\x03\x00\x00\x00\x01\x00\x07console" + bytes(9))],
    "smtp": [(RECEIVED, b"220 mail.example ESMTP\r\n"), (SENT, b"EHLO a\r\n")],
    "ssh": [(RECEIVED, b"SSH-2.0-OpenSSH_9.2\r\n"), (SENT, b"SSH-2.0-x\r\n")],
    "text": [(SENT, b"hello world\nhow are you\n")],
}
WANTED = {"kafka": "kafka", "request": "http1", "response": "http1", "h2 client": "http2", "h2 server": "http2"}


@pytest.mark.parametrize(("name", "steps"), OPENINGS.items(), ids=OPENINGS)
@pytest.mark.parametrize("split", [False, True])
def test_shipped_protocols_are_told_apart(name: str, steps: list[Step], split: bool):  # noqa: FBT001
    seen = Detector(default_registry(), Limits(), joined=False, client=None)
    for number, (direction, chunk) in enumerate([*(bytewise(steps) if split else steps), (SENT, End.CLOSED)]):
        seen.add(direction, chunk, number)
        if seen.decided:
            break
    assert ("raw" if seen.spec is None else seen.spec.name) == WANTED.get(name, "raw")


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("steps", OPENINGS.values(), ids=OPENINGS)
def test_shipped_probes_change_their_mind_only_from_more(steps: list[Step], joined: bool):  # noqa: FBT001
    """The rule that makes detection independent of cuts, byte by byte."""
    for declared in default_registry():
        if declared.name != "http1" and (joined or declared.name != "http2"):
            continue  # HTTP/2 joined searches for frames, of which more bytes may show that they were none
        parts, verdict = [b"", b""], MORE
        for direction, chunk in bytewise(steps):
            assert isinstance(chunk, bytes)
            parts[direction] += chunk
            now = declared.probe(Opening(parts[0], parts[1], joined, None))
            assert verdict in (MORE, now), (declared.name, parts)
            verdict = now
