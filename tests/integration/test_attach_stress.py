"""Real programs under load while taps come and go: none crashes, none stalls, none gets a wrong byte."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetcap_producer.config import TapConfig
from fleetcap_producer.tap import Tap
from tests.integration.tap_harness import Program, Server, make_certificate, server, skip_unless_capturing

pytestmark = [pytest.mark.ebpf, pytest.mark.slow]

ROUNDS = 12
CLIENTS = 2


@pytest.fixture(scope="module", autouse=True)
def _capturing() -> None:
    skip_unless_capturing()


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server(make_certificate(tmp_path_factory.mktemp("tls"))) as running:
        yield running


class Load:
    """Clients that run one after the other until told to stop; what each did is checked by itself and by its exit code."""

    def __init__(self, peer: Server, command: str) -> None:
        self.done = 0
        self.failed: list[BaseException] = []
        self._peer = peer
        self._command = command
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                Program(self._command, self._peer.host, str(self._peer.port)).go()
            except BaseException as error:  # noqa: BLE001  told by the test that waits for it
                self.failed.append(error)
                return
            self.done += 1

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(90)
        assert not self._thread.is_alive(), "a program stalled"


def test_programs_work_on_while_taps_attach_and_detach(peer: Server) -> None:
    loads = [Load(peer, "keepalive") for _ in range(CLIENTS)]
    captured = 0
    for _ in range(ROUNDS):
        tap = Tap(TapConfig("node"))
        tap.start()
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            captured += len(tap.drain(0.05))
        tap.stop()
        while events := tap.drain(0.0):
            captured += len(events)
        tap.close()
    for load in loads:
        load.stop()
        assert load.failed == []
        assert load.done > 0
    assert captured > 0
    assert Path(f"/proc/{peer.pid}").exists(), "the server is alive"
