"""Puts damaged records through a native module that was built to check itself; what it finds ends the process.

python -m tests.streams.fast.sanitized MODULE equal | damage SEED ROUNDS | memory

`equal`: the tests that compare it with the engine. `damage`: records changed at random, put to it directly, which is fast.
`memory`: each of its allocations fails once.
"""

import importlib.util
import random
import sys
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fleetcap_streams.engine.engine import Engine
from fleetcap_streams.fast.path import FastPath
from fleetcap_streams.protocols.registry import default_registry
from tests.streams.talk import Talk

NAME = "fleetcap_streams.fast._native"


def put_in_place(path: Path) -> ModuleType:
    """Make a module built elsewhere the one that is imported."""
    spec = importlib.util.spec_from_file_location(NAME, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[NAME] = module
    return module


class Recorded:
    """Stands for the native module and notes what it is asked, for asking it again with other bytes."""

    def __init__(self, module: Any) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self._take = module.take

    def take(self, *arguments: Any) -> Any:
        self.calls.append(arguments)
        return self._take(*arguments)


def calls(module: ModuleType) -> list[tuple[Any, ...]]:
    """What the module is asked for the odd and the plain records of the tests."""
    from tests.streams.fast import test_equal as equal  # noqa: PLC0415 - it looks for the module as it is imported

    recorded = Recorded(module)
    for asked in (*equal.ODD_REQUESTS, equal.PLAIN[0]):
        for answered in (*equal.ODD_RESPONSES, equal.PLAIN[1]):
            talk = Talk()
            said = [equal.PLAIN] * 2 + [(asked, answered), equal.PLAIN]
            engine = Engine(default_registry(), equal.LIMITS, FastPath(recorded, equal.LIMITS))
            engine.feed(equal.records_of(talk, equal.exchanges(talk, said), [2, 3]))
    return recorded.calls


def bent(value: bytes, rng: random.Random) -> bytes:
    """The same with some bytes changed, lost, repeated or moved."""
    changed = bytearray(value)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        place = rng.randrange(len(changed) + 1)
        match rng.randrange(6):
            case 0:
                changed[place : place + 1] = bytes([rng.randrange(256)])
            case 1:
                changed[place : place + 1] = rng.choice((b"\xff", b"\x80", b"\x00", b"\x7f", b"\r", b"\n", b":", b" "))
            case 2:
                del changed[place : place + rng.randrange(1, 40)]
            case 3:
                changed[place:place] = changed[place : place + rng.randrange(1, 40)]
            case 4:
                changed[place:place] = b"\xff" * rng.randrange(1, 12)
            case _:
                del changed[place:]
    return bytes(changed)


def damage(module: ModuleType, seed: int, rounds: int) -> None:
    """Ask again with damaged records, heads, and numbers at the ends of their ranges."""
    rng, known = random.Random(seed), calls(module)
    taken = 0
    for _ in range(rounds):
        value, start, expected, received, sent, exchange, numbers, digest = rng.choice(known)
        value = bent(value, rng) if rng.random() < 0.95 else value
        if rng.random() < 0.1:
            start = rng.choice((0, 1, 7, 2**32, 2**64 - 1))
        if rng.random() < 0.1:
            odd = [rng.choice((number, number, 0, 1, 2**31, 2**63 - 1, 2**63, 2**64 - 1)) for number in numbers]
            numbers = tuple(odd)
        if rng.random() < 0.05:
            expected = bent(expected, rng)
        taken += module.take(value, start, expected, received, sent, exchange, numbers, digest) is not None
    assert taken > rounds // 100, "so few were taken that this says nothing"


def memory(module: ModuleType) -> None:
    """Let each allocation of a call fail once: it raises MemoryError, or does not need it; nothing else."""
    testing = pytest.importorskip("_testcapi")
    for arguments in calls(module)[::40]:
        whole, failed = module.take(*arguments), 0
        for number in count():
            outcome = without_memory(testing, number, partial(module.take, *arguments))
            assert outcome is MemoryError or outcome == whole
            failed += outcome is MemoryError
            if outcome is not MemoryError and number > 200:
                break
        assert failed > 3


def without_memory(testing: Any, number: int, call: Callable[[], object]) -> object:
    testing.set_nomemory(number, number + 1)
    try:
        outcome = call()
    except MemoryError:
        outcome = MemoryError
    finally:
        testing.remove_mem_hooks()
    return outcome


def main() -> int:
    module = put_in_place(Path(sys.argv[1]))
    match sys.argv[2:]:
        case ["equal"]:
            tests = str(Path(__file__).parent / "test_equal.py")
            return pytest.main(["-q", "-x", "-p", "no:cacheprovider", "--timeout=600", tests])
        case ["damage", seed, rounds]:
            damage(module, int(seed), int(rounds))
        case ["memory"]:
            memory(module)
    return 0


if __name__ == "__main__":
    sys.exit(main())
