"""Builds the compiled module beside its source, with the compiler and the flags that Python itself was built with.

python -m fleetcap_streams.fast.build [FOLDER]
"""

import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
SOURCE: Final = HERE / "native.c"
# It reads what comes from anywhere, so what a compiler can check at little cost is checked in use, too.
FLAGS: Final = ("-O3", "-D_FORTIFY_SOURCE=2", "-fstack-protector-strong")


class BuildError(Exception):
    """There is no compiler, no Python.h, or the compiler gave up."""


def build(folder: Path = HERE, flags: Sequence[str] = FLAGS) -> Path:
    """Compile into a folder and return the module's path.

    Raises:
        BuildError: it cannot be built here.
    """
    target = folder / f"_native{sysconfig.get_config_var('EXT_SUFFIX')}"
    include = sysconfig.get_path("include")
    if not (Path(include) / "Python.h").exists():
        raise BuildError(f"{include}/Python.h is missing; install python3-dev")
    compiler = shlex.split(sysconfig.get_config_var("CC") or "cc")[0]
    unfinished = target.with_suffix(".new")
    command = [compiler, *flags, "-Wall", "-Wextra", "-fPIC", "-shared", f"-I{include}", str(SOURCE), "-o", str(unfinished)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{compiler} cannot be run ({type(error).__name__}); install gcc") from error
    if done.returncode:
        raise BuildError(f"{compiler} failed: {done.stderr.strip().splitlines()[-1:]}")
    # A process that has the old one mapped keeps it.
    return unfinished.replace(target)


def main() -> int:
    """Build, and say in one line what came of it."""
    try:
        print(build(Path(sys.argv[1]) if sys.argv[1:] else HERE))  # noqa: T201 - a command
    except BuildError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
