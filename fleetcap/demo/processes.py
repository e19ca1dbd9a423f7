"""Programs that the demo starts: they end with it, whichever way it ends, and are told to end in order.

It must not know what the programs do.
"""

import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from fleetcap.demo.errors import DemoError

_PATIENCE_S = 40.0  # more than `fleetcap capture` may take to bring out what it has


def start(
    command: Sequence[str],
    log: Path,
    *,
    output: int | None = None,
    input_: int = subprocess.DEVNULL,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[str]:
    """Start a program in a session of its own, so that a Ctrl-C reaches us alone and we say who ends when.

    What it complains of goes to `log`, and what it prints too unless `output` says otherwise (a file descriptor, or
    `subprocess.PIPE`).

    Raises:
        DemoError: there is no such program.
    """
    with log.open("ab") as complaints:
        try:
            return subprocess.Popen(
                [*_guard(), *command],
                stdin=input_,
                stdout=complaints if output is None else output,
                stderr=complaints,
                text=True,
                start_new_session=True,
                env=environment,
            )
        except FileNotFoundError as error:
            raise DemoError(f"{command[0]} is missing; run scripts/setup, which installs it") from error


def stop(process: subprocess.Popen[str], patience_s: float = _PATIENCE_S) -> int:
    """Ask it to end, insist after `patience_s` seconds, and return its exit code."""
    if process.stdin:
        process.stdin.close()
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
    code = process.wait()
    if process.stdout:
        process.stdout.close()
    return code


def last_line(log: Path) -> str:
    """What a program said last, for an error's text."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"


def _guard() -> list[str]:
    # The kernel's parent-death signal comes even where we are killed and can stop nobody.
    return ["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []
