"""`fleetcap capture` and `fleetcap record --live`: the tap, to Kafka or into a file."""

import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from fleetcap.keyring import KeyringError, source
from fleetcap.recording import RecordingSink, RecordingWriter
from fleetcap.settings import WHO, Settings, WrongSettingError
from fleetcap_producer import metrics, privileges
from fleetcap_producer.capture import CaptureOptions, Sink, run_capture, stopped_by_signals
from fleetcap_producer.captured import Captured
from fleetcap_producer.config import Filters, TapConfig
from fleetcap_producer.encrypting import SealingSink
from fleetcap_producer.errors import TapError
from fleetcap_producer.health import Counts, Health, merged
from fleetcap_producer.identity import boot_id
from fleetcap_producer.keys import KeyLogFile
from fleetcap_producer.masking import Masker, MaskError
from fleetcap_producer.packing import Packer
from fleetcap_producer.shipping import Shipper, ShipperOptions
from fleetcap_producer.spool import Spool, SpoolOptions
from fleetcap_producer.spooling import SpoolingSink
from fleetcap_producer.tap import Tap
from fleetcap_proto import topics

Reread = Callable[[], Settings]
T = TypeVar("T")


def to_kafka(settings: Settings, reread: Reread | None = None) -> int:
    """Capture into the raw topic until a signal comes; returns the exit code. SIGHUP has the settings read again."""
    _begin(settings)
    spool = settings.spool and Spool(settings.spool, SpoolOptions(settings.spool_bytes, drop=settings.spool_drop))
    options = ShipperOptions(
        topic=settings.topic_prefix + topics.RAW,
        queue_bytes=settings.queue_bytes,
        needed_at_start=spool is None,
        tracked=spool is not None,
    )
    keys = source(settings)
    sealing = keys()[0] if keys else None
    # The client's threads talk to the network and need no capabilities.
    shipper = _plainly(settings, lambda: Shipper(settings.client_options(), options))
    plain: Sink = SpoolingSink(shipper, spool) if spool else shipper
    sink = SealingSink(plain, sealing) if sealing else plain
    tap = _Tap(settings, tuple(shipper.endpoints()), f"to {options.topic} at {settings.bootstrap_servers}")
    packer = Packer(settings.node_id, boot_id())
    lost = spool.lost if spool else shipper.lost

    def counts() -> Counts:
        return Counts(
            events=packer.events,
            payload_bytes=packer.payload_bytes,
            records=shipper.records,
            lost_events=merged(tap.losses(), lost.events()),
            lost_bytes=merged(tap.lost_bytes(), lost.sizes()),
            lost_by_key=lost.by_key(),
            spool_bytes=spool.size if spool else 0,
        )

    health = Health(settings.node_id, boot_id(), counts)
    server: Any = None
    if settings.web_port is not None:
        port = settings.web_port
        server, _ = _plainly(settings, lambda: metrics.serve(settings.web_host, port, lambda: health.latest))
    try:
        return _capture(tap, packer, sink, _Reload(settings, reread, tap, sink), CaptureOptions(health=health))
    finally:
        if server:
            server.shutdown()


def to_file(settings: Settings, file: Path) -> int:
    """Capture into a recording until a signal comes; returns the exit code."""
    _begin(settings)
    sink = RecordingSink(RecordingWriter(file))
    tap = _Tap(settings, (), f"into {file}")
    return _capture(tap, Packer(settings.node_id, boot_id()), sink, _Reload(settings, None, tap, sink))


def tap_config(settings: Settings, denied: Sequence[tuple[str, int]]) -> TapConfig:
    """What the settings ask of a tap."""
    return TapConfig(
        node_id=settings.node_id,
        filters=Filters(settings.pids, settings.comms, settings.uids, settings.ports, settings.cgroups, settings.programs),
        excluded=Filters(
            settings.exclude_pids,
            settings.exclude_comms,
            settings.exclude_uids,
            settings.exclude_ports,
            settings.exclude_cgroups,
            settings.exclude_programs,
        ),
        denied=denied,
        ring_pages=settings.ring_pages,
        max_call_bytes=settings.max_call_bytes,
        libraries=settings.libraries,
        secrets=settings.secrets,
        plain=settings.plain,
        watch=settings.harden != "freeze",
    )


def _begin(settings: Settings) -> None:
    if settings.harden != "off":
        privileges.begin()


def _plainly(settings: Settings, make: Callable[[], T]) -> T:
    return make() if settings.harden == "off" else privileges.without_capabilities(make)


def _capture(tap: "_Tap", packer: Packer, sink: Sink, reload: "_Reload", options: CaptureOptions | None = None) -> int:
    try:
        with stopped_by_signals() as stop:
            tap.reload = reload
            signal.signal(signal.SIGHUP, reload.ask)
            run_capture(tap, packer, sink, stop, options)
    finally:
        tap.close()
    return 0


KEYS_WARNING = (
    "WARNING: the keys of TLS sessions are captured too. Whoever reads them can decrypt all traffic of these sessions, "
    "also what was recorded elsewhere; leave out --secrets where that is not wanted\n"
)


class _Tap:
    """The tap, saying on stderr when it is attached and giving up privileges then; it masks, and keeps keys in a file."""

    def __init__(self, settings: Settings, denied: Sequence[tuple[str, int]], where: str) -> None:
        self._tap = Tap(tap_config(settings, denied))
        self._denied = denied
        self._where = where
        self._harden = settings.harden
        self._log = KeyLogFile(settings.secrets_file) if settings.secrets and settings.secrets_file else None
        self._masker = masker(settings)
        self.reload: _Reload | None = None
        self.losses = self._tap.losses
        self.lost_bytes = self._tap.lost_bytes
        self.stop = self._tap.stop

    def start(self) -> None:
        """Attach, give up what is no longer needed, then say so."""
        self._tap.start()
        if self._harden != "off":
            privileges.attached(self._harden)
        if self._tap.secrets:
            sys.stderr.write(KEYS_WARNING)
        sys.stderr.write(f"capturing {self._where}; Ctrl-C stops and brings out the rest\n")
        sys.stderr.flush()

    def drain(self, timeout_s: float) -> list[Captured]:
        """As the tap's."""
        if self.reload:
            self.reload.if_asked()
        events = self._tap.drain(timeout_s)
        if self._log:
            self._log.take(events)
        return self._masker.mask(events) if self._masker else events

    def use(self, settings: Settings) -> None:
        """Filter and mask by these settings from now on.

        Raises:
            TapError: the filters need another start.
            MaskError: a rule cannot be used.
        """
        masks = masker(settings)
        self._tap.refilter(tap_config(settings, self._denied))
        self._masker = masks

    def close(self) -> None:
        """Let go of the file of keys."""
        if self._log:
            self._log.close()


def masker(settings: Settings) -> Masker | None:
    """What masks by these settings, if anything.

    Raises:
        MaskError: a rule cannot be used.
    """
    if not settings.mask_headers and not settings.mask_patterns:
        return None
    return Masker(settings.mask_headers, settings.mask_patterns)


class _Reload:
    """Takes over, between two drains, what of new settings can be taken over without a new start."""

    TAKEN = frozenset({*WHO, *(f"exclude_{name}" for name in WHO), "mask_headers", "mask_patterns", "record_keys"})

    def __init__(self, settings: Settings, reread: Reread | None, tap: _Tap, sink: Sink) -> None:
        self._settings = settings
        self._reread = reread
        self._tap = tap
        self._sink = sink
        self._asked = False

    def ask(self, _number: int, _frame: FrameType | None) -> None:
        """A signal's handler."""
        self._asked = True

    def if_asked(self) -> None:
        """Read the settings again; where that cannot be, say why and go on as before."""
        if not self._asked:
            return
        self._asked = False
        try:
            settings = self._reread() if self._reread else self._settings
            keys = source(settings) if settings.record_keys else None
            key = keys()[0] if keys else None
            self._tap.use(settings)
        except (WrongSettingError, KeyringError, TapError, MaskError) as error:
            sys.stderr.write(f"SIGHUP: {error}; the capture goes on as before\n")
            return
        if key and isinstance(self._sink, SealingSink):
            self._sink.use(key)
        before, self._settings = self._settings, settings
        later = [name for name in type(before).model_fields if getattr(before, name) != getattr(settings, name)]
        later = [name for name in later if name not in self.TAKEN]
        rest = f"; {', '.join(later)} will count from the next start on" if later else ""
        sys.stderr.write(f"SIGHUP: filters, masks and keys are read again{rest}\n")
        sys.stderr.flush()
