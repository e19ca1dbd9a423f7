"""The capture loop, with a tap and a sink that are small enough to see through, and its signals in a process of its own."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from fleetcap.recording import read_recording
from fleetcap_producer.capture import CaptureOptions, Summary, run_capture
from fleetcap_producer.captured import Captured
from fleetcap_producer.packing import Packed, Packer, PackerOptions
from fleetcap_proto.v1 import common_pb2, raw_pb2

CONNECTION = common_pb2.Connection(uuid="one")


def _events(first: int, count: int) -> list[Captured]:
    return [
        Captured(CONNECTION, raw_pb2.EVENT_KIND_DATA, n + 1, position=n, payload=b"x" * 10) for n in range(first, first + count)
    ]


class ListTap:
    """Gives what it was made with; sets `stop` where that ends, and still has some left after it was detached."""

    def __init__(self, stop: threading.Event, drains: list[list[Captured]], left: list[list[Captured]]) -> None:
        self.stop_event = stop
        self.drains = drains
        self.left = left
        self.calls: list[str] = []

    def start(self) -> None:
        self.calls.append("start")

    def drain(self, timeout_s: float) -> list[Captured]:
        source = self.drains
        if "stop" in self.calls:
            assert timeout_s == 0.0
            source = self.left
        if not source:
            self.stop_event.set()
            return []
        return source.pop(0)

    def losses(self) -> Mapping[str, int]:
        return {"kernel buffer full": 3}

    def stop(self) -> None:
        self.calls.append("stop")


class ListSink:
    """Keeps what it is given, together with how long it might have waited."""

    def __init__(self) -> None:
        self.packed: list[Packed] = []
        self.waits: list[float] = []
        self.closed: list[float] = []

    def send(self, packed: Packed, wait_s: float) -> None:
        assert not self.closed
        self.packed.append(packed)
        self.waits.append(wait_s)

    def poll(self) -> None:
        pass

    def close(self, timeout_s: float) -> None:
        self.closed.append(timeout_s)

    def losses(self) -> Mapping[str, int]:
        return {"queue to Kafka full": 2, "kernel buffer full": 1}

    def positions(self) -> Iterator[int]:
        for packed in self.packed:
            yield from (event.position for event in raw_pb2.RawBatch.FromString(packed.value).events)


def _run(tap: ListTap, sink: ListSink, **options: Any) -> tuple[Summary, list[Summary]]:
    told: list[Summary] = []
    packer = Packer("node", "boot", PackerOptions(max_events=4))
    summary = run_capture(tap, packer, sink, tap.stop_event, CaptureOptions(**options, report=told.append))
    return summary, told


def test_everything_seen_is_brought_out_in_order_also_what_was_left_at_the_stop() -> None:
    tap = ListTap(threading.Event(), [_events(0, 6), [], _events(6, 1)], left=[_events(7, 5), _events(12, 2)])
    sink = ListSink()
    summary, told = _run(tap, sink)
    assert tap.calls == ["start", "stop"]
    assert list(sink.positions()) == list(range(14))
    assert len(sink.closed) == 1
    assert summary == Summary(14, 140, len(sink.packed), {"kernel buffer full": 4, "queue to Kafka full": 2})
    assert told == [summary]


def test_the_summary_is_one_line_with_every_cause() -> None:
    text = str(Summary(1234, 56789, 78, {"kernel buffer full": 10, "queue to Kafka full": 2, "never": 0}))
    assert text == (
        "captured 1,234 events with 56,789 bytes in 78 records; 12 events lost (kernel buffer full: 10, queue to Kafka full: 2)"
    )
    assert str(Summary(1, 2, 3, {})).endswith("; 0 events lost")


def test_stopping_takes_no_longer_than_it_may() -> None:
    tap = ListTap(threading.Event(), [_events(0, 9)], left=[_events(9, 9)])
    sink = ListSink()
    _run(tap, sink, stop_s=0.0, room_s=5.0)
    assert sink.waits == [5.0, 5.0, 0.0, 0.0, 0.0]
    assert sink.closed == [0.0]


class BrokenTap(ListTap):
    """Fails in its second drain."""

    def drain(self, timeout_s: float) -> list[Captured]:
        if len(self.drains) == 1 and "stop" not in self.calls:
            self.drains.clear()
            raise OSError("ring buffer gone")
        return super().drain(timeout_s)


def test_what_was_seen_before_a_failure_is_still_brought_out() -> None:
    tap = BrokenTap(threading.Event(), [_events(0, 3), _events(3, 3)], left=[_events(6, 2)])
    sink = ListSink()
    with pytest.raises(OSError, match="ring buffer gone"):
        _run(tap, sink)
    assert tap.calls == ["start", "stop"]
    assert list(sink.positions()) == [0, 1, 2, 6, 7]
    assert len(sink.closed) == 1


class UnstartableTap(ListTap):
    """Cannot attach."""

    def start(self) -> None:
        raise PermissionError("needs root")


def test_a_tap_that_cannot_attach_closes_the_sink_and_says_nothing_more() -> None:
    tap = UnstartableTap(threading.Event(), [], [])
    sink = ListSink()
    told: list[Summary] = []
    with pytest.raises(PermissionError, match="needs root"):
        run_capture(tap, Packer("node", "boot"), sink, tap.stop_event, CaptureOptions(report=told.append))
    assert (tap.calls, sink.closed, told) == ([], [0.0], [])


# A process of its own: the tap makes events without end, and has exactly ten left when it is detached.
PROGRAM = """
import sys, time
from pathlib import Path
from typing import Any
from fleetcap.recording import RecordingSink, RecordingWriter
from fleetcap_producer.captured import Captured
from fleetcap_producer.capture import run_capture, stopped_by_signals
from fleetcap_producer.packing import Packer
from fleetcap_proto.v1 import common_pb2

class Tap:
    def __init__(self): self.given, self.left, self.stopped = 0, 10, False
    def start(self): print("started", flush=True)
    def stop(self): self.stopped = True
    def losses(self): return {}
    def drain(self, timeout_s):
        time.sleep(0.002)
        if self.stopped:
            if not self.left: return []
            self.left -= 1
        self.given += 1
        return [Captured(common_pb2.Connection(uuid="one"), 1, self.given, position=self.given, payload=b"x")]

class Stuck(RecordingSink):
    def close(self, timeout_s):
        print("closing", flush=True)
        while True: time.sleep(0.05)

tap = Tap()
sink = (Stuck if sys.argv[2] == "stuck" else RecordingSink)(RecordingWriter(Path(sys.argv[1])))
with stopped_by_signals() as stop:
    run_capture(tap, Packer("node", "boot"), sink, stop)
print(tap.given)
"""


def _start(path: Path, how: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", PROGRAM, str(path), how]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "started\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_everything_and_ends_well(tmp_path: Path, number: signal.Signals) -> None:
    with _start(tmp_path / "file", "well") as process:
        process.send_signal(number)
        out, said = process.communicate(timeout=30)
    assert process.returncode == 0
    given = int(out)
    values = [recorded.record.value or b"" for recorded in read_recording(tmp_path / "file")]
    events = [event.position for value in values for event in raw_pb2.RawBatch.FromString(value).events]
    assert events == list(range(1, given + 1))
    assert said == f"captured {given:,} events with {given:,} bytes in {len(values):,} records; 0 events lost\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_ends_at_once(tmp_path: Path, number: signal.Signals, code: int) -> None:
    with _start(tmp_path / "file", "stuck") as process:
        process.send_signal(signal.SIGTERM)
        assert process.stdout
        assert process.stdout.readline() == "closing\n"
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert process.returncode == code
    assert said.startswith("ended at once")
    assert "Traceback" not in said


def test_handlers_are_put_back(tmp_path: Path) -> None:
    program = "import signal\nfrom fleetcap_producer.capture import stopped_by_signals\n"
    program += (
        "before = signal.getsignal(signal.SIGINT)\nwith stopped_by_signals() as stop: signal.raise_signal(signal.SIGTERM)\n"
    )
    program += "assert stop.is_set() and signal.getsignal(signal.SIGINT) is before"
    assert subprocess.run([sys.executable, "-c", program], check=False, cwd=tmp_path).returncode == 0
