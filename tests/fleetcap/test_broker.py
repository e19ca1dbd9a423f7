"""What can be wrong before a broker starts, each told in one line. A running one is in the integration tests."""

import os
import socket
import stat
from pathlib import Path

import pytest

from fleetcap.broker import BrokerOptions, EmbeddedBroker
from fleetcap.kafka.errors import BrokerError
from fleetcap.kafka.jars import RESOURCES, ensure_jars


def _script(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A PATH with nothing on it but what the test puts there, and an empty cache."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def _why(options: BrokerOptions | None = None) -> str:
    with pytest.raises(BrokerError) as caught, EmbeddedBroker(options):
        pass
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.usefixtures("path")
def test_no_java_names_the_package_to_install() -> None:
    assert "apt-get install default-jre-headless" in _why()


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ('openjdk version "11.0.20" 2023-07-18', "is 11"),
        ('java version "1.8.0_392"', "is 8"),
        ("nonsense", "of unknown version"),
    ],
)
def test_an_old_java_is_told_by_its_version(path: Path, said: str, found: str) -> None:
    _script(path, "java", f"echo '{said}' >&2")
    text = _why()
    assert found in text
    assert "17 or newer" in text


def test_java_home_wins_over_path(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _script(path, "java", "echo 'version \"17.0.1\"' >&2")
    home = tmp_path / "home"
    home.mkdir()
    _script(home / "bin", "java", "echo 'version \"9.0.1\"' >&2")
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert str(home) in _why()


def test_no_maven_is_told_when_the_jars_were_never_fetched(path: Path) -> None:
    _script(path, "java", "echo 'version \"21.0.1\"' >&2")
    assert "apt-get install maven" in _why()


def test_what_maven_says_is_passed_on_and_a_failed_fetch_leaves_no_cache(path: Path, tmp_path: Path) -> None:
    _script(path, "java", "echo 'version \"21.0.1\"' >&2")
    _script(path, "mvn", "echo '[INFO] no'; echo '[ERROR] mirror unreachable'; echo '[ERROR] more'; exit 1")
    assert "mirror unreachable" in _why()
    assert [entry.name for entry in (tmp_path / "cache" / "fleetcap").iterdir()] == ["kafka.lock"]


def test_fetched_jars_need_maven_only_once(path: Path) -> None:
    _script(path, "mvn", 'for arg; do case "$arg" in -DoutputDirectory=*) /bin/mkdir "${arg#*=}";; esac; done')
    first = ensure_jars()
    (path / "mvn").unlink()
    assert ensure_jars() == first
    assert first.is_dir()


def test_a_taken_port_is_named(path: Path, tmp_path: Path) -> None:
    _script(path, "java", "echo 'version \"21.0.1\"' >&2")
    _script(path, "mvn", 'for arg; do case "$arg" in -DoutputDirectory=*) /bin/mkdir "${arg#*=}";; esac; done')
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} " in _why(BrokerOptions(data=tmp_path / "data", port=port))


def test_a_broker_that_dies_while_starting_is_quoted(path: Path, tmp_path: Path) -> None:
    java = """
case "$*" in
  *-version*) echo 'version "21.0.1"' >&2;;
  *StorageTool*) echo formatted;;
  *) echo 'ERROR disk on fire (LogManager)'; echo '    at a.b.c(D.java:1)'; exit 3;;
esac"""
    _script(path, "java", java)
    _script(path, "mvn", 'for arg; do case "$arg" in -DoutputDirectory=*) /bin/mkdir "${arg#*=}";; esac; done')
    text = _why(BrokerOptions(data=tmp_path / "data"))
    assert "exit code 3" in text
    assert "disk on fire" in text
    assert "D.java" not in text


def test_a_silent_broker_is_ended_after_its_time(path: Path, tmp_path: Path) -> None:
    java = """
case "$*" in
  *-version*) echo 'version "21.0.1"' >&2;;
  *StorageTool*) echo formatted;;
  *) echo $$ >"$(/usr/bin/dirname "$0")/pid"; exec /bin/sleep 60;;
esac"""
    _script(path, "java", java)
    _script(path, "mvn", 'for arg; do case "$arg" in -DoutputDirectory=*) /bin/mkdir "${arg#*=}";; esac; done')
    assert "did not answer" in _why(BrokerOptions(data=tmp_path / "data", start_timeout_s=0.5))
    with pytest.raises(ProcessLookupError):
        os.kill(int((path / "pid").read_text()), 0)


def test_a_data_folder_that_cannot_be_made_is_named(path: Path, tmp_path: Path) -> None:
    _script(path, "java", "echo 'version \"21.0.1\"' >&2")
    _script(path, "mvn", 'for arg; do case "$arg" in -DoutputDirectory=*) /bin/mkdir "${arg#*=}";; esac; done')
    (tmp_path / "file").write_text("")
    assert str(tmp_path / "file" / "data") in _why(BrokerOptions(data=tmp_path / "file" / "data"))


def test_the_pom_names_no_host_but_the_xml_namespace() -> None:
    text = (RESOURCES / "pom.xml").read_text()
    assert text.count("://") == 1
    assert "<repositor" not in text
