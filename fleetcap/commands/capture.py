"""`fleetcap capture` and `fleetcap record --live`: the tap, to Kafka or into a file."""

import sys
from collections.abc import Sequence
from pathlib import Path

from fleetcap.recording import RecordingSink, RecordingWriter
from fleetcap.settings import Settings
from fleetcap_producer.capture import Sink, run_capture, stopped_by_signals
from fleetcap_producer.config import Filters, TapConfig
from fleetcap_producer.identity import boot_id
from fleetcap_producer.packing import Packer
from fleetcap_producer.shipping import Shipper, ShipperOptions
from fleetcap_producer.tap import Tap
from fleetcap_proto import topics


def to_kafka(settings: Settings) -> int:
    """Capture into the raw topic until a signal comes; returns the exit code."""
    options = ShipperOptions(topic=settings.topic_prefix + topics.RAW, queue_bytes=settings.queue_bytes)
    shipper = Shipper(settings.client_options(), options)
    return _capture(settings, shipper, tuple(shipper.endpoints()), f"to {options.topic} at {settings.bootstrap_servers}")


def to_file(settings: Settings, file: Path) -> int:
    """Capture into a recording until a signal comes; returns the exit code."""
    return _capture(settings, RecordingSink(RecordingWriter(file)), (), f"into {file}")


def _capture(settings: Settings, sink: Sink, denied: Sequence[tuple[str, int]], where: str) -> int:
    tap = Tap(
        TapConfig(
            node_id=settings.node_id,
            filters=Filters(settings.pids, settings.comms, settings.uids, settings.ports, settings.cgroups),
            denied=denied,
            ring_pages=settings.ring_pages,
            max_call_bytes=settings.max_call_bytes,
            libraries=settings.libraries,
        )
    )
    with stopped_by_signals() as stop:
        run_capture(_Announced(tap, where), Packer(settings.node_id, boot_id()), sink, stop)
    return 0


class _Announced:
    """The tap, saying on stderr when it is attached."""

    def __init__(self, tap: Tap, where: str) -> None:
        self._tap = tap
        self._where = where
        self.drain = tap.drain
        self.losses = tap.losses
        self.stop = tap.stop

    def start(self) -> None:
        """Attach, then say so."""
        self._tap.start()
        sys.stderr.write(f"capturing {self._where}; Ctrl-C stops and brings out the rest\n")
        sys.stderr.flush()
