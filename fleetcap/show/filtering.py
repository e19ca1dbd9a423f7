"""Which traffic somebody wants to see."""

from dataclasses import dataclass

from fleetcap_proto.v1 import common_pb2, connection_pb2, event_pb2, exchange_pb2


class WrongFilterError(Exception):
    """A filter cannot be understood. One line: which, and what it takes."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What has to agree; an empty one always does. `statuses` are ranges, both ends included."""

    process: str = ""
    host: str = ""
    method: str = ""
    statuses: tuple[tuple[int, int], ...] = ()
    protocol: str = ""

    def exchange(self, exchange: exchange_pb2.Exchange) -> bool:
        """Whether it is wanted."""
        request, status = exchange.request.http, exchange.response.http.status
        return (
            self._process(exchange.process)
            and self.host.lower() in (request.authority or exchange.remote.ip).lower()
            and self.method.upper() in ("", request.method.upper())
            and (not self.statuses or any(low <= status <= high for low, high in self.statuses))
            and self.protocol in ("", exchange.protocol)
        )

    def event(self, event: event_pb2.Event) -> bool:
        """Whether it is wanted; an event has neither host, method nor status."""
        who = common_pb2.Process(pid=event.pid, comm=event.pname)
        return not self._http_only() and self._process(who) and self.protocol in ("", event.protocol)

    def connection(self, record: connection_pb2.ConnectionRecord) -> bool:
        """Whether it is wanted; a connection has neither method nor status."""
        return not self._http_only() and self._process(record.connection.process) and self.protocol in ("", record.protocol)

    def _http_only(self) -> bool:
        return bool(self.host or self.method or self.statuses)

    def _process(self, process: common_pb2.Process) -> bool:
        return not self.process or self.process in (process.comm, str(process.pid))


def parse_statuses(text: str) -> tuple[tuple[int, int], ...]:
    """`404`, `5xx`, `400-499`, or several of them with commas.

    Raises:
        WrongFilterError: anything else.
    """
    return tuple(_range(part.strip().lower(), text) for part in text.split(",")) if text else ()


def _range(part: str, whole: str) -> tuple[int, int]:
    if len(part) == 3 and part[0].isdigit() and part[1:] == "xx":
        return int(part[0]) * 100, int(part[0]) * 100 + 99
    low, dash, high = part.partition("-")
    if low.isdigit() and (high.isdigit() or not dash):
        return int(low), int(high or low)
    raise WrongFilterError(f"flag --status={whole} cannot be used: give 404, 5xx, 400-499, or several with commas")
