"""Values of the engine as records of the output topics."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol, assert_never

from fleetcap_proto import topics
from fleetcap_proto.v1 import ecapture_pb2, event_pb2
from fleetcap_streams.engine.values import (
    ActivityOut,
    ConnectionOut,
    DeadLetterOut,
    EncodedOut,
    ExchangeOut,
    MessageOut,
    Output,
    SecretOut,
)
from fleetcap_streams.outputs import messages
from fleetcap_streams.outputs.wire import Wire


class OutRecords(NamedTuple):
    """Records to be written, alike but for their values; `topic` without prefix, the partition is the source's."""

    topic: str
    key: bytes | None
    values: Sequence[bytes]
    headers: Sequence[tuple[str, bytes]] = ()


class Source(Protocol):
    """The record of the raw topic that led to an output."""

    @property
    def topic(self) -> str:
        """With its prefix."""

    @property
    def partition(self) -> int:
        """Of that topic."""


_ECAPTURE_FIELDS: Final = tuple(field.name for field in ecapture_pb2.EcaptureEvent.DESCRIPTOR.fields)


def _ecapture(event: event_pb2.Event) -> bytes:
    payload = ecapture_pb2.EcaptureEvent(**{name: getattr(event, name) for name in _ECAPTURE_FIELDS})
    entry = ecapture_pb2.EcaptureLogEntry(log_type=event_pb2.LOG_TYPE_EVENT, event_payload=payload)
    return entry.SerializeToString()


@dataclass(frozen=True, slots=True)
class Encoder:
    """Encodes outputs. `secrets`: key material is written too; `ecapture`: events in the numbering of eCapture's releases."""

    secrets: bool = False
    ecapture: bool = False
    _wire: Wire = field(default_factory=Wire, init=False, repr=False, compare=False)

    def __call__(self, output: Output, source: Source) -> list[OutRecords]:
        """The records an output becomes; none for key material that was not asked for."""
        match output:
            case MessageOut():
                value = _ecapture(messages.event(output)) if self.ecapture else self._wire.log_entry(output)
                return [OutRecords(topics.EVENTS, output.connection.uuid.encode(), (value,))]
            case ExchangeOut():
                value = self._wire.exchange(output)
                return [OutRecords(topics.EXCHANGES, output.connection.uuid.encode(), (value,))]
            case EncodedOut():
                uuid = output.connection.uuid.encode()
                return [
                    OutRecords(topics.EVENTS, uuid, output.messages),
                    OutRecords(topics.EXCHANGES, uuid, output.exchanges),
                ]
            case ConnectionOut():
                value = self._wire.connection_record(output)
                return [OutRecords(topics.CONNECTIONS, output.connection.uuid.encode(), (value,))]
            case ActivityOut():
                value = output.activity.SerializeToString(deterministic=True)
                return [OutRecords(topics.ACTIVITY, output.activity.node_id.encode(), (value,))]
            case SecretOut():
                key = output.key
                return [OutRecords(topics.SECRETS, key.client_random, (key.SerializeToString(),))] if self.secrets else []
            case DeadLetterOut():
                return [_dead_letter(output, source)]
            case _:
                assert_never(output)


def _dead_letter(output: DeadLetterOut, source: Source) -> OutRecords:
    record = output.record
    headers = [
        ("fleetcap-error", output.reason.encode()),
        ("fleetcap-source-topic", source.topic.encode()),
        ("fleetcap-source-partition", str(source.partition).encode()),
        ("fleetcap-source-offset", str(record.offset).encode()),
    ]
    if record.key is not None:
        headers.append(("fleetcap-source-key", record.key))
    if record.value is None:
        headers.append(("fleetcap-source-value", b"null"))  # a tombstone would be an empty value here
    key = f"{source.topic}-{source.partition}-{record.offset}".encode()
    return OutRecords(topics.DEADLETTER, key, (record.value or b"",), headers)
