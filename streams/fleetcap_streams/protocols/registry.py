"""Which protocols there are, in the order in which detection prefers them. The one list of them is `default_registry`."""

from collections.abc import Iterable, Iterator

from fleetcap_streams.protocols import amqp, dns, http2, kafka, mongodb, mysql, nats, postgresql, raw, redis, websocket
from fleetcap_streams.protocols.contract import ProtocolSpec
from fleetcap_streams.protocols.errors import RegistryError
from fleetcap_streams.protocols.http1.open_message import NAME as HTTP1
from fleetcap_streams.protocols.http1.parser import Http1Parser
from fleetcap_streams.protocols.http1.probe import probe as probe_http1


class Registry:
    """Protocols in declared order, for as long as the registry lives."""

    __slots__ = ("_by_name", "_by_token")

    def __init__(self, specs: Iterable[ProtocolSpec | None]) -> None:
        """Declare protocols.

        Raises:
            RegistryError: one is None, has no name or the default parser's, or a name or upgrade token stands twice.
        """
        self._by_name: dict[str, ProtocolSpec] = {}
        self._by_token: dict[str, ProtocolSpec] = {}
        for place, spec in enumerate(specs):
            self._declare(place, spec)

    def _declare(self, place: int, spec: ProtocolSpec | None) -> None:
        if spec is None:
            raise RegistryError(f"protocol {place} of the registry is None: give a ProtocolSpec")
        if not spec.name or spec.name == raw.NAME:
            raise RegistryError(f"protocol {place} of the registry is called {spec.name!r}: choose a name that is not taken")
        if spec.name in self._by_name:
            raise RegistryError(f"protocol {spec.name!r} is declared twice: remove one of them")
        self._by_name[spec.name] = spec
        for token in spec.upgrades:
            if token in self._by_token:
                other = self._by_token[token].name
                raise RegistryError(f"upgrade {token!r} leads to both {other!r} and {spec.name!r}: remove it from one")
            self._by_token[token] = spec

    def __iter__(self) -> Iterator[ProtocolSpec]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def get(self, name: str) -> ProtocolSpec:
        """The protocol of that name, as a snapshot names it.

        Raises:
            RegistryError: there is none.
        """
        if name not in self._by_name:
            declared = ", ".join(self._by_name) or "none"
            raise RegistryError(f"no protocol {name!r} (there are: {declared}): restore with the version that wrote it")
        return self._by_name[name]

    def by_upgrade(self, token: str) -> ProtocolSpec | None:
        """The protocol that peers mean by a token of HTTP's Upgrade field, in lower case."""
        return self._by_token.get(token)


def default_registry() -> Registry:
    """What fleetcap ships, surest signatures first."""
    return Registry(
        (
            # Before HTTP/1, which on a joined connection waits for a head for long, and would keep HTTP/2 waiting too.
            http2.SPEC,
            ProtocolSpec(HTTP1, probe_http1, Http1Parser, Http1Parser.restore),
            mongodb.SPEC,
            dns.SPEC,
            kafka.SPEC,
            amqp.SPEC,
            nats.SPEC,
            mysql.SPEC,
            postgresql.SPEC,
            redis.SPEC,
            websocket.SPEC,
        )
    )
