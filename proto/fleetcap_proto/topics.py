"""Names of the topics. Their values are the messages of `fleetcap_proto.v1` named beside them."""

from typing import Final

RAW: Final = "fleetcap.raw.v1"  # RawBatch, key connection UUID
EVENTS: Final = "fleetcap.events.v1"  # LogEntry, key connection UUID
EXCHANGES: Final = "fleetcap.exchanges.v1"  # Exchange, key connection UUID
CONNECTIONS: Final = "fleetcap.connections.v1"  # ConnectionRecord, key connection UUID
SECRETS: Final = "fleetcap.secrets.v1"  # KeyLogEntry, key client random
ACTIVITY: Final = "fleetcap.activity.v1"  # Activity, key node id
DEADLETTER: Final = "fleetcap.deadletter.v1"  # the record untouched, key source topic-partition-offset, error in headers

OUTPUTS: Final = (EVENTS, EXCHANGES, CONNECTIONS, SECRETS, ACTIVITY, DEADLETTER)
ALL: Final = (RAW, *OUTPUTS)
