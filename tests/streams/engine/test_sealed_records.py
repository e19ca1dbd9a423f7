"""The engine on encrypted records: the same outputs as on plain ones, and dead letters where a key is missing."""

from fleetcap_producer.captured import Captured
from fleetcap_producer.packing import Packer
from fleetcap_proto.sealing import Key, Keys, Sealer
from fleetcap_proto.v1 import common_pb2, raw_pb2
from fleetcap_streams.engine.engine import Engine
from fleetcap_streams.engine.limits import EngineLimits
from fleetcap_streams.engine.values import DeadLetterOut, Output, Record
from fleetcap_streams.fast.loading import shortcut
from fleetcap_streams.protocols.registry import default_registry

KEY = Key("one", bytes(32))
KEYS: Keys = {KEY.id: KEY.secret}.get
NO_KEYS: dict[str, bytes] = {}


def _records() -> list[Record]:
    packer = Packer("node", "boot")
    connection = common_pb2.Connection(uuid="c", sock=5, tid=1)
    request = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    records = []
    for n in range(6):
        events = [
            Captured(connection, raw_pb2.EVENT_KIND_DATA, 10 * n + 1, 1, n * len(request), request, tid=1),
            Captured(connection, raw_pb2.EVENT_KIND_DATA, 10 * n + 2, 0, n * len(answer), answer, tid=1),
        ]
        packer.add(events, 0.0)
        (packed,) = packer.flush()
        records.append(Record(n, packed.key, packed.value, 1000 + n))
    return records


def _sealed(records: list[Record]) -> list[Record]:
    sealer = Sealer(KEY)
    return [one._replace(value=sealer.seal(one.key or b"", one.value or b"", 2)) for one in records]


def _run(records: list[Record], **options: object) -> list[Output]:
    engine = Engine(default_registry(), **options)  # type: ignore[arg-type]
    return engine.feed(records) + engine.drain()


def test_encrypted_records_give_the_same_as_plain_ones_and_both_may_be_mixed() -> None:
    plain = _records()
    expected = _run(plain)
    assert len(expected) > 6
    sealed = _sealed(plain)
    assert _run(sealed, keys=KEYS) == expected
    assert _run([*plain[:2], *sealed[2:4], *plain[4:]], keys=KEYS) == expected
    short = _run(plain, shortcut=shortcut(EngineLimits()))
    assert list(map(type, _run(sealed, keys=KEYS, shortcut=shortcut(EngineLimits())))) == list(map(type, short))


def test_a_record_that_does_not_open_is_a_dead_letter_as_it_came_and_the_rest_goes_on() -> None:
    plain = _records()
    sealed = _sealed(plain)
    for keys in (NO_KEYS.get, None):
        outputs = _run([*plain[:2], sealed[2], *plain[3:]], keys=keys)
        (letter,) = [one for one in outputs if isinstance(one, DeadLetterOut)]
        assert letter.record == sealed[2]
        assert "'one'" in letter.reason
        assert len(outputs) > 6
