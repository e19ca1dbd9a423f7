"""How much is still decoded after one lost event: every data event of every capture is left out once.

Of each protocol: the share of its messages that come out the same. An event mostly holds a message, so where a capture has n of
them nobody can do much better than 1 - 1/n; most of these captures have but a few.

    python -m bench.recovery
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from fleetcap.inputs.reading import read_records
from fleetcap.inputs.source import Source
from fleetcap_proto.v1 import raw_pb2
from fleetcap_streams.engine.engine import Engine
from fleetcap_streams.engine.values import MessageOut, Record
from fleetcap_streams.protocols.registry import Registry, default_registry

TRACES = Path(__file__).parents[1] / "tests" / "vectors" / "deepflow-traces"
MOST_EVENTS = 200  # of a capture; the work grows with the square
Said = Counter[tuple[str, int, bytes, bytes, str]]


def messages(batches: Iterable[raw_pb2.RawBatch], registry: Registry) -> Said:
    """What is decoded, each message by what it says."""
    engine = Engine(registry)
    records = [
        Record(number, batch.connection.uuid.encode(), batch.SerializeToString(), batch.events[0].timestamp_ns // 1_000_000)
        for number, batch in enumerate(batches)
    ]
    outputs = [*engine.feed(records), *engine.drain()]
    found = [output.message for output in outputs if isinstance(output, MessageOut)]
    return Counter((one.protocol, one.direction, one.head, one.body, repr(sorted(one.attributes.items()))) for one in found)


def events(path: Path) -> list[raw_pb2.RawBatch]:
    """A capture as batches of one event each, so that one can be left out."""
    single: list[raw_pb2.RawBatch] = []
    with Source(str(path)) as source:
        for recorded in read_records(source):
            batch = raw_pb2.RawBatch.FromString(recorded.record.value or b"")
            single += [
                raw_pb2.RawBatch(node_id=batch.node_id, connection=batch.connection, events=[event], event_count=1)
                for event in batch.events
            ]
    return single[:MOST_EVENTS]


def measure(batches: Sequence[raw_pb2.RawBatch], registry: Registry) -> dict[str, tuple[int, int]]:
    """By protocol: messages that came out the same over all losses, and messages there would have been."""
    whole = messages(batches, registry)
    sums: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for place, batch in enumerate(batches):
        if batch.events[0].kind != raw_pb2.EVENT_KIND_DATA:
            continue
        kept = messages([*batches[:place], *batches[place + 1 :]], registry) & whole
        for protocol in {key[0] for key in whole}:
            same, all_of = (sum(count for key, count in said.items() if key[0] == protocol) for said in (kept, whole))
            sums[protocol] = sums[protocol][0] + same, sums[protocol][1] + all_of
    return sums


def main() -> None:
    """Print a row for each protocol."""
    registry = default_registry()
    total: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for path in sorted(TRACES.glob("*/*.pcap")):
        for protocol, (same, all_of) in measure(events(path), registry).items():
            total[protocol] = total[protocol][0] + same, total[protocol][1] + all_of
    print("| protocol | messages times losses | came out the same |\n| --- | --- | --- |")
    for protocol, (same, all_of) in sorted(total.items()):
        print(f"| {protocol} | {all_of:,} | {same / all_of:.1%} |")


if __name__ == "__main__":
    main()
