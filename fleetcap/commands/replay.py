"""`fleetcap replay`: the engine over a past range of the raw topic, into output topics of its own."""

import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from confluent_kafka import Consumer
from google.protobuf.message import DecodeError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from fleetcap.commands.worker import engine_limits
from fleetcap.keyring import keyring
from fleetcap.settings import Settings
from fleetcap.topics import ensure, specs
from fleetcap_proto import topics
from fleetcap_proto.sealing import Keys
from fleetcap_proto.v1 import raw_pb2
from fleetcap_streams.engine.engine import Engine
from fleetcap_streams.engine.reading import UnreadableRecordError, unsealed
from fleetcap_streams.engine.values import Record
from fleetcap_streams.errors import ConfigurationError
from fleetcap_streams.kafka import preflight
from fleetcap_streams.kafka.checkpoint import Names
from fleetcap_streams.kafka.cluster import Cluster
from fleetcap_streams.kafka.config import TABLE
from fleetcap_streams.kafka.owned import Parts
from fleetcap_streams.kafka.partition import PartitionLimits
from fleetcap_streams.kafka.ranges import parse_edge, resolve
from fleetcap_streams.kafka.replay import Plan, Progress, Replay
from fleetcap_streams.outputs.records import Encoder
from fleetcap_streams.protocols.registry import default_registry

INTERRUPTED: Final = 130
EVERY_S: Final = 5.0  # between two lines where stderr is no terminal


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says. `only` are texts as `name=value`; `speed` is `full` or a factor of recorded time."""

    start: str
    end: str
    into: str
    only: Sequence[str] = ()
    speed: str = "full"


def run(settings: Settings, options: Options) -> int:
    """Replay, with Ctrl-C to interrupt it and the same command to go on; returns the exit code."""
    if options.into == settings.topic_prefix:
        raise ConfigurationError(f"--into={options.into!r} is where the live outputs are; give another prefix")
    limits, keys = engine_limits(settings), keyring(settings)
    registry = default_registry()
    encode = Encoder(secrets=settings.secrets, ecapture=settings.ecapture)
    replay = _prepared(settings, options, keys, Parts(lambda: Engine(registry, limits, keys=keys), encode))
    began = time.monotonic()
    with _stopping(replay), _telling() as tell:
        whole = replay.run(tell)
    done = replay.progress
    sys.stderr.write(
        f"{'replayed' if whole else 'interrupted after'} {done.done:,} of {done.total:,} records into topics "
        f"{options.into}*{' (resumed)' if done.resumed else ''}, {time.monotonic() - began:.1f} s"
        f"{'' if whole else '; the same command goes on from there'}\n"
    )
    return 0 if whole else INTERRUPTED


def _prepared(settings: Settings, options: Options, keys: Keys | None, parts: Parts) -> Replay:
    cluster = Cluster(settings.bootstrap_servers, settings.kafka)
    group = f"fleetcap-replay-{options.into.rstrip('-._') or 'bare'}"
    names = Names(group, settings.topic_prefix + topics.RAW, f"{group}-{TABLE}-changelog", options.into)
    speed, wanted = parse_speed(options.speed), parse_only(options.only, keys)
    now = datetime.now(UTC)
    edges = [parse_edge(text, lambda: now) for text in (options.start, options.end)]
    partitions = preflight.partitions(cluster, names)
    outputs = [spec for spec in specs(options.into, partitions) if not spec.name.endswith(topics.RAW)]
    ensure(settings.client_options(), outputs)
    layout = preflight.check(cluster, names)
    consumer = Consumer(cluster.client(group_id=group))
    try:
        bounds = resolve(consumer, names.source, layout.partitions, *edges)
    finally:
        consumer.close()
    name = " ".join(["from", options.start, "to", options.end, *sorted(options.only)])
    return Replay(
        cluster,
        names,
        parts,
        PartitionLimits(topics=layout.limits, state=layout.state_limit),
        Plan(bounds, name, speed, wanted),
    )


def parse_speed(text: str) -> float:
    """0 for `full`, else the factor: `1`, `x10`, `0.5x`.

    Raises:
        ConfigurationError: it is neither.
    """
    if text == "full":
        return 0.0
    try:
        speed = float(text.strip("x\N{MULTIPLICATION SIGN}"))
    except ValueError:
        speed = 0.0
    if not 0 < speed < 1e6:
        raise ConfigurationError(f"--speed={text} cannot be used; give full, or a factor of recorded time as 1 or x10")
    return speed


_FIELDS: Final[dict[str, Callable[[raw_pb2.RawBatch], tuple[str, ...]]]] = {
    "node": lambda batch: (batch.node_id,),
    "uuid": lambda batch: (batch.connection.uuid,),
    "pid": lambda batch: (str(batch.connection.process.pid),),
    "comm": lambda batch: (batch.connection.process.comm,),
    "container": lambda batch: (batch.connection.process.container_id,),
    "ip": lambda batch: (batch.connection.local.ip, batch.connection.remote.ip),
    "port": lambda batch: (str(batch.connection.local.port), str(batch.connection.remote.port)),
}


def parse_only(texts: Sequence[str], keys: Keys | None = None) -> Callable[[Record], bool] | None:
    """A predicate from texts as `name=value`: different names must all hold, of the same name one value must.

    A record that cannot be read is wanted, so that it becomes a dead letter as in the live app.

    Raises:
        ConfigurationError: a name is unknown.
    """
    wanted: dict[str, set[str]] = {}
    for text in texts:
        name, given, value = text.partition("=")
        if name not in _FIELDS or not given:
            raise ConfigurationError(f"--filter={text} cannot be used; give name=value with one of {', '.join(_FIELDS)}")
        wanted.setdefault(name, set()).add(value)
    if not wanted:
        return None

    def only(record: Record) -> bool:
        try:
            plain = unsealed(record, keys) if keys else record
            batch = raw_pb2.RawBatch.FromString(plain.value or b"")
            if batch.HasField("sealed"):
                return True
        except (DecodeError, UnreadableRecordError):
            return True
        return all(values.intersection(_FIELDS[name](batch)) for name, values in wanted.items())

    return only


@contextmanager
def _stopping(replay: Replay) -> Iterator[None]:
    """The first signal ends in order, the second at once."""
    former: dict[int, Any] = {}

    def received(number: int, _frame: object) -> None:
        replay.stop()
        signal.signal(number, former[number])

    for one in (signal.SIGINT, signal.SIGTERM):
        former[one] = signal.signal(one, received)
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextmanager
def _telling() -> Iterator[Callable[[Progress], None]]:
    """A bar on a terminal, a line every few seconds elsewhere."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    columns = TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TextColumn("records"), TimeRemainingColumn()
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task: TaskID = bar.add_task("replaying", total=None)
        yield lambda progress: bar.update(task, total=progress.total, completed=progress.done)


def _lines() -> Callable[[Progress], None]:
    said = time.monotonic()

    def tell(progress: Progress) -> None:
        nonlocal said
        if time.monotonic() - said >= EVERY_S:
            said = time.monotonic()
            sys.stderr.write(f"replaying: {progress.done:,} of {progress.total:,} records\n")

    return tell
