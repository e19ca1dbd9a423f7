"""Builds the native module into a wheel where there is a compiler; without one the wheel is of Python alone.

FLEETCAP_NATIVE=1 makes a build fail that cannot have it, FLEETCAP_NATIVE=0 leaves it out. A checkout that is installed to be
edited gets it from scripts/setup.
"""

import importlib.util
import os
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER: Final = "fleetcap_streams/fast"


class NativeHook(BuildHookInterface):  # type: ignore[type-arg] # its parameter is not told outside of hatchling
    """Hatchling calls it before and after it makes a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build, and have the result put into the wheel, which is then for this Python and platform alone."""
        wanted = os.environ.get("FLEETCAP_NATIVE", "")
        if version == "editable" or wanted == "0":
            return
        build = _loaded(Path(self.root) / "streams" / FOLDER / "build.py")
        self._folder = tempfile.TemporaryDirectory()
        try:
            built = build.build(Path(self._folder.name))
        except build.BuildError as error:
            if wanted == "1":
                raise
            self.app.display_warning(f"without the native module: {error}")
            return
        build_data["force_include"][str(built)] = f"{FOLDER}/{built.name}"
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, *_: Any) -> None:
        """Remove what was built: it is in the wheel."""
        if hasattr(self, "_folder"):
            self._folder.cleanup()


def _loaded(path: Path) -> ModuleType:
    """A module of ours, whose package is not installed yet."""
    spec = importlib.util.spec_from_file_location("native_build", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
