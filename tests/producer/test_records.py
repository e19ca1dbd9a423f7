"""Records of the ring buffer: the same layout on both sides, and what Python makes of them."""

import ctypes
import ipaddress
import json
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcap_producer import points, records, source, tap

STRUCTURES = {
    "fc_data": records.DataRecord,
    "fc_connection": records.ConnectionRecord,
    "fc_closed": records.ClosedRecord,
    "fc_session_key": records.SessionKey,
    "fc_session": records.Session,
    "fc_file": records.File,
    "fc_arrival": records.Arrival,
    "fc_state": records.State,
    "fc_socket": records.Socket,
    "fc_lost_close": records.LostClose,
    "fc_secret": records.SecretRecord,
    "fc_secret_layout": records.SecretLayout,
}


def members(structure: type[ctypes.Structure]) -> list[str]:
    return [field[0] for field in structure._fields_]


def test_both_sides_agree_on_every_size_and_offset(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler; the header's own assertions still hold the sizes when bcc compiles it")
    rows = [
        f'{{"{name}.{member}", offsetof(struct {name}, {member}), sizeof(((struct {name} *)0)->{member})}},'
        for name, structure in STRUCTURES.items()
        for member in members(structure)
    ]
    rows += [f'{{"{name}", 0, sizeof(struct {name})}},' for name in STRUCTURES]
    code = (
        '#include <stddef.h>\n#include <stdio.h>\n#include "record.h"\n'
        "static struct { const char *name; long at, size; } rows[] = {" + "\n".join(rows) + "};\n"
        'int main(void) { puts("["); for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)'
        ' printf("%s[\\"%s\\", %ld, %ld]", i ? "," : "", rows[i].name, rows[i].at, rows[i].size); puts("]"); }'
    )
    (tmp_path / "layout.c").write_text(code)
    folder = str(resources.files("fleetcap_bpf"))
    subprocess.run(
        [compiler, "-Wall", "-Werror", "-I", folder, "-o", str(tmp_path / "layout"), str(tmp_path / "layout.c")], check=True
    )
    said = json.loads(subprocess.run([str(tmp_path / "layout")], check=True, capture_output=True).stdout)
    expected = [
        [f"{name}.{member}", getattr(structure, member).offset, getattr(structure, member).size]
        for name, structure in STRUCTURES.items()
        for member in members(structure)
    ]
    expected += [[name, 0, ctypes.sizeof(structure)] for name, structure in STRUCTURES.items()]
    assert said == expected


def test_constants_agree() -> None:
    header = source.read("record.h")
    for text in (
        f"#define FC_COMM_SIZE {records.COMM_SIZE}",
        f"#define FC_COMMAND_LINE_SIZE {records.COMMAND_LINE_SIZE}",
        f"#define FC_CHUNK_SIZE {records.CHUNK_SIZE}",
        f"FC_DATA = {records.KIND_DATA},",
        f"FC_CONNECTION = {records.KIND_CONNECTION},",
        f"FC_CLOSED = {records.KIND_CLOSED},",
    ):
        assert text in header
    counters = [line for line in header.splitlines() if line.startswith("\tFC_LOSS_") and "COUNT" not in line]
    assert len(counters) == tap._COUNTERS
    for name, index in tap._EVENT_LOSSES.items():
        assert "_BYTES" not in counters[index], name
    for name, index in tap._BYTE_LOSSES.items():
        assert "_BYTES" in counters[index], name


def test_every_program_of_the_tables_is_in_the_sources() -> None:
    text = source.assemble()
    kernel = {point.program for point in (*points.SOCKET_LIFE, *points.SOCKET_USE, *points.SYSCALL_USE)}
    for program in kernel | {point.program for point in points.LIBRARY_POINTS}:
        assert f"\nint {program}(" in text
    for name in (*points.OFFSETS.values(), *points.OFFSETS_IPV6.values()):
        assert f"AT_{name}" in text
    assert '#include "' not in text


def connection(**values: int | bytes) -> records.Described:
    """A description with these members; bytes stand as they are, with zeros behind them."""
    raw = bytearray(bytes(records.ConnectionRecord(kind=records.KIND_CONNECTION, fd=-1)))
    for name, value in values.items():
        member = getattr(records.ConnectionRecord, name)
        data = value if isinstance(value, bytes) else value.to_bytes(member.size, sys.byteorder)
        raw[member.offset : member.offset + len(data)] = data
    return records.described(memoryview(b"before" + raw), 6)


def test_a_description_has_every_field_in_its_place() -> None:
    names = [name for name in members(records.ConnectionRecord) if name in records.Described._fields]
    numbers = {name: index + 100 for index, name in enumerate(names) if name not in {"local", "remote", "comm", "command_line"}}
    seen = connection(**numbers)
    assert {name: getattr(seen, name) for name in numbers} == numbers
    assert len(numbers) == len(records.Described._fields) - 4


def test_names_and_addresses_of_a_description() -> None:
    line = b"curl\0-s\0https://x/\0"
    seen = connection(
        comm=b"curl",
        command_line=line,
        command_line_length=len(line),
        local=records.packed("10.0.0.1"),
        remote=records.packed("2001:db8::1"),
    )
    assert (seen.comm, seen.command_line) == ("curl", "curl -s https://x/")
    assert (seen.local, seen.remote, seen.fd) == ("10.0.0.1", "2001:db8::1", -1)


def test_a_command_line_that_was_cut_says_so() -> None:
    seen = connection(command_line=b"x" * records.COMMAND_LINE_SIZE, command_line_length=records.COMMAND_LINE_SIZE + 1)
    assert seen.command_line == "x" * records.COMMAND_LINE_SIZE + "…"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (bytes(16), ""),
        (bytes(10) + b"\xff\xff" + bytes([192, 0, 2, 7]), "192.0.2.7"),
        (bytes(15) + b"\1", "::1"),
        (bytes.fromhex("20010db8000000000000000000000001"), "2001:db8::1"),
    ],
)
def test_addresses_as_the_schema_has_them(raw: bytes, shown: str) -> None:
    assert records.address(raw) == shown


@given(st.ip_addresses())
def test_every_address_survives_packing(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    expected = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped else ip
    shown = records.address(records.packed(str(ip)))
    assert shown == ("" if ip.is_unspecified else str(expected))


@pytest.mark.parametrize(("raw", "shown"), [(b"nginx\0\0", "nginx"), (b"caf\xc3\xa9", "café"), (b"\xff\0", "\\xff"), (b"", "")])
def test_names_of_the_kernel(raw: bytes, shown: str) -> None:
    assert records.text(raw) == shown


def test_a_closed_socket() -> None:
    record = records.ClosedRecord(records.KIND_CLOSED, 0, 11, 22, 33)
    assert records.closed(memoryview(bytes(record)), 0) == records.Closed(11, 22, 33)
