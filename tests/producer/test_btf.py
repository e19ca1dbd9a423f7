"""Offsets from BTF, of the running kernel and of types made here."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcap_producer import points
from fleetcap_producer.btf import VMLINUX, Btf, BtfError, load

INT, ARRAY, STRUCT, UNION, ENUM, TYPEDEF, CONST, FUNCTION, DATASEC = 1, 3, 4, 5, 6, 8, 10, 13, 15


class Maker:
    """Writes BTF; type numbers count from 1."""

    def __init__(self) -> None:
        self.names = b"\0"
        self.types = b""

    def name(self, text: str) -> int:
        if not text:
            return 0
        at = len(self.names)
        self.names += text.encode() + b"\0"
        return at

    def add(self, kind: int, name: str = "", target: int = 4, vlen: int = 0, tail: bytes = b"", flag: int = 0) -> None:
        self.types += struct.pack("=III", self.name(name), flag << 31 | kind << 24 | vlen, target) + tail

    def composite(self, kind: int, name: str, *members: tuple[str, int, int], flag: int = 0) -> None:
        tail = b"".join(struct.pack("=III", self.name(member), target, bits) for member, target, bits in members)
        self.add(kind, name, 16, len(members), tail, flag)

    def data(self) -> bytes:
        header = struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(self.types), len(self.types), len(self.names))
        return header + self.types + self.names


@pytest.fixture
def types() -> bytes:
    make = Maker()
    make.add(INT, "int", tail=bytes(4))  # 1
    make.composite(UNION, "", ("either", 1, 0), ("or", 1, 0))  # 2
    make.composite(STRUCT, "", ("deep", 1, 32), ("", 2, 64))  # 3
    make.add(ENUM, "colour", vlen=2, tail=bytes(16))  # 4
    make.add(ARRAY, tail=bytes(12))  # 5
    make.composite(STRUCT, "inner", ("a", 1, 0), ("b", 1, 64))  # 6
    make.add(TYPEDEF, "inner_t", 6)  # 7
    make.add(CONST, "", 7)  # 8
    make.add(FUNCTION, vlen=1, tail=bytes(8))  # 9
    make.add(DATASEC, ".data", vlen=1, tail=bytes(12))  # 10
    make.composite(STRUCT, "outer", ("first", 1, 0), ("", 3, 64), ("named", 8, 256))  # 11
    make.composite(STRUCT, "flags", ("bit", 1, 3 << 24 | 8), ("whole", 1, 32), flag=1)  # 12
    make.add(TYPEDEF, "btf_trace_something", 9)  # 13
    return make.data()


@pytest.mark.parametrize(
    ("path", "offset"),
    [
        ("outer.first", 0),
        ("outer.deep", 12),
        ("outer.either", 16),
        ("outer.or", 16),
        ("outer.named", 32),
        ("outer.named.b", 40),
        ("inner.b", 8),
        ("flags.whole", 4),
        ("flags.bit", 1),
    ],
)
def test_members_are_found_through_unnamed_and_qualified_types(types: bytes, path: str, offset: int) -> None:
    assert Btf(types).offset(path) == offset


@pytest.mark.parametrize("path", ["outer.none", "none.first", "inn.a", "outer.named.c", "inner_t.a"])
def test_what_is_not_there_is_named(types: bytes, path: str) -> None:
    with pytest.raises(BtfError) as raised:
        Btf(types).offset(path)
    assert any(name in str(raised.value) for name in path.split("."))


def test_tracepoints_are_known_by_their_whole_name(types: bytes) -> None:
    assert Btf(types).has_tracepoint("something")
    assert not Btf(types).has_tracepoint("some")
    assert not Btf(types).has_tracepoint("thing")


@given(st.data())
def test_cut_data_is_refused_or_read(data: st.DataObject) -> None:
    make = Maker()
    make.composite(STRUCT, "s", ("m", 1, 0))
    whole = make.data()
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(BtfError):
        Btf(cut)


@given(st.binary(max_size=200))
def test_anything_else_is_refused(data: bytes) -> None:
    if not data.startswith(b"\x9f\xeb"):
        with pytest.raises(BtfError):
            Btf(data)


@pytest.mark.skipif(not VMLINUX.exists(), reason="this kernel has no BTF")
def test_the_running_kernel_has_what_the_programs_need() -> None:
    offsets = load().offsets(points.OFFSETS)
    assert len(set(offsets.values())) > 10
    assert offsets["inode.i_mode"] < 16
