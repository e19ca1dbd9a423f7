"""Functions of ELF files as file offsets."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcap_producer import elf

SOURCE = """
int exported(void) { return 1; }
static int __attribute__((noinline, used)) hidden(void) { return 2; }
int data = 3;
int main(void) { return exported() + hidden(); }
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("elf")
    (folder / "program.c").write_text(SOURCE)
    subprocess.run([compiler, "-O1", "-o", str(folder / "program"), str(folder / "program.c")], check=True)
    return folder / "program"


def functions(path: Path, *names: str) -> dict[str, int]:
    fd = os.open(path, os.O_RDONLY)
    try:
        return elf.functions(fd, names)
    finally:
        os.close(fd)


def test_functions_are_found_where_their_code_is(program: Path) -> None:
    found = functions(program, "exported", "hidden", "main", "data", "missing", "printf")
    assert set(found) == {"exported", "hidden", "main"}
    code = program.read_bytes()
    # mov $1,%eax on x86-64, mov w0,#1 on arm64; behind endbr64 where the compiler puts one.
    for name, number in (("exported", 1), ("hidden", 2)):
        near = code[found[name] : found[name] + 16]
        assert bytes([0xB8, number, 0, 0, 0]) in near or (0x52800000 | number << 5).to_bytes(4, "little") in near


def test_a_stripped_program_keeps_nothing_of_its_own(program: Path, tmp_path: Path) -> None:
    stripped = tmp_path / "stripped"
    if shutil.which("strip") is None:
        pytest.skip("no strip")
    subprocess.run(["strip", "-o", str(stripped), str(program)], check=True)
    assert functions(stripped, "hidden", "main") == {}


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_refused_or_read(data: bytes, begins_right: bool) -> None:  # noqa: FBT001  drawn
    with tempfile.TemporaryFile() as file:
        file.write((b"\x7fELF\x02\x01\x01" if begins_right else b"") + data)
        file.flush()
        found: dict[str, int] = {}
        with contextlib.suppress(elf.ElfError):
            found = elf.functions(file.fileno(), ["SSL_read"])
        assert found == {}
