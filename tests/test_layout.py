"""What may import what, and where tests are: the rules of CONTRIBUTING.md that a reader relies on.

Each import rule is checked twice: by reading every line that imports, reached or not, and by importing all of it in a fresh
interpreter, which sees what came along with something else.
"""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STREAMS = ROOT / "streams" / "fleetcap_streams"
PRODUCER = ROOT / "producer" / "fleetcap_producer"
PACKAGES = {
    "streams": STREAMS,
    "producer": PRODUCER,
    "bpf": ROOT / "bpf" / "fleetcap_bpf",
    "proto": ROOT / "proto" / "fleetcap_proto",
    "fleetcap": ROOT / "fleetcap",
}
SANS_IO = ("engine", "protocols", "outputs")
KAFKA_CLIENTS = {"confluent_kafka", "aiokafka", "kafka"}
FAUST = {"faust", "mode"}
CLOCKS = {"time", "sched"}
READS_THE_CLOCK = {"now", "utcnow", "today"}


def _sources(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if not path.name.endswith("_pb2.py"))


def _imports(path: Path) -> Iterator[str]:
    """Full names of the modules that a file imports anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield module
                yield from (f"{module}.{alias.name}" for alias in names)
            case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(name)), *_]):
                yield name
            case ast.Call(func=ast.Name(id="__import__" | "import_module"), args=[ast.Constant(value=str(name)), *_]):
                yield name


def _roots(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in _imports(path)}


def _importers(folder: Path, wanted: set[str]) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in _sources(folder) if _roots(path) & wanted}


def _loaded_with(packages: list[str]) -> set[str]:
    """Top-level names of what a fresh interpreter has loaded after importing all modules of these packages."""
    program = """
import importlib, json, pkgutil, sys
for name in sys.argv[1:]:
    package = importlib.import_module(name)
    for found in pkgutil.walk_packages(package.__path__, name + "."):
        importlib.import_module(found.name)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""
    done = subprocess.run([sys.executable, "-c", program, *packages], check=True, capture_output=True, text=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("part", SANS_IO)
def test_no_line_of_the_sans_io_parts_imports_io(part: str) -> None:
    forbidden = {"asyncio", "logging", "threading", "socket", "selectors", "random", "bcc"} | CLOCKS | KAFKA_CLIENTS | FAUST
    files = _sources(STREAMS / part)
    assert files
    assert {str(path): bad for path in files if (bad := _roots(path) & forbidden)} == {}


@pytest.mark.parametrize("part", SANS_IO)
def test_no_line_of_the_sans_io_parts_asks_for_the_time(part: str) -> None:
    for path in _sources(STREAMS / part):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                assert node.func.attr not in READS_THE_CLOCK, f"{path}:{node.lineno} asks for the time"


@pytest.mark.parametrize("part", SANS_IO)
def test_nothing_that_the_sans_io_parts_load_does_io(part: str) -> None:
    loaded = _loaded_with([f"fleetcap_streams.{part}"])
    assert not loaded & ({"asyncio", "logging", "bcc", "fleetcap_producer"} | KAFKA_CLIENTS | FAUST)


@pytest.mark.parametrize("part", SANS_IO)
def test_the_sans_io_parts_know_nothing_of_what_drives_them(part: str) -> None:
    for path in _sources(STREAMS / part):
        drivers = [name for name in _imports(path) if name.startswith(("fleetcap_streams.kafka", "fleetcap_streams.app"))]
        assert not drivers, path


def test_the_stages_only_go_forward() -> None:
    """The engine and the parsers must not know the outputs, and the parsers not the engine."""
    backwards = {"engine": ("outputs",), "protocols": ("engine", "outputs")}
    for part, later in backwards.items():
        for path in _sources(STREAMS / part):
            for name in later:
                assert not [one for one in _imports(path) if one.startswith(f"fleetcap_streams.{name}")], f"{path} reaches {name}"


def test_the_producer_needs_neither_faust_nor_the_streams() -> None:
    assert _importers(PRODUCER, FAUST | {"fleetcap_streams", "aiokafka", "fleetcap"}) == set()
    assert not _loaded_with(["fleetcap_producer"]) & (FAUST | {"fleetcap_streams", "aiokafka"})


def test_the_streams_need_neither_bcc_nor_the_producer() -> None:
    assert _importers(STREAMS, {"bcc", "fleetcap_producer", "fleetcap_bpf", "fleetcap"}) == set()


def test_one_module_touches_bcc() -> None:
    touching = [path for folder in PACKAGES.values() for path in _sources(folder) if "bcc" in _roots(path)]
    assert len(touching) == 1
    assert touching[0].is_relative_to(PRODUCER)


def test_importing_the_producer_does_not_load_bcc() -> None:
    """`fleetcap doctor` has to be able to say that it is missing."""
    assert "bcc" not in _loaded_with(["fleetcap_producer"])


def test_capturing_works_where_the_workers_packages_are_not_installed() -> None:
    program = """
import importlib, sys
sys.modules.update(dict.fromkeys(["faust", "mode", "aiokafka", "brotli", "zstandard"]))
for name in ("fleetcap.cli", "fleetcap.commands.capture", "fleetcap.commands.doctor"):
    importlib.import_module(name)
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_one_module_of_the_producer_touches_kafka() -> None:
    assert len(_importers(PRODUCER, KAFKA_CLIENTS)) == 1


def test_faust_and_kafka_stay_in_their_folder() -> None:
    outside = {name for name in _importers(STREAMS, FAUST | KAFKA_CLIENTS) if not name.startswith("kafka/")}
    assert outside <= {"app.py", "worker.py"}


def _test_folders() -> Iterator[tuple[Path, Path]]:
    """Each folder of tests beside the folder of sources that it mirrors."""
    for component, package in PACKAGES.items():
        for folder in [ROOT / "tests" / component, *(ROOT / "tests" / component).rglob("*")]:
            if any(folder.rglob("test_*.py")):
                yield folder, package / folder.relative_to(ROOT / "tests" / component)


def test_tests_mirror_sources() -> None:
    assert {
        str(tests): str(source) for tests, source in _test_folders() if not source.is_dir() and list(tests.glob("*.py"))
    } == {}


def test_every_folder_of_sources_has_tests_that_use_it() -> None:
    mirrored = {source: tests for tests, source in _test_folders()}
    for package in PACKAGES.values():
        for folder in {path.parent for path in _sources(package) if path.name != "__init__.py"}:
            name = _module(package, folder)
            tests = next((mirrored[one] for one in (folder, *folder.parents) if one in mirrored), None)
            assert tests, f"{folder} has no folder of tests"
            users = [one for one in tests.rglob("test_*.py") if any(used.startswith(name) for used in _imports(one))]
            assert users, f"no test below {tests} imports {name}"


def _module(package: Path, folder: Path) -> str:
    return ".".join((package.name, *folder.relative_to(package).parts))
