"""`scripts/faults`: faults under traffic, and a table of what came out."""

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.catalogue import catalogue
from tests.faults.suite import endless, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/faults", description=__doc__)
    parser.add_argument("--minutes", type=float, default=0.0, help="go on for so long; default: every fault once")
    parser.add_argument("--seed", type=int, help="repeats a run's choices; default: a new one")
    parser.add_argument("--brokers", type=int, choices=(1, 3), help="default: first one, then three")
    parser.add_argument("--only", default="", metavar="TEXT", help="faults with this in their names")
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(1_000_000) if given.seed is None else given.seed
    clusters = [given.brokers] if given.brokers else [1, 3]
    ok = True
    for brokers in clusters:
        if given.minutes:
            faults = endless(brokers, seed, time.monotonic() + given.minutes * 60 / len(clusters))
        else:
            faults = catalogue(brokers)
        chosen = (fault for fault in faults if given.only in fault.name)
        folder = Path(tempfile.mkdtemp(prefix="fleetcap-faults-"))
        result = run(brokers, seed, chosen, folder, _tell)
        sys.stdout.write(f"\n{result.table()}\n\n")
        sys.stdout.flush()
        if result.ok:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            _tell(f"the workers' logs are kept in {folder}")
        ok = ok and result.ok
    return 0 if ok else 1


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
