"""Processes that end, are killed, or outlive their supervisor."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fleetcap.commands import supervise
from fleetcap.commands.supervise import Crew, how_many


def fails(_number: int) -> int:
    return 3


def lives(number: int, folder: Path) -> int:
    (folder / f"{number}-{os.getpid()}").touch()
    time.sleep(120)
    return 0


def stays(number: int, folder: Path) -> int:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return lives(number, folder)


def pids(folder: Path, number: int) -> list[int]:
    return [
        int(path.name.partition("-")[2]) for path in sorted(folder.glob(f"{number}-*"), key=lambda path: path.stat().st_mtime)
    ]


def until(reached: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_auto_is_one_for_each_processor() -> None:
    assert how_many("auto") == len(os.sched_getaffinity(0))
    assert how_many(3) == 3


def test_workers_that_cannot_run_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "BACKOFF_S", (0.01, 0.02))
    said: list[str] = []
    assert Crew(2, fails, say=said.append).run() == 1
    assert any("worker 1 ended with exit code 3; it is started again in" in line for line in said)
    assert "none of 2 workers" in said[-1]


def test_a_worker_that_is_killed_is_started_again_and_the_other_is_not(tmp_path: Path) -> None:
    said: list[str] = []
    crew = Crew(2, lives, (tmp_path,), say=said.append)
    codes: list[int] = []
    running = threading.Thread(target=lambda: codes.append(crew.run()))
    running.start()
    until(lambda: pids(tmp_path, 0) and pids(tmp_path, 1))
    os.kill(pids(tmp_path, 0)[0], signal.SIGKILL)
    until(lambda: len(pids(tmp_path, 0)) == 2)
    assert any("worker 0 ended by SIGKILL" in line for line in said)
    crew.stopping.set()
    running.join(30)
    assert codes == [0]
    assert len(pids(tmp_path, 1)) == 1
    assert not any(alive(pid) for number in (0, 1) for pid in pids(tmp_path, number))


def test_a_worker_that_does_not_stop_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "STOP_S", 0.5)
    crew = Crew(1, stays, (tmp_path,), say=lambda _: None)
    codes: list[int] = []
    running = threading.Thread(target=lambda: codes.append(crew.run()))
    running.start()
    until(lambda: pids(tmp_path, 0))
    crew.stopping.set()
    running.join(30)
    assert codes == [1]
    assert not alive(pids(tmp_path, 0)[0])


def test_workers_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; from fleetcap.commands.supervise import Crew; "
        "from tests.fleetcap.commands.test_supervise import lives; "
        f"Crew(2, lives, (Path({str(tmp_path)!r}),)).run()"
    )
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        until(lambda: pids(tmp_path, 0) and pids(tmp_path, 1))
        process.kill()
    until(lambda: not any(alive(pid) for number in (0, 1) for pid in pids(tmp_path, number)))
