import pytest

from fleetcap_streams.protocols.contract import Limits, Opening, ProtocolSpec, Score
from fleetcap_streams.protocols.errors import RegistryError
from fleetcap_streams.protocols.raw import RawParser
from fleetcap_streams.protocols.registry import Registry, default_registry


def never(_: Opening) -> Score:
    return Score.NO


def spec(name: str, *upgrades: str) -> ProtocolSpec:
    return ProtocolSpec(name, never, RawParser, RawParser.restore, upgrades)


@pytest.mark.parametrize(
    ("specs", "says"),
    [
        ([spec("a"), None], "protocol 1 of the registry is None"),
        ([spec("a"), spec("a")], "'a' is declared twice"),
        ([spec("")], "''"),
        ([spec("raw")], "'raw'"),
        ([spec("a", "x"), spec("b", "x")], "'x' leads to both 'a' and 'b'"),
    ],
)
def test_what_cannot_be_declared_is_refused_with_its_name(specs: list[ProtocolSpec | None], says: str):
    with pytest.raises(RegistryError, match=r"registry|declared|leads") as refused:
        Registry(specs)
    assert says in str(refused.value)


def test_order_and_lookup():
    first, second = spec("a"), spec("b", "bee")
    registry = Registry([first, second])
    assert list(registry) == [first, second]
    assert len(registry) == 2
    assert registry.get("b") is second
    assert registry.by_upgrade("bee") is second
    assert registry.by_upgrade("wasp") is None
    with pytest.raises(RegistryError, match=r"no protocol 'c' .there are: a, b."):
        registry.get("c")


def test_the_shipped_protocols_create_and_restore():
    registry = default_registry()
    assert {"http1", "http2"} <= {declared.name for declared in registry}
    for declared in registry:
        parser = declared.create(Limits())
        assert declared.restore(Limits(), parser.snapshot()).snapshot() == parser.snapshot()
