"""Times and sizes that bound a connection's life. Defaults are the reference's where it has one."""

from dataclasses import dataclass, field

from fleetcap_streams.protocols.contract import Limits


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """Times are milliseconds, sizes are bytes."""

    idle_timeout_ms: int = 1000  # the reference: 10 ticks of 100 ms
    # Log time runs behind event time by what the producer, the broker and a slow batch add. Only when a connection has
    # been quiet for the timeout and this much longer can nothing of its segment still be on its way.
    idle_grace_ms: int = 500
    socket_timeout_ms: int = 30 * 60 * 1000  # a socket this long without bytes: its destroy was lost
    # An ended connection is remembered so that what comes late is known to be late, and what comes again is dropped.
    ended_memory_ms: int = 10 * 60 * 1000
    lost_memory_ms: int = 24 * 60 * 60 * 1000  # it may well live on: pooled connections sleep over night
    record: int = 4 * 1024 * 1024  # of the raw topic; a larger one is not parsed
    connections: int = 200_000  # of one partition; beyond it the longest quiet one is cut
    parser: Limits = field(default_factory=Limits)
