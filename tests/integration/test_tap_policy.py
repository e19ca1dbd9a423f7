"""Who is left out, who alone is captured by the file it runs, and that both can be changed under way."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fleetcap_producer.config import Filters, TapConfig
from fleetcap_producer.errors import TapError
from tests.integration.tap_harness import Program, Server, Session, make_certificate, server, skip_unless_capturing

pytestmark = pytest.mark.ebpf


@pytest.fixture(scope="module", autouse=True)
def _capturing() -> None:
    skip_unless_capturing()


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server(make_certificate(tmp_path_factory.mktemp("tls"))) as running:
        yield running


def client(peer: Server, **options: object) -> Program:
    return Program("keepalive", peer.host, str(peer.port), **options)


@pytest.mark.parametrize(
    ("excluded", "user"),
    [
        (lambda refused: Filters(pids=[refused.pid]), None),
        (lambda _: Filters(uids=[12345]), 12345),
    ],
    ids=["pid", "uid"],
)
def test_whoever_is_excluded_is_left_out_though_the_filters_let_him_pass(
    peer: Server, excluded: Callable[[Program], Filters], user: int | None
) -> None:
    refused, wanted = client(peer, user=user), client(peer)
    filters = Filters(pids=[refused.pid, wanted.pid])
    with Session(TapConfig("node", filters, excluded=excluded(refused))) as tap:
        refused.go()
        wanted.go()
        tap.closed(wanted.pid)
        tap.settle()
        assert {event.connection.process.pid for event in tap.events} == {wanted.pid}


def test_a_port_on_the_deny_list_is_left_out(peer: Server, tmp_path: Path) -> None:
    with server(make_certificate(tmp_path)) as second, Session(TapConfig("node", excluded=Filters(ports=[peer.port]))) as tap:
        refused, wanted = client(peer), client(second)
        refused.go()
        wanted.go()
        tap.closed(wanted.pid)
        tap.settle()
        assert tap.seen(refused.pid, peer.pid) == []


def _curl(curl: str, peer: Server) -> int:
    done = subprocess.Popen([curl, "-sk", f"https://127.0.0.1:{peer.port}/100"], stdout=subprocess.DEVNULL)
    done.communicate(timeout=20)
    return done.pid


@pytest.mark.parametrize("by", ["comm", "program"])
def test_a_command_or_the_file_of_a_program_on_the_deny_list_is_left_out(peer: Server, by: str) -> None:
    curl = shutil.which("curl")
    assert curl
    excluded = Filters(comms=["curl"]) if by == "comm" else Filters(programs=[Path(curl)])
    with Session(TapConfig("node", excluded=excluded)) as tap:
        refused = _curl(curl, peer)
        wanted = client(peer)
        wanted.go()
        tap.closed(wanted.pid)
        tap.settle()
        assert tap.seen(refused) == []


def test_a_program_is_captured_by_its_file_whatever_it_calls_itself(peer: Server, tmp_path: Path) -> None:
    curl = shutil.which("curl")
    assert curl
    disguised = tmp_path / "harmless"
    shutil.copy(curl, disguised)
    with Session(TapConfig("node", Filters(programs=[disguised]))) as tap:
        other = client(peer)
        other.go()
        _curl(curl, peer)
        wanted = _curl(str(disguised), peer)
        tap.closed(wanted)
        tap.settle()
        assert {event.connection.process.pid for event in tap.events} == {wanted}
        assert {event.connection.process.comm for event in tap.events} == {"harmless"}


def test_filters_are_changed_under_way_but_not_their_kinds(peer: Server) -> None:
    first, second, third = client(peer, user=12345), client(peer, user=12346), client(peer, user=12345)

    def config(wanted: int, refused: int) -> TapConfig:
        return TapConfig("node", Filters(uids=[wanted]), excluded=Filters(uids=[refused]))

    with Session(config(12345, 12346)) as tap:
        first.go()
        tap.closed(first.pid)
        tap.tap.refilter(config(12346, 12345))
        third.go()
        second.go()
        tap.closed(second.pid)
        tap.settle()
        assert {event.connection.process.pid for event in tap.events} == {first.pid, second.pid}
        with pytest.raises(TapError, match="start the capture again"):
            tap.tap.refilter(TapConfig("node", Filters(ports=[1])))


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(TapError, match="/no/such/program"):
        Session(TapConfig("node", excluded=Filters(programs=[Path("/no/such/program")]))).__enter__()


def test_a_tap_that_does_not_watch_sees_what_ran_before_and_what_uses_the_same_libraries(peer: Server) -> None:
    with Session(TapConfig("node", watch=False)) as tap:
        program = client(peer, python=sys.executable)
        program.go()
        tap.closed(program.pid)
