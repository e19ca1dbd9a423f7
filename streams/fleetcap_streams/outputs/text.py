"""The reference's text and hex forms of a message.

Text form: a line that says who and where, then the message. A message that has a head (HTTP and its like) is its head as sent
and its decoded body. Any other follows the reference's default parser: a first byte that is printable ASCII makes it a C
string, anything else a hex dump.
"""

from collections.abc import Iterator
from typing import Final

from fleetcap_proto.v1 import event_pb2

PRINTABLE: Final = range(32, 127)
_ASCII: Final = bytes(byte if byte in PRINTABLE else ord(".") for byte in range(256))
_BYTES_A_LINE: Final = 16


def as_payload(head: bytes, body: bytes) -> bytes:
    """A message's bytes as the reference shows them; see the module for the rule."""
    if head:
        return head + body
    if not body:
        return b""
    if body[0] in PRINTABLE:
        return body.partition(b"\0")[0]
    return hex_dump(body)


def hex_dump(data: bytes) -> bytes:
    """Offset, sixteen bytes in two groups, the same as ASCII; the layout of `hexdump -C`, each line ended by a newline."""
    return "".join(_lines(data)).encode()


def _lines(data: bytes) -> Iterator[str]:
    for offset in range(0, len(data), _BYTES_A_LINE):
        line = data[offset : offset + _BYTES_A_LINE]
        left, right = line[:8].hex(" "), line[8:].hex(" ")
        yield f"{offset:08x}  {left:<23}  {right:<23}  |{line.translate(_ASCII).decode()}|\n"


def text_form(event: event_pb2.Event, *, as_hex: bool = False) -> bytes:
    """An event as the reference prints it; `as_hex`: the message as a hex dump, whatever it is."""
    source, destination = _endpoint(event.src_ip, event.src_port), _endpoint(event.dst_ip, event.dst_port)
    head = f"PID:{event.pid}, Comm:{event.pname}, Src:{source}, Dest:{destination},\n"
    message = hex_dump(event.raw or event.payload) if as_hex else event.payload
    return head.encode() + message + (b"" if message.endswith(b"\n") else b"\n")


def _endpoint(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
