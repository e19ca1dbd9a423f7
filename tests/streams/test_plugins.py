"""Protocols of other packages: found by their entry points, put behind ours, refused in one clear line."""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import pytest

from fleetcap_streams.engine.engine import Engine
from fleetcap_streams.engine.values import MessageOut
from fleetcap_streams.errors import ConfigurationError
from fleetcap_streams.plugins import GROUP, installed_registry, registry_with
from fleetcap_streams.protocols.registry import default_registry
from tests.streams.talk import Log, Talk

GOPHER = """
from fleetcap_streams.protocols.contract import Direction, Message, ProtocolSpec, Role, Score

class Parser:
    def receive(self, direction, chunk, time_ns):
        if not isinstance(chunk, bytes):
            return ()
        return [Message("gopher", direction, Role.SINGLE, 0, time_ns, time_ns, body=chunk, body_size=len(chunk))]

    def snapshot(self):
        return b""

def probe(opening):
    return Score.YES if opening.sent.startswith(b"\\tgopher") else Score.NO

def create(limits):
    return Parser()

def restore(limits, snapshot):
    return Parser()

SPEC = ProtocolSpec("gopher", probe, create, restore)
OTHER = ProtocolSpec("archie", probe, create, restore)
TAKEN = ProtocolSpec("http1", probe, create, restore)
UPGRADE = ProtocolSpec("upgrade", probe, create, restore, upgrades=("h2c",))
HALF = ProtocolSpec("half", probe, create, None)
NOT_ONE = 5
"""


@pytest.fixture(autouse=True)
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("third_party")
    exec(GOPHER, module.__dict__)  # noqa: S102 - a module as somebody else would write it, types and all
    monkeypatch.setitem(sys.modules, "third_party", module)


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, GROUP)


def test_a_protocol_of_another_package_is_spoken():
    talk = Talk()
    log = Log().add(talk, talk.sent(b"\tgopher!"), talk.closed())
    outputs = Engine(registry_with([point("gopher", "third_party:SPEC")])).feed(log.records)
    assert [one.message.protocol for one in outputs if isinstance(one, MessageOut)] == ["gopher"]


def test_they_come_behind_ours_by_name_in_whatever_order_they_were_found():
    ours = [spec.name for spec in default_registry()]
    points = [point("gopher", "third_party:SPEC"), point("archie", "third_party:OTHER")]
    for found in (points, points[::-1]):
        assert [spec.name for spec in registry_with(found)] == [*ours, "archie", "gopher"]


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("gone", "no_such_module:SPEC", "ModuleNotFoundError"),
        ("gone", "third_party:NO_SUCH", "AttributeError"),
        ("five", "third_party:NOT_ONE", "type int, not a ProtocolSpec"),
        ("alias", "third_party:SPEC", "calls itself 'gopher'"),
        ("half", "third_party:HALF", "not all callable"),
        ("http1", "third_party:TAKEN", "declared twice"),
        ("upgrade", "third_party:UPGRADE", "leads to both"),
    ],
)
def test_what_is_no_protocol_is_refused_by_name(name: str, value: str, why: str):
    with pytest.raises(ConfigurationError, match=why) as caught:
        registry_with([point(name, value)])
    assert f"{name!r} ({value}" in str(caught.value)


def test_a_name_that_two_packages_claim_is_refused():
    points = [point("gopher", "third_party:SPEC"), point("gopher", "third_party:SPEC")]
    with pytest.raises(ConfigurationError, match="declared twice"):
        registry_with(points)


def test_what_is_installed_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    info = tmp_path / "third_party-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\ngopher = third_party:SPEC\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "gopher" in [spec.name for spec in installed_registry()]
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nbad = third_party:NOT_ONE\n")
    with pytest.raises(ConfigurationError, match="of third-party"):
        installed_registry()
