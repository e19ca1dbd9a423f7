"""Runs faults one after another, waits after each until everything is consumed, and compares all outputs with the oracle's."""

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.faults.catalogue import Fault, catalogue
from tests.faults.cluster import Cluster
from tests.faults.oracle import Difference
from tests.faults.stage import Stage, StuckError


@dataclass(slots=True)
class Row:
    """What one kind of fault did, over all its times."""

    healed_s: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Result:
    """Of one run over one cluster."""

    brokers: int
    seed: int
    rows: dict[str, Row] = field(default_factory=lambda: defaultdict(Row))
    right: int = 0
    connections: int = 0
    exchanges: int = 0
    restarted: int = 0
    difference: Difference = field(default_factory=Difference)
    broken: Sequence[str] = ()

    @property
    def faults(self) -> int:
        return sum(len(row.healed_s) for row in self.rows.values())

    @property
    def ok(self) -> bool:
        return self.faults > 0 and not self.difference and not self.broken and not any(row.wrong for row in self.rows.values())

    def table(self) -> str:
        """Faults and outcomes, for people."""
        width = max(len(name) for name in self.rows)
        lines = [f"{'fault':{width}}  times  caught up after, median / most  outputs", ""]
        for name, row in self.rows.items():
            times = f"{median(row.healed_s):.1f} s / {max(row.healed_s):.1f} s" if row.healed_s else ""
            outcome = row.wrong[0] if row.wrong else "as they must be"
            lines.append(f"{name:{width}}  {len(row.healed_s):5}  {times:>29}  {outcome}")
        summary = (
            f"{self.brokers} broker{'s' if self.brokers > 1 else ''}, {self.faults} faults, {self.restarted} ends of workers: "
            f"{self.exchanges} exchanges on {self.connections} connections, {self.right} outputs as they must be; "
            f"{self.difference or '0 lost, 0 doubled, 0 out of order'}"
        )
        lines += [
            "",
            summary,
            *self.broken[:5],
            f"repeat with: scripts/faults --seed {self.seed} --brokers {self.brokers}",
        ]
        return "\n".join(lines)


def endless(brokers: int, seed: int, until: float) -> Iterable[Fault]:
    """Every fault once, in an order of the seed's, then again in another, until the time is over."""
    rng = random.Random(seed)
    while time.monotonic() < until:
        faults = catalogue(brokers)
        rng.shuffle(faults)
        for fault in faults:
            if time.monotonic() < until:
                yield fault


def run(brokers: int, seed: int, faults: Iterable[Fault], folder: Path, tell: Callable[[str], None] = lambda _: None) -> Result:
    """Do these faults, under traffic; returns when everything sent has been consumed and compared."""
    result = Result(brokers, seed)
    with Cluster(brokers) as cluster, Stage(cluster, folder, seed) as stage:
        stage.until(lambda: sum(stage.topics.committed()) > 0)
        for fault in faults:
            row = result.rows[fault.name]
            try:
                fault.do(stage)
                row.healed_s.append(stage.catch_up())
            except (StuckError, AssertionError) as error:
                row.wrong.append(f"stuck: {error}")
                return result
            difference = stage.oracle.look()
            tell(f"{fault.name}: caught up after {row.healed_s[-1]:.1f} s, {difference or f'{stage.oracle.right} outputs right'}")
            if difference:
                row.wrong.append(str(difference))
                break  # all that follows would be compared with what is already wrong
        result.difference = stage.finish()
        result.right, result.broken, result.restarted = stage.oracle.right, stage.oracle.broken, stage.restarted
        result.connections, result.exchanges = len(stage.talk.turns), sum(stage.talk.turns.values())
    return result
