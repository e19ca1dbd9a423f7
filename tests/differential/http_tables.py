"""HTTP/1, HTTP/2 and gRPC: where what tshark tells stands in our JSON, and where the two differ."""

from collections.abc import Callable, Iterable, Iterator

from tests.differential.second_opinion import Difference, Json, Row, Table


def member(name: str) -> Callable[[Json], Iterable[str]]:
    """The member of that name, where a message has it."""
    return lambda message: [str(message[name])] if message.get(name) not in (None, "") else []


def _version(message: Json) -> list[str]:
    return [f"HTTP/{message['version']}"] if message.get("version") else []


def _lines(part: str) -> Callable[[Json], Iterator[str]]:
    """Header lines of messages that have that member."""

    def values(message: Json) -> Iterator[str]:
        if part in message:
            yield from (f"{name}: {value}" for name, value in message["headers"])

    return values


def _line(text: str) -> str:
    """A header line without its end; tshark writes control characters as C does, and leaves optional space as it was."""
    name, _, value = text.removesuffix("\\r\\n").partition(":")
    return f"{name}: {value.strip()}"


def _text_body(message: Json) -> list[str]:
    """Bodies that look the same however one prints them."""
    body = message.get("body", "")
    return [body] if body and "body_encoding" not in message and body.isprintable() and message["complete"] else []


HTTP1 = Table(
    "HTTP/1",
    frozenset({"http1"}),
    ("http/httpv1.pcap", "http/client-ip.pcap", "http/sw8.pcap", "http/istio-tcp-frag.pcap"),
    (
        Row(("http.request.method",), member("method")),
        Row(("http.request.uri",), member("target")),
        Row(("http.host",), member("authority")),
        Row(("http.request.version",), lambda message: _version(message) if "method" in message else []),
        Row(("http.response.version",), lambda message: _version(message) if "status" in message else []),
        Row(("http.response.code",), member("status")),
        Row(("http.response.phrase",), member("reason")),
        Row(("http.request.line",), _lines("method"), _line),
        Row(("http.response.line",), _lines("status"), _line),
        Row(("http.file_data",), _text_body),
    ),
    decode_as="http",
    differences=(
        Difference("http/httpv1.pcap", "http.file_data", "binary bodies, printed up to their first zero byte", ("6", "U")),
    ),
    silent={"http/client-ip.pcap": "the end of the request was not captured, so it never puts either side together"},
)

_UNKNOWN = "?"
_PSEUDO = {"method": ":method", "target": ":path", "authority": ":authority", "status": ":status"}


def _header_list(message: Json) -> Iterator[str]:
    """All that HPACK carried but the scheme, which JSON does not show."""
    for name, sent in _PSEUDO.items():
        if message.get(name) not in (None, ""):
            yield f"{sent}\0{message[name]}"
    for name, value in (*message.get("headers", ()), *message.get("trailers", ())):
        if _UNKNOWN not in (name, value):
            yield f"{name}\0{value}"


def _known(header: str) -> str | None:
    """Neither can know what stands at an index whose entry was sent before the capture; each has its own way to say so."""
    name, _, value = header.partition("\0")
    return None if name == ":scheme" or "<unknown>" in (name, value) else header


HTTP2 = Table(
    "HTTP/2",
    frozenset({"http2", "grpc"}),
    tuple(
        f"http/{name}.pcap"
        for name in (
            "grpc-segmented",
            "grpc-server-stream",
            "grpc-service-name",
            "grpc-unary",
            "grpc-unknown",
            "h2c_ascii",
            "http2-multi",
            "httpv2-stream-id",
        )
    ),
    (
        Row(("http2.header.name", "http2.header.value"), _header_list, _known),
        Row(("http2.headers.status",), member("status")),
        Row(("http2.headers.method",), member("method")),
        Row(("http2.headers.path",), member("target")),
    ),
    decode_as="http2",
)
TABLES = (HTTP1, HTTP2)
