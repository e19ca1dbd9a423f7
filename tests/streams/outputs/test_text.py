"""The reference's text and hex forms."""

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcap_proto.v1 import event_pb2
from fleetcap_streams.outputs.text import as_payload, hex_dump, text_form


def event(**fields: object) -> event_pb2.Event:
    plain = {
        "pid": 1234,
        "pname": "curl",
        "src_ip": "192.168.1.10",
        "src_port": 54321,
        "dst_ip": "93.184.216.34",
        "dst_port": 443,
    }
    return event_pb2.Event(**{**plain, **fields})  # type: ignore[arg-type]


def test_the_text_form_is_a_line_of_who_and_where_and_then_the_message():
    message = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"
    assert text_form(event(payload=message)) == (
        b"PID:1234, Comm:curl, Src:192.168.1.10:54321, Dest:93.184.216.34:443,\n" + message
    )


def test_ipv6_stands_in_brackets_and_an_unknown_end_is_bare():
    assert b"Src:[::1]:5, Dest::0,\n" in text_form(event(src_ip="::1", src_port=5, dst_ip="", dst_port=0, payload=b"x"))


def test_the_hex_form_dumps_whatever_the_message_is():
    said = text_form(event(payload=b"GET /"), as_hex=True)
    assert said.endswith(b"00000000  47 45 54 20 2f                                    |GET /|\n")


@pytest.mark.parametrize(
    ("head", "body", "payload"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", b"\x00\x01", b"HTTP/1.1 200 OK\r\n\r\n\x00\x01"),
        (b"", b"plain text", b"plain text"),
        (b"", b"a C string\0and more", b"a C string"),
        (b"", b"\x16\x03\x01", b"00000000  16 03 01                                          |...|\n"),
        (b"", b"\n", b"00000000  0a                                                |.|\n"),
        (b"", b"", b""),
    ],
    ids=["a head makes it text", "printable", "cut at its zero byte", "binary", "a newline is not printable", "nothing"],
)
def test_what_a_message_looks_like(head: bytes, body: bytes, payload: bytes):
    assert as_payload(head, body) == payload


@pytest.mark.skipif(shutil.which("hexdump") is None, reason="hexdump, the independent opinion, is not installed")
@pytest.mark.parametrize("size", [1, 7, 8, 9, 15, 16, 17, 255])
def test_a_dump_is_what_hexdump_prints(size: int):
    data = bytes((index * 7 + 3) % 256 for index in range(size))
    said = subprocess.run(["hexdump", "-vC"], input=data, capture_output=True, check=True).stdout
    lines = said.splitlines(keepends=True)[:-1]  # its last line is the size
    # Hexdump pads the last line of a dump by one blank where sixteen bytes would not end it.
    assert [line.split() for line in hex_dump(data).splitlines()] == [line.split() for line in lines]


@given(st.binary(max_size=600))
def test_every_byte_can_be_read_back_from_a_dump(data: bytes):
    read = b"".join(bytes.fromhex(line[8:58].decode()) for line in hex_dump(data).splitlines())
    assert read == data
