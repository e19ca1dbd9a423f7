"""`python -m fleetcap.demo`, which `scripts/demo` calls: everything from nothing to decoded traffic on the screen.

    broker ─▶ worker ─▶ servers ─▶ capture ─▶ tail ─▶ clients ─▶ comparison ─▶ everything ends, in reverse

Where this machine cannot capture, a recording takes the place of servers, capture and clients.
"""

import argparse
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from types import FrameType
from typing import Final

from fleetcap.demo import recorded, servers, traffic
from fleetcap.demo.compare import Comparison, Expected, Side, compare, expected
from fleetcap.demo.errors import DemoError
from fleetcap.demo.report import Losses, Screen
from fleetcap.demo.stage import Stage, wait_until
from fleetcap.demo.truth import Address, Exchange
from fleetcap.demo.watching import Watch
from fleetcap.kafka.errors import BrokerError, TopicsError
from fleetcap.recording import RecordingError

SMALL: Final = traffic.Sizes(download=100_000, upload=50_000)  # of the recording, which is part of the package
_PAUSE_S = 1.0
_DECODE_S = 30.0
_END_S = 10.0
_SCREEN_S = 1.0  # for `tail` to show what is on the topic already


@dataclass(frozen=True, slots=True)
class Options:
    """How the demo was called."""

    once: bool = False
    replay: bool = False
    record: Path | None = None


def parse(arguments: list[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/demo", description="Show decoded HTTP exchanges of real TLS connections, from nothing."
    )
    parser.add_argument("--once", action="store_true", help="one round of every scenario, a summary, and an exit code")
    parser.add_argument("--replay", action="store_true", help="replay the recording even where this machine can capture")
    parser.add_argument("--record", type=Path, metavar="FOLDER", help="write the recording and its log anew (implies --once)")
    given = parser.parse_args(arguments)
    return Options(given.once or given.record is not None, given.replay, given.record)


class Stop:
    """Ctrl-C and SIGTERM: they end everything at once, but for where the first of them ends what is being done in order."""

    def __init__(self) -> None:
        self._orderly = False
        self._stopped = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    @contextmanager
    def in_order(self) -> Iterator[threading.Event]:
        """Within this, the first signal sets the event and does no more."""
        self._orderly = True
        try:
            yield self._stopped
        finally:
            self._orderly = False

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if not self._orderly or self._stopped.is_set():
            raise KeyboardInterrupt
        self._stopped.set()


class Demo:
    """One run."""

    def __init__(self, options: Options, stage: Stage, screen: Screen, stop: Stop) -> None:
        self._options = options
        self._stage = stage
        self._screen = screen
        self._stop = stop
        self._made: list[Exchange] = []
        self._captured = ""

    def run(self) -> bool:
        """Whether everything that was sent was decoded, and rightly."""
        screen, stage = self._screen, self._stage
        screen.title()
        with screen.step("Apache Kafka, real and embedded, with fleetcap's topics") as told:
            told.append(stage.start_broker())
        able, why = (False, "asked to replay") if self._options.replay else stage.can_capture()
        stage.start_worker()
        watch = Watch(stage.bootstrap_servers)
        watch.start()
        try:
            if able:
                self._live(watch)
            else:
                self._replay(why)
            return self._conclude(watch)
        finally:
            watch.stop()

    def _live(self, watch: Watch) -> None:
        screen, stage = self._screen, self._stage
        with servers.running(self._folder("servers")) as running:
            with screen.step("TLS servers") as told:
                told += [f"{one.comm} at {one.host}:{one.port}" for one in running.all]
            self._tell_what_is_not_shown(running)
            with screen.step("eBPF probes on OpenSSL, for connections of these servers alone"):
                stage.start_capture(sorted({one.port for one in running.all}))
            screen.gap("fleetcap tail" if self._options.once else "fleetcap tail; Ctrl-C ends it")
            stage.start_tail()
            if self._options.once:
                for scenario in traffic.scenarios(running, SMALL if self._options.record else None):
                    self._play(scenario)
            else:
                self._play_on(running)
            self._settle(watch)
            # Whatever ends here is told to everybody before the summary.
            self._captured = stage.stop_capture()

    def _replay(self, why: str) -> None:
        screen, stage = self._screen, self._stage
        screen.note(f"no capture here, but a recording of one: {why}")
        self._made = recorded.made()
        with screen.step("a recorded capture into the raw topic, in place of servers, clients and probes"):
            stage.run("import", str(recorded.CAPTURE))
        screen.gap("fleetcap tail")
        stage.start_tail()

    def _tell_what_is_not_shown(self, running: servers.Servers) -> None:
        if running.ipv6 is None:
            self._screen.note("no IPv6 on this machine: that scenario is left out")
        if running.nginx is None:
            self._screen.note("nginx is not installed: its scenario is left out; scripts/setup installs it")

    def _play(self, scenario: traffic.Scenario) -> None:
        self._stage.check()
        self._made += scenario.run()

    def _play_on(self, running: servers.Servers) -> None:
        """One round of everything, then gentle traffic until the user has seen enough."""
        first = ((scenario, 0.0) for scenario in traffic.scenarios(running))
        with self._stop.in_order() as stopped:
            for scenario, pause_s in chain(first, zip(traffic.gentle(running), repeat(_PAUSE_S), strict=False)):
                if stopped.wait(pause_s):
                    break
                self._play(scenario)
        self._screen.gap("enough; the rest is being brought out")

    def _conclude(self, watch: Watch) -> bool:
        comparison = self._settle(watch)
        wait_until(lambda: False, _SCREEN_S, self._stage.check)
        self._stage.stop_tail()
        losses = Losses(self._missing_bytes(watch), watch.unreadable(), self._captured)
        self._screen.summary(self._made, comparison, losses)
        good = comparison.perfect and not losses and bool(self._made)
        if good and self._options.record:
            self._keep(self._options.record)
        return good

    def _settle(self, watch: Watch) -> Comparison:
        """Wait until everything is decoded and every connection has ended, after which nothing more can come."""
        wanted = expected(self._made)
        wait_until(lambda: not self._compare(wanted, watch).missing, _DECODE_S, self._stage.check)
        sides = {one.side for one in wanted}
        wait_until(lambda: sides <= self._ended(watch).keys(), _END_S, self._stage.check)
        return self._compare(wanted, watch)

    def _compare(self, wanted: list[Expected], watch: Watch) -> Comparison:
        return compare(wanted, watch.exchanges())

    def _ended(self, watch: Watch) -> dict[Side, int]:
        """Missing bytes of connections that have ended."""
        found = {}
        for record in watch.closed():
            who = record.connection
            side = Side(who.process.pid, Address(who.local.ip, who.local.port), Address(who.remote.ip, who.remote.port))
            found[side] = record.received.missing_bytes + record.sent.missing_bytes
        return found

    def _missing_bytes(self, watch: Watch) -> int:
        sides = {one.side for one in expected(self._made)}
        return sum(missing for side, missing in self._ended(watch).items() if side in sides)

    def _keep(self, folder: Path) -> None:
        capture = self._stage.folder / recorded.CAPTURE.name
        self._stage.run("record", "--output", str(capture))
        recorded.keep(capture, self._made, folder)

    def _folder(self, name: str) -> Path:
        folder = self._stage.folder / name
        folder.mkdir()
        return folder


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; returns its exit code: 0 all decoded, 1 not so, 130 stopped while it was being set up."""
    options = parse(arguments)
    screen = Screen()
    stop = Stop()
    folder = Path(tempfile.mkdtemp(prefix="fleetcap-demo-"))
    folder.chmod(0o711)  # nginx's worker, which is nobody's, has to get through to its pages
    good = False
    try:
        with Stage(folder) as stage:
            good = Demo(options, stage, screen, stop).run()
    except (DemoError, BrokerError, TopicsError, RecordingError) as error:
        screen.failed(error)
    except KeyboardInterrupt:
        shutil.rmtree(folder, ignore_errors=True)
        return 130
    if good:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        screen.logs(folder)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
