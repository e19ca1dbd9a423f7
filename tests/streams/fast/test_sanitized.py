"""The native module finds nothing wrong with itself when compilers' checks watch it read hostile records."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fleetcap_streams.fast.build import BuildError, build

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
FLAGS = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")


@pytest.fixture(scope="module")
def sanitizer() -> str:
    """The library that has to be loaded first; a compiler says just its name where it has none."""
    if not shutil.which("gcc"):
        pytest.skip("there is no gcc")
    found = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, timeout=30, check=True)
    path = found.stdout.strip()
    if not Path(path).is_absolute():
        pytest.skip("gcc has no libasan here")
    return path


@pytest.fixture(scope="module")
def module(sanitizer: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert sanitizer
    try:
        return build(tmp_path_factory.mktemp("sanitized"), FLAGS)
    except BuildError as error:
        pytest.skip(str(error))


# By Python's own allocator, small blocks would lie in large ones, and nobody would see an access behind their end.
@pytest.mark.parametrize("what", [("equal",), ("damage", "1", "60000"), ("memory",)], ids=lambda what: what[0])
def test_it_checks_itself(module: Path, sanitizer: str, what: tuple[str, ...]):
    # Python itself leaves things behind when it ends.
    watched = {"LD_PRELOAD": sanitizer, "ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}
    environment = {**os.environ, **watched, "PYTHONMALLOC": "malloc"}
    command = [sys.executable, "-m", "tests.streams.fast.sanitized", str(module), *what]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
