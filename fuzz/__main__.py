"""Runs targets under Atheris, each in a process of its own; `scripts/fuzz` calls this.

    python -m fuzz [--seconds N] [TARGET …]

What breaks a target is written into the working folder as `crash-…`, and can be given to it again: python -m fuzz TARGET FILE.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from fuzz.targets import TARGETS


def main() -> int:
    """Fuzz one target after the other; the exit code tells whether all held."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"all, or any of {', '.join(TARGETS)}; or one and a file")
    options = parser.parse_args()
    if len(options.targets) == 2 and Path(options.targets[1]).is_file():
        TARGETS[options.targets[0]](Path(options.targets[1]).read_bytes())
        return 0
    unknown = [name for name in options.targets if name not in TARGETS]
    if unknown:
        parser.error(f"no target {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    failed = []
    for name in options.targets or TARGETS:
        print(f"--- {name}, {options.seconds} s", flush=True)
        command = [sys.executable, "-m", "fuzz.inside", name, str(options.seconds)]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
