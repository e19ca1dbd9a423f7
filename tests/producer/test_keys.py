"""Where secrets are handed out: found in code like that of real libraries, refused where the code is of two minds."""

import os
import platform
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from fleetcap_producer import elf, keys, libraries
from fleetcap_producer.captured import NOWHERE, Captured
from fleetcap_producer.keys import KeyLogFile, Layout, NotUnderstoodError
from fleetcap_producer.libraries import Inode, Library
from fleetcap_producer.packing import Packer
from fleetcap_producer.points import SYMBOLS
from fleetcap_proto.v1 import activity_pb2, raw_pb2, secrets_pb2

needs_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="instructions of x86-64")

LABELS = """
.section .rodata
pad: .asciz "not a label"
early: .ascii "EARLY_"
exporter: .asciz "EXPORTER_SECRET"
master: .asciz "CLIENT_RANDOM"
.text
.globl logger
.type logger,@function
logger: ret
.globl other
.type other,@function
other: ret
"""
DIRECT = ("lea 0x160(%rdi),%rcx", "lea 0x140(%rdi),%rcx")  # OpenSSL 3
THROUGH = ("mov 0xa8(%rdi),%rax\n lea 0xb8(%rax),%rsi", "mov 0xa8(%rdi),%rax\n lea 0x98(%rax),%rsi")  # OpenSSL 1.1.1
ADDED = ("mov %rdi,%r9\n add $0x50,%r9", "add $0x70,%rdi")


def caller(label: str, called: str, between: str = "mov %rbx,%rdi") -> str:
    return f"lea {label}(%rip),%rsi\n {between}\n call {called}\n test %eax,%eax\n ret\n"


def accessors(bodies: tuple[str, str]) -> str:
    names = ("SSL_get_client_random", "SSL_get_server_random")
    return "\n".join(
        f".globl {name}\n.type {name},@function\n{name}: test %rdx,%rdx\n je 1f\n {body}\n1: ret"
        for name, body in zip(names, bodies, strict=True)
    )


AGREED = (
    caller("early", "logger") + caller("exporter", "logger", "mov %r14,%rdi\n mov 0x58(%rsp),%rcx") + caller("master", "logger")
)


def build(folder: Path, source: str) -> tuple[Library, int]:
    """A library of this code, and where its `logger` is."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    (folder / "code.s").write_text(LABELS + source + "\n")
    command = [compiler, "-shared", "-nostdlib", "-Wl,-Bsymbolic", "-o", "code.so", "code.s"]
    subprocess.run(command, check=True, cwd=folder)
    fd = os.open(folder / "code.so", os.O_RDONLY)
    found = elf.functions(fd, [*SYMBOLS, "logger"])
    logger = found.pop("logger")
    return Library("code.so", "openssl", Inode(0, 0), fd, found), logger


@needs_x86
@pytest.mark.parametrize(
    ("bodies", "layout"),
    [(DIRECT, Layout(None, 0x160)), (THROUGH, Layout(0xA8, 0xB8)), (ADDED, Layout(None, 0x50))],
    ids=["in the session", "behind a pointer", "by adding"],
)
def test_the_function_is_the_one_that_all_callers_name_labels_to(tmp_path: Path, bodies: tuple[str, str], layout: Layout):
    library, logger = build(tmp_path, AGREED + accessors(bodies))
    assert keys.find(library) == (logger, layout)
    os.close(library.fd)


@needs_x86
@pytest.mark.parametrize(
    "source",
    [
        AGREED + caller("exporter", "other") + accessors(DIRECT),
        caller("early", "logger") + accessors(DIRECT),
        caller("early", "logger") + caller("early", "logger") + accessors(DIRECT),
        caller("early", "logger", "lea pad(%rip),%rsi") + caller("master", "logger", "mov %rax,%rsi") + accessors(DIRECT),
        caller("early", "logger", "jmp other") + caller("master", "logger", "ret") + accessors(DIRECT),
        AGREED,
        AGREED + accessors((DIRECT[0], "lea 0x148(%rdi),%rcx")),
        AGREED + accessors((DIRECT[0], THROUGH[1])),
        AGREED + accessors(("call other\n lea 0x160(%rax),%rcx", DIRECT[1])),
    ],
    ids=[
        "callers disagree",
        "one caller alone",
        "one label alone",
        "the label is not what is handed on",
        "the call is not reached",
        "no accessors",
        "randoms not side by side",
        "randoms in different places",
        "accessors that call",
    ],
)
def test_what_does_not_fit_together_is_left_alone(tmp_path: Path, source: str):
    library, _ = build(tmp_path, source)
    with pytest.raises(NotUnderstoodError):
        keys.find(library)
    os.close(library.fd)


@needs_x86
def test_the_systems_own_libraries_are_understood():
    found = [one for one in libraries.open_all(libraries.system_libraries()) if isinstance(one, Library)]
    if not found:
        pytest.skip("no TLS library is installed")
    for library in (one for one in found if one.kind != "crypto"):
        place = keys.find(library)
        assert place.logger not in library.functions.values()
        assert place.layout.client_random % 8 == 0
        os.close(library.fd)


@pytest.mark.parametrize(
    ("label", "size", "good"),
    [
        ("CLIENT_RANDOM", 48, True),
        ("CLIENT_RANDOM", 32, False),
        ("SERVER_TRAFFIC_SECRET_0", 32, True),
        ("SERVER_TRAFFIC_SECRET_0", 48, True),
        ("SERVER_TRAFFIC_SECRET_0", 33, False),
        ("", 48, False),
        ("client_random", 48, False),
    ],
)
def test_only_what_can_be_a_secret_is_one(label: str, size: int, *, good: bool):
    assert keys.is_secret(label, bytes(size)) is good


ENTRY = secrets_pb2.KeyLogEntry(label="CLIENT_RANDOM", client_random=bytes(range(32)), secret=b"\xab" * 48)
KEY = Captured(NOWHERE, raw_pb2.EVENT_KIND_KEY, 5, payload=ENTRY.SerializeToString(), tid=9)


def test_the_file_is_its_owners_alone_and_never_behind_a_link(tmp_path: Path):
    file = tmp_path / "keys"
    file.write_text("# before\n")
    file.chmod(0o644)
    log = KeyLogFile(file)
    log.take([KEY, Captured(NOWHERE, raw_pb2.EVENT_KIND_DATA, 5)])
    log.close()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == f"# before\nCLIENT_RANDOM {bytes(range(32)).hex()} {'ab' * 48}\n"
    (tmp_path / "link").symlink_to(file)
    with pytest.raises(OSError, match="symbolic link"):
        KeyLogFile(tmp_path / "link")


def test_facts_are_packed_without_a_connection_under_the_nodes_name():
    line = activity_pb2.Activity(kind=activity_pb2.ACTIVITY_KIND_SHELL_LINE, text="ls", program="bash")
    activity = Captured(NOWHERE, raw_pb2.EVENT_KIND_ACTIVITY, 6, payload=line.SerializeToString(), comm="bash")
    packer = Packer("node-1", "boot")
    assert packer.add([KEY, activity], 0.0) == []
    (packed,) = packer.flush()
    assert packed.key == b"node-1"
    batch = raw_pb2.RawBatch.FromString(packed.value)
    assert not batch.HasField("connection")
    assert batch.event_count == packed.events == 2
    key, fact = batch.events
    assert (key.kind, key.timestamp_ns, key.key, key.tid) == (raw_pb2.EVENT_KIND_KEY, 5, ENTRY, 9)
    assert (fact.kind, fact.timestamp_ns, fact.activity, fact.comm) == (raw_pb2.EVENT_KIND_ACTIVITY, 6, line, "bash")
    assert not key.payload
    assert not fact.payload
