"""The lock files are in step with pyproject.toml, with each other and with what is installed."""

import re
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements.lock"
IMAGES = {"producer": "producer", "worker": "streams"}
ALL_LOCKS = [LOCK, *(ROOT / "deploy" / f"{image}.lock" for image in IMAGES)]

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DIRECT = PROJECT["project"]["dependencies"]
EXTRAS = PROJECT["project"]["optional-dependencies"]


def _locked(path: Path) -> dict[str, tuple[Requirement, set[str]]]:
    """Each package's line and the hashes below it."""
    found: dict[str, tuple[Requirement, set[str]]] = {}
    for block in re.split(r"\n(?=[a-z0-9])", re.sub(r"^ *#.*\n", "", path.read_text(), flags=re.MULTILINE)):
        line, *hashes = (part.strip(" \\") for part in block.strip().split("\n"))
        requirement = Requirement(line)
        found[canonicalize_name(requirement.name)] = requirement, {one for one in hashes if one.startswith("--hash=sha256:")}
    return found


def _unmet(wanted: Iterable[str], lock: dict[str, tuple[Requirement, set[str]]]) -> list[str]:
    lines = []
    for text in wanted:
        requirement = Requirement(text)
        locked = lock.get(canonicalize_name(requirement.name))
        if locked is None or not requirement.specifier.contains(_version(locked[0])):
            lines.append(f"{text} against {locked and locked[0]}: call scripts/lock and deploy/lock")
    return lines


def _version(requirement: Requirement) -> str:
    (pin,) = requirement.specifier
    assert pin.operator == "=="
    return pin.version


def test_it_has_everything_that_pyproject_asks_for() -> None:
    everything = [*DIRECT, *(one for extra in EXTRAS.values() for one in extra), *PROJECT["dependency-groups"]["dev"]]
    assert _unmet(everything, _locked(LOCK)) == []


@pytest.mark.parametrize("image", IMAGES)
def test_an_images_lock_has_everything_it_needs(image: str) -> None:
    assert _unmet([*DIRECT, *EXTRAS[IMAGES[image]]], _locked(ROOT / "deploy" / f"{image}.lock")) == []


@pytest.mark.parametrize("image", IMAGES)
def test_an_images_lock_is_a_part_of_the_whole(image: str) -> None:
    whole = _locked(LOCK)
    for name, (requirement, hashes) in _locked(ROOT / "deploy" / f"{image}.lock").items():
        assert _version(whole[name][0]) == _version(requirement)
        assert whole[name][1] == hashes, f"{name}: call deploy/lock"


def test_the_producers_image_has_no_faust() -> None:
    assert not {"faust-streaming", "aiokafka", "pytest"} & set(_locked(ROOT / "deploy" / "producer.lock"))


@pytest.mark.parametrize("path", ALL_LOCKS, ids=lambda path: path.stem)
def test_every_package_is_pinned_by_hash_and_none_by_address(path: Path) -> None:
    locked = _locked(path)
    assert locked
    assert [name for name, (_, hashes) in locked.items() if not hashes] == []
    assert "://" not in path.read_text()


def test_nothing_is_locked_that_nobody_needs() -> None:
    """What is left over after a dependency went away. Packages for other systems are not looked at: they are not installed."""
    here = {name for name, (line, _) in _locked(LOCK).items() if line.marker is None or line.marker.evaluate()}
    roots = [*DIRECT, *(one for extra in EXTRAS.values() for one in extra), *PROJECT["dependency-groups"]["dev"]]
    assert here - _closure(roots) == set(), "call scripts/lock"


def _closure(roots: Iterable[str]) -> set[str]:
    found: set[tuple[str, frozenset[str]]] = set()
    waiting = [Requirement(text) for text in roots]
    while waiting:
        requirement = waiting.pop()
        key = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if key in found:
            continue
        found.add(key)
        for text in metadata.requires(requirement.name) or ():
            below = Requirement(text)
            contexts: list[dict[str, str]] = [{"extra": extra} for extra in requirement.extras] or [{"extra": ""}]
            if below.marker is None or any(below.marker.evaluate(context) for context in contexts):
                waiting.append(below)
    return {name for name, _ in found}
