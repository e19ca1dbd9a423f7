"""`fleetcap worker`: the Faust app with our engine and our outputs."""

from fleetcap.keyring import keyring
from fleetcap.settings import Settings
from fleetcap_streams.engine.engine import Engine
from fleetcap_streams.engine.limits import EngineLimits
from fleetcap_streams.fast.loading import shortcut
from fleetcap_streams.outputs.records import Encoder
from fleetcap_streams.plugins import installed_registry
from fleetcap_streams.protocols.contract import Limits
from fleetcap_streams.worker import Parts, WorkerConfig, run_worker


def run(settings: Settings) -> int:
    """Run until a signal comes or something fails; returns the exit code."""
    limits = engine_limits(settings)
    registry = installed_registry()
    config = WorkerConfig(
        bootstrap_servers=settings.bootstrap_servers,
        group=settings.group,
        topic_prefix=settings.topic_prefix,
        kafka_options=settings.kafka,
        limits=limits,
        checkpoint_interval_ms=settings.checkpoint_interval_ms,
        tick_interval_ms=settings.tick_interval_ms,
        session_timeout_ms=settings.session_timeout_ms,
        stall_timeout_ms=settings.stall_timeout_ms,
        instance_id=settings.instance_id,
        web_host=settings.web_host,
        web_port=settings.web_port,
        log_level=settings.log_level,
        log_format=settings.log_format,
    )
    encode = Encoder(secrets=settings.secrets, ecapture=settings.ecapture)
    # eCapture's numbering is written by the encoder alone.
    keys = keyring(settings)
    return run_worker(
        config, Parts(lambda: Engine(registry, limits, None if settings.ecapture else shortcut(limits), keys), encode)
    )


def engine_limits(settings: Settings) -> EngineLimits:
    """The engine's limits as set."""
    return EngineLimits(
        idle_timeout_ms=settings.idle_timeout_ms,
        idle_grace_ms=settings.idle_grace_ms,
        socket_timeout_ms=settings.socket_timeout_ms,
        parser=Limits(body=settings.body_limit),
    )
