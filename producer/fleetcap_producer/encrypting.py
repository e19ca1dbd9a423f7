"""A sink before a sink that encrypts each record, so that neither spool nor brokers hold what was captured.

It must not know where keys come from, nor where records go.
"""

from collections.abc import Mapping

from fleetcap_producer.capture import Sink
from fleetcap_producer.packing import Packed
from fleetcap_proto.sealing import Key, Sealer


class SealingSink:
    """A sink; owns the one behind it."""

    def __init__(self, sink: Sink, key: Key) -> None:
        self._sink = sink
        self._sealer = Sealer(key)

    def use(self, key: Key) -> None:
        """Encrypt with this key from now on."""
        if key.id != self._sealer.key_id:
            self._sealer = Sealer(key)

    def send(self, packed: Packed, wait_s: float) -> None:
        """See `Sink`."""
        value = self._sealer.seal(packed.key, packed.value, packed.events)
        self._sink.send(packed._replace(value=value), wait_s)

    def poll(self) -> None:
        """See `Sink`."""
        self._sink.poll()

    def close(self, timeout_s: float) -> None:
        """See `Sink`."""
        self._sink.close(timeout_s)

    def losses(self) -> Mapping[str, int]:
        """See `Sink`."""
        return self._sink.losses()
