"""A table that grows downwards, one line for each exchange; what has no fixed width gets the room that the terminal leaves."""

import time
from typing import Final, TextIO

from rich.console import Console
from rich.text import Text

from fleetcap_proto.v1 import common_pb2, connection_pb2, event_pb2, exchange_pb2

# Time, process, arrow, method, status, what (all the room that is left), size, latency.
_HEAD = ("TIME", "PROCESS", "", "METHOD", "CODE", "WHAT", "SIZE", "LATENCY")
_WIDE = (12, 20, 1, 7, 4, 0, 9, 8)
_NARROW = (8, 12, 1, 7, 4, 0, 8, 8)
_NARROW_BELOW = 100  # columns of the terminal
_RIGHT = frozenset({6, 7})
_STATUS = {1: "cyan", 2: "green", 3: "blue", 4: "yellow", 5: "bold red"}
_ARROWS = {common_pb2.ROLE_CLIENT: "→", common_pb2.ROLE_SERVER: "←"}
_WAY: Final = ("operation", "subject", "exchange", "routing_key")


class TablePrinter:
    """Writes rows; the head comes with the first."""

    def __init__(self, out: TextIO) -> None:
        self._console = Console(file=out, highlight=False)
        self._started = False

    def exchange(self, exchange: exchange_pb2.Exchange) -> None:
        """One row."""
        request, response = exchange.request, exchange.response
        first = request if exchange.HasField("request") else response
        status = str(response.http.status or "") if exchange.HasField("response") else "…"
        missing = request.missing_bytes + response.missing_bytes
        size = _size(response.body_size) + ("!" if missing else "")
        latency = _duration(exchange.latency_ns) if exchange.HasField("latency_ns") else ""
        method = request.http.method or ("?" if not exchange.HasField("request") else exchange.protocol)
        self._row(
            (
                _clock(first.start_ns),
                _process(exchange.process),
                _ARROWS.get(exchange.role, "·"),
                method,
                status,
                _what(request),
                size,
                latency,
            ),
            {4: _STATUS.get(response.http.status // 100, "red"), 5: "" if not missing else "red"},
        )

    def message(self, message: exchange_pb2.Message, connection: common_pb2.Connection, node_id: str) -> None:  # noqa: ARG002
        """One row, with the beginning of the message."""
        arrow = "→" if message.direction == common_pb2.DIRECTION_SENT else "←"
        row = (
            _clock(message.start_ns),
            _process(connection.process),
            arrow,
            message.protocol,
            "",
            _what(message),
            _size(message.body_size),
            "",
        )
        self._row(row, {5: "dim"})

    def event(self, event: event_pb2.Event) -> None:
        """One row, with the beginning of the message."""
        what = _visible(event.payload[:200].decode("utf-8", "replace"))
        who = common_pb2.Process(pid=event.pid, comm=event.pname)
        arrow = "→" if event.type == common_pb2.DIRECTION_SENT else "←"
        self._row((_clock(event.timestamp), _process(who), arrow, event.protocol, "", what, _size(event.length), ""), {})

    def connection(self, record: connection_pb2.ConnectionRecord) -> None:
        """One row."""
        opened = record.state == connection_pb2.CONNECTION_STATE_OPENED
        who = record.connection
        reason = connection_pb2.CloseReason.Name(record.close_reason).removeprefix("CLOSE_REASON_").lower().replace("_", " ")
        remote = _endpoint(who.remote)
        what = f"{'opened' if opened else reason}{_counts(record)}, {remote}"
        arrow = _ARROWS.get(who.role, "·")
        self._row(
            (
                _clock(record.opened_ns if opened else record.closed_ns),
                _process(who.process),
                arrow,
                record.protocol,
                "",
                what,
                _size(record.received.bytes + record.sent.bytes),
                "",
            ),
            {},
        )

    def error(self, reason: str, where: str) -> None:
        """A line of its own, in red: it has no columns, and the terminal may wrap it."""
        self._console.print(Text(_visible(f"error: {where}: {reason}"), style="red"), soft_wrap=True)

    def _row(self, cells: tuple[str, ...], styles: dict[int, str]) -> None:
        if not self._started:
            self._started = True
            self._console.print(self._line(_HEAD, dict.fromkeys(range(len(_HEAD)), "bold")), no_wrap=True, crop=False)
        self._console.print(self._line(cells, styles), no_wrap=True, crop=False)

    def _line(self, cells: tuple[str, ...], styles: dict[int, str]) -> Text:
        narrow = self._console.width < _NARROW_BELOW
        widths = list(_NARROW if narrow else _WIDE)
        widths[5] = max(12, self._console.width - sum(widths) - len(widths) + 1)
        line = Text()
        for index, (cell, width) in enumerate(zip(cells, widths, strict=True)):
            part = Text(cell, style=styles.get(index, ""))
            part.truncate(width, overflow="crop" if index == 0 else "ellipsis")
            part.align("right" if index in _RIGHT else "left", width)
            line.append_text(part)
            line.append(" " if index < len(widths) - 1 else "")
        line.rstrip()
        return line


def _what(message: exchange_pb2.Message) -> str:
    if message.HasField("http"):
        target, authority = message.http.target, message.http.authority
        return _visible(f"{authority}{target}" if target.startswith("/") else target)
    return _visible(_way(message) + message.body[:200].decode("utf-8", "replace"))


def _way(message: exchange_pb2.Message) -> str:
    """Where something is published to or comes from, which its body does not say."""
    told = {each.name: each.text for each in message.attributes if each.name in _WAY}
    words = [told[name] for name in _WAY if told.get(name)]
    said = message.body.upper().startswith(told.get("operation", "").upper().encode())
    return "" if said or len(words) < 2 else " ".join(words) + " "


def _counts(record: connection_pb2.ConnectionRecord) -> str:
    missing = record.received.missing_bytes + record.sent.missing_bytes
    counts = f", {record.exchanges} exchange{'s' if record.exchanges > 1 else ''}" if record.exchanges else ""
    return counts + (f", {missing} bytes missing" if missing else "")


def _visible(text: str) -> str:
    return "".join(char if char.isprintable() else "·" for char in text)


def _process(process: common_pb2.Process) -> str:
    return _visible(f"{process.comm}/{process.pid}" if process.pid else process.comm)


def _endpoint(endpoint: common_pb2.Endpoint) -> str:
    return f"[{endpoint.ip}]:{endpoint.port}" if ":" in endpoint.ip else f"{endpoint.ip}:{endpoint.port}"


def _clock(time_ns: int) -> str:
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return f"{time.strftime('%H:%M:%S', time.localtime(seconds))}.{rest // 1_000_000:03d}"


def _size(size: int) -> str:
    if size < 1000:
        return f"{size} B"
    value = float(size)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 1000 or unit == "TB":
            break
    return f"{value:.1f} {unit}"


def _duration(time_ns: int) -> str:
    if time_ns < 1_000_000:
        return f"{time_ns / 1000:.0f} µs"
    return f"{time_ns / 1e6:.1f} ms" if time_ns < 1_000_000_000 else f"{time_ns / 1e9:.2f} s"
