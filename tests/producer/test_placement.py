"""Where probes go in machine code: in real compiled wrappers, and in code made to mislead."""

import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fleetcap_producer import elf, libraries, placement
from fleetcap_producer.placement import Placed
from fleetcap_producer.points import LIBRARY_POINTS, WRAPPED, LibraryPoint, Wrapped

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="instructions of x86-64")

POINTS = (
    LibraryPoint("openssl", "SSL_read", "leave", on_return=True),
    LibraryPoint("openssl", "SSL_read", "enter"),
    LibraryPoint("openssl", "SSL_read_ex", "ex_leave", on_return=True),
    LibraryPoint("openssl", "SSL_read_ex", "ex_enter"),
)
READS = Wrapped("openssl", "SSL_read_ex", ("SSL_read",), 3, ((3, "inner"), (4, "inner_at_4")), "inner_leave")

Build = Callable[[str], dict[str, list[tuple[str, int, bool]]]]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Assembles functions; gives for each where its probes went: program, distance from the function's label, on return."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")

    def make(source: str) -> dict[str, list[tuple[str, int, bool]]]:
        (tmp_path / "code.s").write_text(f".text\n{source}\n")
        subprocess.run([compiler, "-shared", "-nostdlib", "-Wl,-Bsymbolic", "-o", "code.so", "code.s"], check=True, cwd=tmp_path)
        fd = os.open(tmp_path / "code.so", os.O_RDONLY)
        try:
            known = elf.functions(fd, ["SSL_read", "SSL_read_ex", "inner"])
            library = libraries.Library("code.so", "openssl", libraries.Inode(0, 0), fd, known)
            placed = placement.place(library, POINTS, [READS])
        finally:
            os.close(fd)
        where: dict[str, list[tuple[str, int, bool]]] = {}
        for one in placed:
            name, start = max(((name, at) for name, at in known.items() if at <= one.offset), key=lambda found: found[1])
            where.setdefault(name, []).append((one.program, one.offset - start, one.on_return))
        return where

    return make


def function(name: str, body: str) -> str:
    return f".globl {name}\n.type {name},@function\n.p2align 4\n{name}:\n{body}\n.size {name},.-{name}\n"


INNER = function("inner", "push %r13\n mov %rdi,%r13\n call *(%rax)\n pop %r13\n ret")
READ = function(
    "SSL_read",
    "sub $24,%rsp\n test %edx,%edx\n js 2f\n mov %rsp,%rcx\n movslq %edx,%rdx\n call inner\n test %eax,%eax\n jle 1f\n"
    "mov (%rsp),%eax\n 1: add $24,%rsp\n ret\n 2: call inner2\n mov $-1,%eax\n jmp 1b\n inner2: ret",
)
READ_EX = function(
    "SSL_read_ex", "sub $8,%rsp\n call inner\n xor %edx,%edx\n test %eax,%eax\n cmovs %edx,%eax\n add $8,%rsp\n ret"
)
SHARED = {"inner": [("inner_leave", 0, True), ("inner", 0, False)]}


def test_wrappers_give_way_to_what_they_wrap(build: Build) -> None:
    assert build(READ + READ_EX + INNER) == SHARED


def test_a_tail_call_is_a_call(build: Build) -> None:
    assert build(READ + function("SSL_read_ex", "jmp inner") + INNER) == SHARED


def test_the_count_may_move_to_another_argument(build: Build) -> None:
    moved = function("SSL_read_ex", "mov %rcx,%r8\n xor %ecx,%ecx\n jmp inner")
    assert build(READ + moved + INNER) == {"inner": [("inner_leave", 0, True), ("inner_at_4", 0, False)]}


def test_a_marker_for_indirect_branches_is_stepped_over(build: Build) -> None:
    marked = INNER.replace("push %r13", "endbr64\n push %r13", 1)
    assert build(READ + READ_EX + marked) == {"inner": [("inner_leave", 4, True), ("inner", 4, False)]}


AT_ENTRIES = {
    "SSL_read": [("leave", 0, True), ("enter", 0, False)],
    "SSL_read_ex": [("ex_leave", 0, True), ("ex_enter", 0, False)],
}


@pytest.mark.parametrize(
    ("read", "read_ex"),
    [
        (READ.replace("call inner\n", "call other\n") + function("other", "push %rax\n ret"), READ_EX),
        (READ.replace("call inner2", "call *(%rax)"), READ_EX),
        (READ.replace("call inner\n", "mov %rbx,%rsi\n call inner\n"), READ_EX),
        (READ, READ_EX.replace("call inner", "xor %ecx,%ecx\n call inner")),
        (READ, READ_EX.replace("call inner", "xchg %rsi,%rdi\n call inner")),
        (READ, READ_EX.replace("call inner", "test %rdi,%rdi\n je 9f\n call inner\n 9:")),
        (READ, READ_EX.replace("call inner", "call *(%rax)")),
        (READ, READ_EX.replace("call inner", ".byte 0x06\n call inner")),
    ],
    ids=[
        "each wraps another",
        "a way around that could read",
        "another buffer",
        "no count",
        "arguments exchanged",
        "a way around",
        "called through a pointer",
        "no instruction",
    ],
)
def test_what_does_not_match_is_probed_at_its_entry(build: Build, read: str, read_ex: str) -> None:
    assert build(read + read_ex + INNER) == AT_ENTRIES


@pytest.mark.parametrize(
    ("body", "offset"),
    [
        ("push %rbp\n mov %rsp,%rbp\n pop %rbp\n ret", 0),
        ("push %r15\n pop %r15\n ret", 0),
        ("nop\n ret", 0),
        ("test %rdi,%rdi\n je 1f\n 1: ret", 3),
        ("xor %eax,%eax\n cmpl $2,(%rdi)\n jae 1f\n nop\n 1: ret", 5),
        ("sub $8,%rsp\n push %rax\n ret", 0),
        ("mov %rsi,%rdi\n push %rax\n ret", 0),
        ("xor %edx,%edx\n push %rax\n ret", 0),
        ("xor %eax,%eax\n 1: push %rax\n pop %rax\n jne 1b\n ret", 0),
        ("xor %eax,%eax\n ret", 0),
        ("call *%rax\n push %rax\n ret", 0),
        ("data16 nop\n ret", 0),
    ],
    ids=[
        "push",
        "push of a later register",
        "nop",
        "branch",
        "branch after reads",
        "stack moved",
        "argument overwritten",
        "part of an argument overwritten",
        "loop to it",
        "nothing cheap",
        "a call before it",
        "a longer nop",
    ],
)
def test_an_entry_is_the_first_cheap_instruction_where_all_is_as_on_entry(build: Build, body: str, offset: int) -> None:
    assert build(function("SSL_read", body)) == {"SSL_read": [("leave", offset, True), ("enter", offset, False)]}


def test_the_system_library_is_probed_where_it_is_cheap() -> None:
    found = [path for path in libraries.system_libraries() if path.endswith("libssl.so.3")]
    if not found:
        pytest.skip("no libssl.so.3 on this system")
    library = libraries.open_library(found[0], found[0])
    placed = placement.place(library, LIBRARY_POINTS, WRAPPED)
    try:
        for program in ("ssl_read", "ssl_write"):
            (enter,) = [one for one in placed if one.program.startswith(program) and "enter" in one.program]
            (leave,) = [one for one in placed if one.program.startswith(program) and "leave" in one.program]
            assert (enter.program, leave.program) == (f"{program}_ex_enter", f"{program}_ex_leave")
            assert enter.offset == leave.offset
            # push, whatever stands before it; other builds may differ
            assert os.pread(library.fd, 16, enter.offset)[0] in {0x41, *range(0x50, 0x58)}
        assert Placed("ssl_sendfile_leave", library.functions["SSL_sendfile"], on_return=True) in placed
    finally:
        os.close(library.fd)
