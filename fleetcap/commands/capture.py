"""`fleetcap capture` and `fleetcap record --live`: the tap, to Kafka or into a file."""

import sys
from collections.abc import Sequence
from pathlib import Path

from fleetcap.keyring import source
from fleetcap.recording import RecordingSink, RecordingWriter
from fleetcap.settings import Settings
from fleetcap_producer.capture import Sink, run_capture, stopped_by_signals
from fleetcap_producer.captured import Captured
from fleetcap_producer.config import Filters, TapConfig
from fleetcap_producer.encrypting import SealingSink
from fleetcap_producer.identity import boot_id
from fleetcap_producer.keys import KeyLogFile
from fleetcap_producer.packing import Packer
from fleetcap_producer.shipping import Shipper, ShipperOptions
from fleetcap_producer.spool import Spool, SpoolOptions
from fleetcap_producer.spooling import SpoolingSink
from fleetcap_producer.tap import Tap
from fleetcap_proto import topics


def to_kafka(settings: Settings) -> int:
    """Capture into the raw topic until a signal comes; returns the exit code."""
    spool = settings.spool and Spool(settings.spool, SpoolOptions(settings.spool_bytes, drop=settings.spool_drop))
    options = ShipperOptions(
        topic=settings.topic_prefix + topics.RAW,
        queue_bytes=settings.queue_bytes,
        needed_at_start=spool is None,
        tracked=spool is not None,
    )
    keys = source(settings)
    shipper = Shipper(settings.client_options(), options)
    sink: Sink = SpoolingSink(shipper, spool) if spool else shipper
    if keys:
        sink = SealingSink(sink, keys()[0])
    return _capture(settings, sink, tuple(shipper.endpoints()), f"to {options.topic} at {settings.bootstrap_servers}")


def to_file(settings: Settings, file: Path) -> int:
    """Capture into a recording until a signal comes; returns the exit code."""
    return _capture(settings, RecordingSink(RecordingWriter(file)), (), f"into {file}")


def tap_config(settings: Settings, denied: Sequence[tuple[str, int]]) -> TapConfig:
    """What the settings ask of a tap."""
    return TapConfig(
        node_id=settings.node_id,
        filters=Filters(settings.pids, settings.comms, settings.uids, settings.ports, settings.cgroups),
        denied=denied,
        ring_pages=settings.ring_pages,
        max_call_bytes=settings.max_call_bytes,
        libraries=settings.libraries,
        secrets=settings.secrets,
    )


def _capture(settings: Settings, sink: Sink, denied: Sequence[tuple[str, int]], where: str) -> int:
    tap = Tap(tap_config(settings, denied))
    log = KeyLogFile(settings.secrets_file) if settings.secrets and settings.secrets_file else None
    try:
        with stopped_by_signals() as stop:
            run_capture(_Announced(tap, where, log), Packer(settings.node_id, boot_id()), sink, stop)
    finally:
        if log:
            log.close()
    return 0


KEYS_WARNING = (
    "WARNING: the keys of TLS sessions are captured too. Whoever reads them can decrypt all traffic of these sessions, "
    "also what was recorded elsewhere; leave out --secrets where that is not wanted\n"
)


class _Announced:
    """The tap, saying on stderr when it is attached; keys go into `log`, where there is one, on their way."""

    def __init__(self, tap: Tap, where: str, log: KeyLogFile | None) -> None:
        self._tap = tap
        self._where = where
        self._log = log
        self.losses = tap.losses
        self.stop = tap.stop

    def start(self) -> None:
        """Attach, then say so."""
        self._tap.start()
        if self._tap.secrets:
            sys.stderr.write(KEYS_WARNING)
        sys.stderr.write(f"capturing {self._where}; Ctrl-C stops and brings out the rest\n")
        sys.stderr.flush()

    def drain(self, timeout_s: float) -> list[Captured]:
        """As the tap's."""
        events = self._tap.drain(timeout_s)
        if self._log:
            self._log.take(events)
        return events
