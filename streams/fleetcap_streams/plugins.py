"""Protocols that other packages bring: each names a `ProtocolSpec` in the entry point group `fleetcap.protocols`.

    [project.entry-points."fleetcap.protocols"]
    gopher = "my_package.gopher:SPEC"

Stands outside the sans-IO parts, since what is installed is found on the disk. Third-party protocols come after ours, in the
order of their names, so that all workers of a fleet that have the same packages decide alike.
"""

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from fleetcap_streams.errors import ConfigurationError
from fleetcap_streams.protocols.contract import ProtocolSpec
from fleetcap_streams.protocols.errors import RegistryError
from fleetcap_streams.protocols.registry import Registry, default_registry

GROUP: Final = "fleetcap.protocols"


def installed_registry() -> Registry:
    """Our protocols and those of installed packages.

    Raises:
        ConfigurationError: a package brings what is no protocol, or one whose name or upgrade token is taken.
    """
    return registry_with(entry_points(group=GROUP))


def registry_with(found: Iterable[EntryPoint]) -> Registry:
    """Our protocols and those of these entry points.

    Raises:
        ConfigurationError: as `installed_registry`.
    """
    registry = default_registry()
    for point in sorted(found, key=lambda one: (one.name, one.value)):
        spec = _load(point)
        try:
            registry = Registry((*registry, spec))
        except RegistryError as error:
            raise _bad(point, str(error)) from error
    return registry


def _load(point: EntryPoint) -> ProtocolSpec:
    try:
        spec = point.load()
    except Exception as error:  # importing somebody else's package can raise anything
        raise _bad(point, f"it cannot be loaded: {type(error).__name__}") from error
    if not isinstance(spec, ProtocolSpec):
        raise _bad(point, f"it is of type {type(spec).__name__}, not a ProtocolSpec")
    if spec.name != point.name:
        raise _bad(point, f"the protocol calls itself {spec.name!r}")
    if not all(map(callable, (spec.probe, spec.create, spec.restore))):
        raise _bad(point, "its probe, create and restore are not all callable")
    return spec


def _bad(point: EntryPoint, why: str) -> ConfigurationError:
    package = f" of {point.dist.name}" if point.dist is not None else ""
    return ConfigurationError(
        f"protocol {point.name!r} ({point.value}{package}) cannot be used: {why}; mend that package or uninstall it"
    )
