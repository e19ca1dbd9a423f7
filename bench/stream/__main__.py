"""The worker beside its peers: the same topic of real traffic, the same outputs, the same core, in one run.

    .venv/bin/python -m bench.stream [--mix NAME …] [--variant NAME …] [--rounds 3] [--seconds 15] [--json FILE] [--svg FILE]

One embedded broker has the other core, or cores. A variant reads the topic from its beginning; what it does before it is warm
does not count. Its rate is that of its committed offsets, and variants take turns round by
round, so that a drift of the machine meets them alike.
"""

import argparse
import json
import os
import statistics
import tempfile
from dataclasses import asdict
from pathlib import Path

from bench.stream import mixes, report, topic
from bench.stream.measure import Figures, Window, run
from bench.stream.variants import VARIANTS, build
from fleetcap.broker import BrokerOptions, EmbeddedBroker
from fleetcap.topics import ensure, specs

EVENTS = {"large-bodies": 300_000}
MOST_EVENTS = 4_000_000


def main() -> None:
    options = _options()
    build(options.variant)
    # The broker and the measuring stay off the core that the variants get.
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores - {max(cores)} or cores)
    measured: dict[str, dict[str, list[Figures]]] = {}
    for mix in options.mix:
        measured[mix] = _measure(mix, options)
        print(f"\n### {mix}\n\n{report.table(measured[mix])}")
        for name, value in report.ratios(mix, measured[mix]).items():
            print(f"{name}: {value:.2f}")
    if options.json:
        options.json.write_text(json.dumps(_as_json(measured), indent=2) + "\n")
    if options.svg:
        options.svg.write_text(report.drawing(measured))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mix", action="append", choices=mixes.names())
    parser.add_argument("--variant", action="append", choices=list(VARIANTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--warm", type=float, default=8, help="seconds that do not count, after the first commit")
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--events", type=int, default=MOST_EVENTS, help="at most so many raw events of a mix are read")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--svg", type=Path)
    options = parser.parse_args()
    options.mix = options.mix or mixes.names()
    options.variant = options.variant or list(VARIANTS)
    return options


def _measure(mix: str, options: argparse.Namespace) -> dict[str, list[Figures]]:
    runs: dict[str, list[Figures]] = {name: [] for name in options.variant}
    with tempfile.TemporaryDirectory() as data, EmbeddedBroker(BrokerOptions(data=Path(data), heap_mb=1024)) as broker:
        servers = broker.bootstrap_servers
        ensure({"bootstrap.servers": servers}, specs(partitions=topic.PARTITIONS, replication=1))
        filled = topic.fill(servers, mix, min(EVENTS.get(mix, options.events), options.events))
        for number in range(options.rounds):
            for place, name in enumerate(options.variant):
                window = Window(options.warm, options.seconds)
                runs[name].append(run(servers, f"bench-{number}-{place}", VARIANTS[name], filled, window))
    return runs


def _as_json(measured: dict[str, dict[str, list[Figures]]]) -> dict[str, object]:
    ratios = {key: value for mix, runs in measured.items() for key, value in report.ratios(mix, runs).items()}
    medians = {
        mix: {
            name: {
                "events_s_median": statistics.median(each.events_s for each in figures),
                "runs": [asdict(each) for each in figures],
            }
            for name, figures in runs.items()
        }
        for mix, runs in measured.items()
    }
    return {"ratios": ratios, "mixes": medians}


if __name__ == "__main__":
    main()
