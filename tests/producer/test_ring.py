"""The ring buffer's reader over memory written here as the kernel would."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcap_producer.ring import Ring

PAGE, SIZE = 4096, 1024
BUSY, DISCARDED = 1 << 31, 1 << 30


class Kernel:
    """Writes records as kernel/bpf/ringbuf.c does; the data are mapped twice, so both halves are written."""

    def __init__(self, at: int = 0) -> None:
        self.ours = bytearray(PAGE)
        self.theirs = bytearray(PAGE + 2 * SIZE)
        self.at = at
        struct.pack_into("=Q", self.ours, 0, at)
        struct.pack_into("=Q", self.theirs, 0, at)
        self.ring = Ring(memoryview(self.ours), memoryview(self.theirs), SIZE, PAGE)

    def _put(self, at: int, data: bytes) -> None:
        for index, byte in enumerate(data):
            place = (at + index) % SIZE
            self.theirs[PAGE + place] = self.theirs[PAGE + SIZE + place] = byte

    def write(self, data: bytes, flags: int = 0) -> int | None:
        (consumed,) = struct.unpack_from("=Q", self.ours)
        room = (len(data) + 8 + 7) & ~7
        if self.at + room - consumed > SIZE:
            return None
        at = self.at
        self._put(at, struct.pack("=II", len(data) | flags, 0) + data)
        self.at += room
        struct.pack_into("=Q", self.theirs, 0, self.at)
        return at

    def finish(self, at: int, length: int) -> None:
        self._put(at, struct.pack("=II", length, 0))

    def take(self) -> list[bytes]:
        data = self.ring.data
        found = []
        for at in self.ring.ready():
            (length,) = struct.unpack_from("=I", data, at - 8)
            found.append(bytes(data[at : at + length]))
        self.ring.release()
        return found


def test_records_come_in_order_and_once() -> None:
    kernel = Kernel()
    kernel.write(b"one")
    kernel.write(b"the second one")
    assert kernel.take() == [b"one", b"the second one"]
    assert kernel.take() == []
    assert kernel.ring.waiting() == 0


def test_a_discarded_record_is_passed_over() -> None:
    kernel = Kernel()
    kernel.write(b"gone", DISCARDED)
    kernel.write(b"kept")
    assert kernel.take() == [b"kept"]


def test_a_record_being_written_holds_back_those_behind_it() -> None:
    kernel = Kernel()
    kernel.write(b"first")
    at = kernel.write(b"slow", BUSY)
    kernel.write(b"last")
    assert kernel.take() == [b"first"]
    assert kernel.take() == []
    assert kernel.ring.waiting() > 0
    assert at is not None
    kernel.finish(at, 4)
    assert kernel.take() == [b"slow", b"last"]


@given(st.lists(st.one_of(st.none(), st.binary(max_size=300)), max_size=80), st.integers(0, 10).map(lambda laps: laps * 1000))
def test_any_interleaving_gives_what_found_room(actions: list[bytes | None], start: int) -> None:
    """`None` reads; anything else is written, also across the ring's end."""
    kernel = Kernel(start & ~7)
    written, read = [], []
    for action in [*actions, None]:
        if action is None:
            read += kernel.take()
        elif kernel.write(action) is not None:
            written.append(action)
    assert read == written


def test_nothing_is_overwritten_before_it_is_released() -> None:
    kernel = Kernel()
    while kernel.write(b"x" * 100) is not None:
        pass
    kernel.ring.ready()
    assert kernel.write(b"y" * 100) is None
    kernel.ring.release()
    assert kernel.write(b"y" * 100) is not None


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9])
def test_lengths_are_rounded_to_words(length: int) -> None:
    kernel = Kernel()
    kernel.write(b"a" * length)
    kernel.write(b"b")
    assert kernel.take() == [b"a" * length, b"b"]
