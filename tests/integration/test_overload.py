"""More traffic than the tap can take: what programs sent is what the engine saw and what is counted as lost, to the byte."""

from collections.abc import Iterator

import pytest

from fleetcap_producer.config import Filters, TapConfig
from fleetcap_producer.packing import Packer
from fleetcap_streams.engine.engine import Engine
from fleetcap_streams.engine.values import ConnectionOut, Record
from fleetcap_streams.protocols.registry import default_registry
from tests.integration.tap_harness import DATA, SENT, Program, Server, Session, make_certificate, server, skip_unless_capturing

pytestmark = pytest.mark.ebpf

SHED = ("bodies shed", "connections shed")
HEAD = 4096


@pytest.fixture(scope="module", autouse=True)
def _capturing() -> None:
    skip_unless_capturing()


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server(make_certificate(tmp_path_factory.mktemp("tls"))) as running:
        yield running


def _overloaded(programs: list[Program], pages: int, pause_s: float) -> tuple[Session, list[dict[str, object]]]:
    """Run programs beside a tap whose buffer is a fraction of what they send between two looks of its reader, which also looks
    when they are done."""
    config = TapConfig("node", Filters(pids=[one.pid for one in programs]), ring_pages=pages)
    carried: list[dict[str, object]] = []
    with Session(config, pause_s=pause_s) as tap:
        for one in programs:
            carried += one.go()
        tap.stop()
    return tap, carried


def _totals(tap: Session) -> tuple[int, int]:
    """Bytes that the worker's engine saw of all connections, and those that it knows to be missing."""
    packer = Packer("node", "boot")
    packed = packer.add(tap.events, 0.0) + packer.flush()
    engine = Engine(default_registry())
    outputs = engine.feed(Record(n, one.key, one.value, 1000) for n, one in enumerate(packed))
    outputs += engine.drain()
    ends = [one for one in outputs if isinstance(one, ConnectionOut) and one.reason is not None]
    sides = [side for one in ends for side in (one.received, one.sent)]
    return sum(one.bytes for one in sides), sum(one.missing_bytes for one in sides)


def _told(carried: list[dict[str, object]]) -> int:
    return sum(one[side][0] for one in carried for side in ("received", "sent"))  # type: ignore[index]


@pytest.mark.parametrize(("command", "amount"), [("download", "5000000"), ("many", "60")])
def test_what_was_sent_is_what_was_decoded_and_what_was_lost_under_five_times_the_load(
    peer: Server, command: str, amount: str
) -> None:
    program = Program(command, peer.host, str(peer.port), amount)
    tap, carried = _overloaded([program], 16 if command == "download" else 2, pause_s=3600.0)
    told, lost = _told(carried), sum(tap.tap.lost_bytes().values())
    seen, missing = _totals(tap)
    assert told >= 5 * seen, "it was no overload"
    assert seen + lost == told
    assert missing <= lost, "what is lost behind a connection's last event is known to the producer alone"
    assert sum(tap.tap.losses()[cause] for cause in SHED) > 0


def test_bodies_go_before_heads_and_every_end_is_told(peer: Server) -> None:
    programs = [Program("download", peer.host, str(peer.port), "3000000") for _ in range(3)]
    tap, carried = _overloaded(programs, 64, pause_s=0.05)
    losses = tap.tap.losses()
    assert losses["bodies shed"] > 0
    assert losses["close not told"] == 0
    for one in programs:
        (seen,) = tap.closed(one.pid)
        requests = [event for event in seen.events if event.kind == DATA and event.direction == SENT]
        assert requests
        assert requests[0].position == 0
        assert len(requests[0].payload) > 0, "the head of what the program said"
    assert sum(tap.tap.lost_bytes().values()) + _totals(tap)[0] == _told(carried)
