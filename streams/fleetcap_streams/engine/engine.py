"""The engine's entrance: one `Engine` for each partition of the raw topic; records go in, outputs come out in order.

What comes out depends on the records alone: not on a clock, and not on where batches of them are cut. Every decision is
taken record by record, and what log time ends, it ends before the record that moved log time on is looked at.
"""

from collections.abc import Iterable, Iterator

from fleetcap_proto.sealing import Keys
from fleetcap_proto.v1 import activity_pb2, raw_pb2, secrets_pb2
from fleetcap_streams.engine import state
from fleetcap_streams.engine.connection import Connection, Phase
from fleetcap_streams.engine.lifecycle import Held, Lifecycle
from fleetcap_streams.engine.limits import EngineLimits
from fleetcap_streams.engine.reading import UnreadableRecordError, connection_info, read_batch, unsealed
from fleetcap_streams.engine.reassembly import Piece
from fleetcap_streams.engine.shortcut import Shortcut
from fleetcap_streams.engine.state import Frozen
from fleetcap_streams.engine.values import ActivityOut, CloseReason, ConnectionInfo, DeadLetterOut, Output, Record, SecretOut
from fleetcap_streams.protocols.contract import Direction
from fleetcap_streams.protocols.registry import Registry

DATA, OPENED, CLOSED, ACTIVITY = (
    raw_pb2.EVENT_KIND_DATA,
    raw_pb2.EVENT_KIND_OPENED,
    raw_pb2.EVENT_KIND_CLOSED,
    raw_pb2.EVENT_KIND_ACTIVITY,
)
DIRECTION = (Direction.RECEIVED, Direction.SENT)


class Engine:
    """All connections of one partition."""

    def __init__(
        self,
        registry: Registry,
        limits: EngineLimits | None = None,
        shortcut: Shortcut | None = None,
        keys: Keys | None = None,
    ) -> None:
        self._registry = registry
        self._limits = limits or EngineLimits()
        self._idle_ns = self._limits.idle_timeout_ms * 1_000_000
        self._lifecycle = Lifecycle(self._limits)
        self._changed: dict[str, Connection | None] = {}
        self._restored = False
        self.unreadable = 0  # saved states that could not be gone on from
        self._shortcut = shortcut
        self._keys = keys  # of encrypted records

    def feed(self, records: Iterable[Record]) -> list[Output]:
        """Take the partition's next records and return what they led to, in order.

        Records that are in a restored connection's state already are skipped for that connection.
        """
        if self._restored:
            self._lifecycle.settle()
            self._restored = False
        out: list[Output] = []
        for given in records:
            record = given
            self._advance(record.log_time_ms, out)
            try:
                if self._keys is not None:
                    record = unsealed(record, self._keys)
                if self._shortcut is not None and self._take_short(self._shortcut, record, out):
                    continue
                batch = read_batch(record, self._limits.record)
            except UnreadableRecordError as error:
                out.append(DeadLetterOut(given, str(error)))
                continue
            self._take(record, batch, out)
        return out

    def drain(self) -> list[Output]:
        """End every connection because the input has ended for good. A worker that stops never calls this."""
        out: list[Output] = []
        for held in list(self._lifecycle.by_uuid.values()):
            connection = self._thawed(held)
            if connection.parser is not None:
                connection.end(CloseReason.INPUT_ENDED, out)
            self._forget(connection)
        return out

    def changed(self) -> Iterator[tuple[str, bytes | None]]:
        """States by connection UUID that changed since the last call; None: the connection is over and forgotten.

        Of a connection that is silent by now, only what is saved here is kept, until it is heard of again.
        """
        changed, self._changed = self._changed, {}
        for uuid, connection in changed.items():
            if connection is None:
                yield uuid, None
                continue
            saved = state.save(connection)
            if connection.phase is not Phase.ACTIVE:
                self._lifecycle.replace(Frozen(uuid, connection.phase, connection.since_ms, connection.offset, saved))
            yield uuid, saved

    def restore(self, uuid: str, saved: bytes) -> None:
        """Take back what `changed` once gave. All of a partition's states come before its first record.

        Raises:
            UnreadableStateError: it was saved in another form.
        """
        self._lifecycle.hold(state.frozen(uuid, saved))
        self._restored = True

    def next_deadline_ms(self) -> int | None:
        """The log time at which something will happen here by time alone, so that a silent partition needs a tick then."""
        return self._lifecycle.next_deadline_ms()

    def __len__(self) -> int:
        """How many connections are held, open or remembered."""
        return len(self._lifecycle.by_uuid)

    def _advance(self, log_time_ms: int, out: list[Output]) -> None:
        for held in self._lifecycle.due(log_time_ms):
            if held.phase >= Phase.ENDED:
                self._forget(held)
            else:
                self._fall_silent(self._thawed(held), out)

    def _fall_silent(self, connection: Connection, out: list[Output]) -> None:
        if connection.phase is Phase.QUIET:
            connection.end(CloseReason.DESTROY_LOST, out)
            self._enter(connection, Phase.LOST, self._lifecycle.now_ms)
        elif connection.socket_life:
            connection.idle(out)
            self._enter(connection, Phase.QUIET, connection.since_ms)
        else:
            connection.end(CloseReason.IDLE, out)
            self._enter(connection, Phase.ENDED, self._lifecycle.now_ms)

    def _take(self, record: Record, batch: raw_pb2.RawBatch, out: list[Output]) -> None:
        if batch.HasField("tick"):
            return
        connection: Connection | None = None
        if batch.connection.uuid:
            connection = self._connection(batch, out)
            if connection.offset >= record.offset:
                return
            connection.offset = record.offset
            self._enter(connection, Phase.ACTIVE if connection.parser else connection.phase, self._lifecycle.now_ms)
        events = batch.events
        done, ask, patience = 0, 0, 1
        while done < len(events):
            if done >= ask and connection is not None:
                done = self._skip(connection, record, done, out)
                ask, patience = done + patience, patience * 2
                if done == len(events):
                    break
            self._event(connection, batch, events[done], out)
            done += 1

    def _event(self, connection: Connection | None, batch: raw_pb2.RawBatch, event: raw_pb2.RawEvent, out: list[Output]) -> None:
        if event.kind == DATA and connection is not None:
            self._data(connection, event, out)
        elif event.kind <= CLOSED and connection is not None:
            self._life(connection, event, out)
        else:
            out.append(_fact(batch, event))

    def _take_short(self, shortcut: Shortcut, record: Record, out: list[Output]) -> bool:
        """Take a record without reading it, where the shortcut can take all of it."""
        key, value = record.key, record.value
        if key is None or value is None or len(value) > self._limits.record:
            return False
        held = self._lifecycle.by_uuid.get(key.decode("utf-8", "replace"))
        if held is None or held.offset >= record.offset:
            return False
        connection = self._thawed(held)
        if connection.parser is None:
            return False
        taken = shortcut.take(connection, value, 0)
        if taken is None or taken.until < taken.events:
            return False
        connection.offset = record.offset
        self._enter(connection, Phase.ACTIVE, self._lifecycle.now_ms)
        shortcut.apply(connection, taken)
        out.append(taken.output)
        return True

    def _skip(self, connection: Connection, record: Record, done: int, out: list[Output]) -> int:
        """Let the shortcut take what it can of a record that was read, from an event on; returns the next one to look at."""
        if self._shortcut is None or connection.parser is None or not record.value:
            return done
        taken = self._shortcut.take(connection, record.value, done)
        if taken is None:
            return done
        self._shortcut.apply(connection, taken)
        out.append(taken.output)
        until: int = taken.until
        return until

    def _connection(self, batch: raw_pb2.RawBatch, out: list[Output]) -> Connection:
        held = self._lifecycle.by_uuid.get(batch.connection.uuid)
        if held is None:
            self._make_room(out)
            return Connection(connection_info(batch), self._registry)
        connection = self._thawed(held)
        if connection.info.revision < batch.connection.revision:
            connection.info = connection_info(batch)
        return connection

    def _data(self, connection: Connection, event: raw_pb2.RawEvent, out: list[Output]) -> None:
        time_ns = event.timestamp_ns
        self._begin(connection, time_ns, out)
        payload = event.payload
        piece = Piece(event.position, event.length or len(payload), payload, time_ns)
        connection.data(DIRECTION[event.direction], piece, (event.tid, event.comm), out)

    def _begin(self, connection: Connection, time_ns: int, out: list[Output]) -> None:
        """Let event time pass up to this event, and see that it finds an open segment."""
        if connection.parser is not None and time_ns - connection.last_ns > self._idle_ns:
            if connection.socket_life:
                connection.idle(out)
            else:
                connection.end(CloseReason.IDLE, out)
        if connection.parser is None:
            connection.open_segment(time_ns, self._limits, out)
            self._enter(connection, Phase.ACTIVE, self._lifecycle.now_ms)
        connection.last_ns = max(connection.last_ns, time_ns)

    def _life(self, connection: Connection, event: raw_pb2.RawEvent, out: list[Output]) -> None:
        if event.kind == OPENED:
            self._begin(connection, event.timestamp_ns, out)
            return
        closed = event.closed
        received = closed.received_bytes if closed.HasField("received_bytes") else None
        sent = closed.sent_bytes if closed.HasField("sent_bytes") else None
        # A destroy that comes again, or long after the segment was given up, has nothing to end unless it knows of a loss.
        if connection.parser is not None or connection.segment == 0 or connection.lacks(received, sent):
            self._begin(connection, event.timestamp_ns, out)
            connection.end(CloseReason.DESTROYED, out, (received, sent))
        connection.destroyed = True
        self._enter(connection, Phase.ENDED, self._lifecycle.now_ms)

    def _make_room(self, out: list[Output]) -> None:
        while len(self._lifecycle.by_uuid) >= self._limits.connections:
            connection = self._thawed(self._lifecycle.longest_quiet())
            if connection.parser is not None:
                connection.end(CloseReason.OVER_LIMIT, out)
            self._forget(connection)

    def _enter(self, connection: Connection, phase: Phase, since_ms: int) -> None:
        self._lifecycle.enter(connection, phase, since_ms)
        self._changed[connection.info.uuid] = connection

    def _forget(self, held: Held) -> None:
        self._lifecycle.forget(held)
        self._changed[held.uuid] = None

    def _thawed(self, held: Held) -> Connection:
        """The connection itself, in its place."""
        if isinstance(held, Connection):
            return held
        try:
            connection = state.load(held.uuid, held.saved, self._registry, self._limits)
        except ValueError:  # a parser's part is of another version, or its protocol is not known here: begin as if joined
            self.unreadable += 1
            connection = Connection(ConnectionInfo(held.uuid, revision=-1, joined=True), self._registry)
            connection.phase, connection.since_ms, connection.offset = held.phase, held.since_ms, held.offset
            connection.segment = 1
        self._lifecycle.replace(connection)
        return connection


def _fact(batch: raw_pb2.RawBatch, event: raw_pb2.RawEvent) -> Output:
    """A finished fact goes straight to its topic, completed by what its batch says."""
    if event.kind == ACTIVITY:
        activity = activity_pb2.Activity()
        activity.CopyFrom(event.activity)
        activity.node_id, activity.timestamp_ns = batch.node_id, event.timestamp_ns
        return ActivityOut(activity)
    key = secrets_pb2.KeyLogEntry()
    key.CopyFrom(event.key)
    key.node_id, key.timestamp_ns = batch.node_id, event.timestamp_ns
    key.connection_uuid = key.connection_uuid or batch.connection.uuid
    return SecretOut(key)
