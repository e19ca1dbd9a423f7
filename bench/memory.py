"""Whether a connection that never ends makes the engine grow: a million raw events of one connection, memory on the way.

.venv/bin/python -m bench.memory [--events 1000000]
"""

import argparse
import resource
from pathlib import Path

from bench.traffic import Connection
from fleetcap_streams.engine.engine import Engine
from fleetcap_streams.engine.values import Record
from fleetcap_streams.protocols.registry import default_registry

EXCHANGES_A_RECORD = 50


def resident_kib() -> int:
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * resource.getpagesize() // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    options = parser.parse_args()
    engine, connection = Engine(default_registry()), Connection(1)
    records = options.events // (2 * EXCHANGES_A_RECORD)
    print("| raw events | resident memory | state of the connection |\n| --- | --- | --- |")
    for number in range(records + 1):
        value = connection.record(EXCHANGES_A_RECORD)
        engine.feed([Record(number, connection.uuid.encode(), value, 1_700_000_000_000 + number)])
        ((_, state),) = engine.changed()
        if number % (records // 5) == 0:
            events = 2 * EXCHANGES_A_RECORD * number
            print(f"| {events:,} | {resident_kib():,} KiB | {len(state or b''):,} bytes |", flush=True)


if __name__ == "__main__":
    main()
