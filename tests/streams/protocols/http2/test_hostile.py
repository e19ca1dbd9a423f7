"""Bytes that no peer would send: nothing is raised, and work stays linear."""

import random
import sys
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetcap_streams.protocols.contract import Chunk, Direction, End, Gap, Limits
from fleetcap_streams.protocols.http2.parser import Http2Parser
from fleetcap_streams.protocols.http2.reader import PREFACE
from tests.streams.protocols.http2.conversation import SERVER, random_conversation, run
from tests.streams.protocols.http2.test_reader import frame


def mutate(rng: random.Random, chunks: list[tuple[Direction, bytes]]) -> list[tuple[Direction, Chunk]]:
    """Flip, cut out, repeat, swap: as if reassembly had gone wrong without anybody knowing."""
    mutated: list[tuple[Direction, Chunk]] = list(chunks)
    for _ in range(rng.randrange(1, 5)):
        at = rng.randrange(len(mutated))
        direction, chunk = mutated[at]
        if not isinstance(chunk, bytes) or not chunk:
            continue
        place = rng.randrange(len(chunk))
        match rng.randrange(7):
            case 0:
                mutated[at] = direction, chunk[:place] + bytes((rng.randrange(256),)) + chunk[place + 1 :]
            case 1:
                mutated[at] = direction, chunk[:place] + chunk[place + rng.randrange(50) :]
            case 2:
                mutated.insert(at, (direction, chunk[place:]))
            case 3:
                mutated.insert(at, mutated.pop(rng.randrange(len(mutated))))
            case 4:
                mutated[at] = direction.other, chunk
            case 5:
                mutated.insert(at, (direction, Gap(rng.choice([0, 1, 1 << 40]))))
            case _:
                others: list[Chunk] = [End.IDLE, End.CLOSED, rng.randbytes(30)]
                mutated.insert(at, (direction, rng.choice(others)))
    return mutated


def test_damaged_conversations_raise_nothing_and_can_be_saved():
    for seed in range(80):
        rng = random.Random(seed)
        talk = random_conversation(seed % 10, 5)
        chunks = mutate(rng, talk.sent)
        parser = Http2Parser(Limits())
        half = len(chunks) // 2
        run(parser, chunks[:half], end=None)
        run(Http2Parser.restore(Limits(), parser.snapshot()), chunks[half:])


PIECES = st.one_of(
    st.binary(max_size=40),
    st.just(PREFACE),
    st.builds(
        frame,
        st.integers(0, 12),
        st.sampled_from([0, 1, 4, 5, 8, 0x0D, 0x20, 0x2D, 0xFF]),
        st.integers(0, 7),
        st.one_of(st.binary(max_size=40), st.sampled_from([b"\x82\x86\x84", b"\x88", b"\xbe", b"\x3f\xe1\x1f", bytes(8)])),
    ),
    st.builds(Gap, st.integers(0, 60)),
    st.sampled_from([End.IDLE, End.CLOSED, End.LOST]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(Direction), PIECES), max_size=40))
def test_any_frames_in_any_order(chunks: list[tuple[Direction, Chunk]]):
    parser = Http2Parser(Limits())
    messages = run(parser, chunks)
    for message in messages:
        assert message.start_ns <= message.end_ns
        assert len(message.body) <= 64 * 1024
    assert run(parser, [], end=End.CLOSED) == []


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(Direction), PIECES), max_size=25), st.randoms(use_true_random=False))
def test_chunks_change_nothing_but_times(chunks: list[tuple[Direction, Chunk]], rng: random.Random):
    pieces: list[tuple[Direction, Chunk]] = []
    for direction, chunk in chunks:
        if isinstance(chunk, bytes):
            places = sorted(rng.randrange(len(chunk) + 1) for _ in range(rng.randrange(4)))
            bounds = [0, *places, len(chunk)]
            pieces += [(direction, chunk[low:high]) for low, high in pairwise(bounds)]
        else:
            pieces.append((direction, chunk))
    whole, cut = run(Http2Parser(Limits()), chunks), run(Http2Parser(Limits()), pieces)
    for message in whole + cut:
        message.start_ns = message.end_ns = 0
    assert cut == whole


HOSTILE: dict[str, Callable[[int], bytes]] = {
    "headers that are nearly frames": lambda size: b"\x00\x40\x00\x01\x05\x00\x00\x00\x01" * (size // 9),
    "frames that are strong and end at once": lambda size: (frame(6, 0, 0, bytes(8)) + b"\xff" * 20) * (size // 37),
    "zeros": bytes,
    "empty frames": lambda size: frame(0, 0, 1) * (size // 9),
    "streams without end": lambda size: b"".join(frame(1, 4, 2 * n + 1, b"\x82\x86\x84") for n in range(size // 12)),
    "table churn": lambda size: frame(1, 5, 1, b"\x40\x01a\x01b" * 3000) * (size // 15_009),
    "table references": lambda size: frame(1, 5, 1, b"\x40\x01a\x7f\x81\x10" + b"v" * 2176 + b"\xbe" * 14_000) * (size // 16_191),
    "continuation": lambda size: frame(1, 1, 1, b"\x82") + frame(9, 0, 1, b"\x84") * (size // 10),
    "resets": lambda size: b"".join(frame(3, 0, 2 * n + 1, bytes(4)) for n in range(size // 13)),
}


def calls(run_it: Callable[[], object]) -> int:
    """How many functions are called: work that no other process can disturb."""
    count = 0

    def profile(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        run_it()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("joined", [True, False], ids=["joined", "opening"])
@pytest.mark.parametrize("name", HOSTILE)
def test_four_times_the_input_is_about_four_times_the_work(*, name: str, joined: bool):
    def work(size: int) -> int:
        data = HOSTILE[name](size)
        start: Chunk = Gap(0) if joined else PREFACE + frame(4, 0, 0)
        chunks: list[tuple[Direction, Chunk]] = [(SERVER, data[at : at + 16_384]) for at in range(0, len(data), 16_384)]
        return calls(lambda: run(Http2Parser(Limits()), [(SERVER, start), *chunks]))

    small, large = work(33_000), work(132_000)
    assert large < 5 * small + 1000
    assert large < 132_000 * 5
