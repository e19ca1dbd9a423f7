"""The systemd unit and the Kubernetes manifests: well formed, complete, and granting no more than the producer asks for."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleetcap.settings import Settings
from fleetcap_producer.privileges import STARTING

DEPLOY = Path(__file__).parents[2] / "deploy"
UNIT = DEPLOY / "systemd" / "fleetcap-producer.service"
KUBERNETES = DEPLOY / "kubernetes"
SETTINGS = {f"FLEETCAP_{name.upper()}" for name in Settings.model_fields} | {"FLEETCAP_CONFIG"}


def _unit() -> dict[str, list[str]]:
    """The unit's lines by name; a name may come several times."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        if match := re.fullmatch(r"([A-Z]\w+)=(.*)", line):
            found.setdefault(match[1], []).append(match[2])
    return found


def test_the_unit_grants_just_what_starting_takes() -> None:
    (granted,) = _unit()["CapabilityBoundingSet"]
    assert set(granted.split()) == {f"CAP_{one.name}" for one in STARTING}
    assert "AmbientCapabilities" not in _unit()
    assert _unit()["NoNewPrivileges"] == ["yes"]


def test_the_unit_keeps_what_was_captured_to_itself_and_gives_time_to_bring_it_out() -> None:
    unit = _unit()
    assert unit["StateDirectoryMode"] == ["0700"]
    assert unit["UMask"] == ["0077"]
    assert unit["LimitCORE"] == ["0"]
    assert int(unit["TimeoutStopSec"][0]) > 30
    assert unit["ExecReload"] == ["/bin/kill -HUP $MAINPID"]


def test_the_units_settings_are_settings_that_there_are() -> None:
    named = set(re.findall(r"\b(FLEETCAP_\w+)=", UNIT.read_text()))
    assert named
    assert named <= SETTINGS


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not here")
def test_systemd_itself_finds_the_unit_valid(tmp_path: Path) -> None:
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/fleetcap/bin/fleetcap", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(copy)], check=False, capture_output=True, text=True)
    ours = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert (done.returncode, ours) == (0, [])


def _manifests() -> dict[str, dict[str, Any]]:
    return {path.name: yaml.safe_load(path.read_text()) for path in sorted(KUBERNETES.glob("*.yaml"))}


def _pod() -> dict[str, Any]:
    found: dict[str, Any] = _manifests()["daemonset.yaml"]["spec"]["template"]["spec"]
    return found


def _container() -> dict[str, Any]:
    (found,) = _pod()["containers"]
    return dict(found)


def test_every_manifest_says_what_it_is_and_is_one_of_the_kustomizations() -> None:
    manifests = _manifests()
    kustomization = manifests.pop("kustomization.yaml")
    assert set(kustomization["resources"]) == set(manifests)
    assert all({"apiVersion", "kind", "metadata"} <= set(one) for one in manifests.values())
    assert kustomization["namespace"] == manifests["namespace.yaml"]["metadata"]["name"]
    (config,) = kustomization["configMapGenerator"]
    assert all((KUBERNETES / name).is_file() for name in config["files"])
    assert config["name"] in {volume.get("configMap", {}).get("name") for volume in _pod()["volumes"]}
    assert {image["name"] for image in kustomization["images"]} == {_container()["image"]}


def test_the_daemonset_selects_its_own_pods() -> None:
    spec = _manifests()["daemonset.yaml"]["spec"]
    assert spec["selector"]["matchLabels"]
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()


def test_the_daemonset_grants_just_what_starting_takes() -> None:
    context = _container()["securityContext"]
    assert context["capabilities"]["drop"] == ["ALL"]
    assert set(context["capabilities"]["add"]) == {one.name for one in STARTING}
    assert not context["privileged"]
    assert not context["allowPrivilegeEscalation"]
    assert context["readOnlyRootFilesystem"]
    assert _pod()["hostPID"]
    assert not _pod().get("hostNetwork")
    assert not _pod()["automountServiceAccountToken"]


def test_volumes_and_mounts_meet_and_the_hosts_own_are_read_only_but_for_the_spool() -> None:
    mounts = {mount["name"]: mount for mount in _container()["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in _pod()["volumes"]}
    assert set(mounts) == set(volumes)
    writable = {name for name, volume in volumes.items() if "hostPath" in volume and not mounts[name].get("readOnly")}
    assert writable == {"spool"}
    spool = next(one["value"] for one in _container()["env"] if one["name"] == "FLEETCAP_SPOOL")
    assert spool.startswith(mounts["spool"]["mountPath"] + "/")


def test_the_manifests_settings_are_settings_that_there_are() -> None:
    tomllib = pytest.importorskip("tomllib")
    assert {one["name"] for one in _container()["env"]} <= SETTINGS
    assert set(tomllib.loads((KUBERNETES / "fleetcap.toml").read_text())) <= set(Settings.model_fields)
    ports = {str(port["containerPort"]) for port in _container()["ports"]}
    assert ports == {one["value"] for one in _container()["env"] if one["name"] == "FLEETCAP_WEB_PORT"}


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not here")
def test_kustomize_itself_builds_it() -> None:
    done = subprocess.run(["kubectl", "kustomize", str(KUBERNETES)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
