"""Finds the compiled module, or says why there is none."""

import importlib
import os
from types import ModuleType
from typing import Final

from fleetcap_streams.engine.limits import EngineLimits
from fleetcap_streams.engine.shortcut import Shortcut
from fleetcap_streams.fast.path import FastPath

SWITCH: Final = "FLEETCAP_NATIVE"  # "0": do without the compiled module


def load() -> tuple[ModuleType | None, str]:
    """The compiled module, or None and the reason."""
    if os.environ.get(SWITCH) == "0":
        return None, f"switched off by {SWITCH}=0"
    try:
        return importlib.import_module("fleetcap_streams.fast._native"), ""
    except ImportError as error:
        return None, f"not there ({type(error).__name__}); scripts/setup builds it where there are gcc and python3-dev"


def shortcut(limits: EngineLimits) -> Shortcut | None:
    """A new partition's shortcut; None where there is no compiled module."""
    native, _ = load()
    return None if native is None else FastPath(native, limits)
