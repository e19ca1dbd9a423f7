"""docker-compose.yml and the Dockerfiles: valid, complete, and no wider open than said."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
DOCKERFILES = sorted((ROOT / "deploy").glob("*.Dockerfile"))
SERVICE_KEYS = {
    "build",
    "cap_drop",
    "cgroup",
    "command",
    "depends_on",
    "environment",
    "healthcheck",
    "image",
    "logging",
    "pid",
    "ports",
    "privileged",
    "read_only",
    "restart",
    "security_opt",
    "stop_grace_period",
    "tmpfs",
    "uts",
    "volumes",
}
INSTRUCTIONS = {"FROM", "RUN", "COPY", "WORKDIR", "ENV", "USER", "STOPSIGNAL", "ENTRYPOINT", "CMD"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return loaded


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose["services"]
    return found


def test_it_has_what_it_is_for(services: dict[str, dict[str, Any]]) -> None:
    assert set(services) == {"kafka", "topics", "worker", "producer"}


def test_every_key_is_one_that_compose_knows(compose: dict[str, Any], services: dict[str, dict[str, Any]]) -> None:
    assert {key for key in compose if not key.startswith("x-")} <= {"name", "services", "volumes"}
    for name, service in services.items():
        assert set(service) <= SERVICE_KEYS, name


def test_kafka_is_the_official_image_of_the_embedded_brokers_version(services: dict[str, dict[str, Any]]) -> None:
    pom = (ROOT / "fleetcap" / "kafka" / "pom.xml").read_text()
    version = re.search(r"<kafka\.version>(.+)</kafka\.version>", pom)
    assert version
    assert services["kafka"]["image"] == f"apache/kafka:{version[1]}"


def test_every_image_is_pinned_or_built_here(services: dict[str, dict[str, Any]]) -> None:
    for service in services.values():
        assert "build" in service or re.fullmatch(r"[\w/.-]+:\d+\.\d+\.\d+", service["image"])


def test_build_contexts_and_dockerfiles_exist(services: dict[str, dict[str, Any]]) -> None:
    built = [service["build"] for service in services.values() if "build" in service]
    assert {ROOT / one["context"] / one["dockerfile"] for one in built} == set(DOCKERFILES)


def test_ports_are_open_to_this_machine_alone(services: dict[str, dict[str, Any]]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_only_the_producer_is_privileged(services: dict[str, dict[str, Any]]) -> None:
    assert [name for name, service in services.items() if service.get("privileged")] == ["producer"]
    assert services["producer"]["pid"] == "host"
    assert services["worker"]["cap_drop"] == ["ALL"]


def test_the_hosts_files_are_mounted_read_only_where_they_can_be(services: dict[str, dict[str, Any]]) -> None:
    mounts = {mount.split(":")[0]: mount.endswith(":ro") for mount in services["producer"]["volumes"]}
    # The kernel's tracing files are written to when a probe is attached.
    assert mounts == {"/lib/modules": True, "/usr/src": True, "/sys/kernel/tracing": False, "/sys/kernel/debug": False}


def test_volumes_are_declared(compose: dict[str, Any], services: dict[str, dict[str, Any]]) -> None:
    named = {mount.split(":")[0] for service in services.values() for mount in service.get("volumes", [])}
    assert {name for name in named if not name.startswith("/")} == set(compose["volumes"])


def test_what_is_depended_on_exists_and_can_come_to_that_state(services: dict[str, dict[str, Any]]) -> None:
    for service in services.values():
        for name, how in service.get("depends_on", {}).items():
            assert name in services
            assert how["condition"] in {"service_healthy", "service_completed_successfully"}
            assert (how["condition"] == "service_healthy") == ("healthcheck" in services[name])


def test_everybody_finds_kafka_where_it_says_it_is(services: dict[str, dict[str, Any]]) -> None:
    advertised = services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    for name in ("topics", "worker", "producer"):
        assert f"INSIDE://{services[name]['environment']['FLEETCAP_BOOTSTRAP_SERVERS']}" in advertised.split(",")


def test_settings_given_are_settings_that_there_are(services: dict[str, dict[str, Any]]) -> None:
    settings = pytest.importorskip("fleetcap.settings")
    known = {f"FLEETCAP_{name.upper()}" for name in settings.Settings.model_fields}
    for service in services.values():
        assert {name for name in service["environment"] if name.startswith("FLEETCAP_")} <= known


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.stem)
def test_a_dockerfiles_instructions_are_known_and_its_files_are_there(dockerfile: Path) -> None:
    instructions = _instructions(dockerfile)
    assert instructions[0][0] == "FROM"
    assert {name for name, _ in instructions} <= INSTRUCTIONS
    for name, rest in instructions:
        if name == "COPY":
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), f"{dockerfile.name} copies {source}"


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.stem)
def test_what_is_copied_is_sent_to_the_builder(dockerfile: Path) -> None:
    sent = {
        line[1:] for line in dockerfile.with_name(f"{dockerfile.name}.dockerignore").read_text().splitlines() if line[0] == "!"
    }
    copied = {source for name, rest in _instructions(dockerfile) if name == "COPY" for source in rest.split()[:-1]}
    assert copied == sent


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.stem)
def test_every_package_source_is_copied(dockerfile: Path) -> None:
    text = (ROOT / "pyproject.toml").read_text()
    folders = {
        path.split("/")[0] for path in re.findall(r'^  "([\w/]+)",$', text.split("packages = [")[1].split("]")[0], re.MULTILINE)
    }
    copied = {source for name, rest in _instructions(dockerfile) if name == "COPY" for source in rest.split()[:-1]}
    assert folders
    assert folders <= copied


def _instructions(path: Path) -> list[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()]


def _has_compose() -> bool:
    docker = shutil.which("docker")
    return bool(docker) and not subprocess.run([str(docker), "compose", "version"], check=False, capture_output=True).returncode


@pytest.mark.skipif(not _has_compose(), reason="the docker command with its compose plugin is not here")
def test_docker_itself_finds_it_valid() -> None:
    done = subprocess.run(
        ["docker", "compose", "--file", str(COMPOSE), "config", "--quiet"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
