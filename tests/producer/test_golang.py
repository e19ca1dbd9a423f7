"""Functions of Go programs, found in a real one and in nonsense, and where probes go in them."""

import contextlib
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcap_producer import elf, golang, libraries, placement
from fleetcap_producer.libraries import Library
from fleetcap_producer.points import LIBRARY_POINTS


@pytest.fixture
def program() -> Iterator[Library]:
    """The go command, which speaks TLS itself."""
    path = shutil.which("go")
    if path is None or platform.machine() != "x86_64":
        pytest.skip("no go command for x86-64")
    library = libraries.open_library(path, path)
    yield library
    os.close(library.fd)


def test_functions_are_found_by_the_runtimes_table(program: Library) -> None:
    found = golang.functions(program.fd, ["crypto/tls.(*Conn).Read", "crypto/tls.(*Conn).Write", "no/such.function"])
    assert set(found) == {"crypto/tls.(*Conn).Read", "crypto/tls.(*Conn).Write"}
    assert all(0 < one.start < one.end < os.fstat(program.fd).st_size for one in found.values())


def test_probes_are_behind_the_check_of_the_stack_and_on_each_return(program: Library) -> None:
    assert program.kind == "go"
    placed = placement.place(program, [point for point in LIBRARY_POINTS if point.library == "go"], [])
    assert not any(one.on_return for one in placed)
    for name, function in (("go_read", "crypto/tls.(*Conn).Read"), ("go_write", "crypto/tls.(*Conn).Write")):
        start, end = program.functions[function], program.ends[function]
        entries = [one.offset for one in placed if one.program == f"{name}_enter"]
        returns = [one.offset for one in placed if one.program == f"{name}_leave"]
        assert len(entries) == 1
        assert start < entries[0] < start + 32
        assert os.pread(program.fd, 1, entries[0]) == b"\x55"
        assert returns
        for at in returns:
            assert entries[0] < at < end
            assert os.pread(program.fd, 1, at) == b"\xc3"


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_refused_or_read(data: bytes, begins_right: bool) -> None:  # noqa: FBT001  drawn
    with tempfile.TemporaryFile() as file:
        file.write((b"\x7fELF\x02\x01\x01" if begins_right else b"") + data)
        file.flush()
        found: dict[str, golang.Function] = {}
        with contextlib.suppress(elf.ElfError):
            found = golang.functions(file.fileno(), ["crypto/tls.(*Conn).Read"])
        assert found == {}
