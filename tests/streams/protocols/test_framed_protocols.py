"""What holds for every framed protocol: whatever a tap misses, however it is cut, nothing wrong is reported as certain."""

import sys
import zlib
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fleetcap_streams.protocols.amqp import SPEC as AMQP_SPEC
from fleetcap_streams.protocols.contract import Chunk, Direction, End, Gap, Limits, Opening, ProtocolSpec, Role, Score
from fleetcap_streams.protocols.errors import SnapshotError
from fleetcap_streams.protocols.kafka import SPEC as KAFKA_SPEC
from fleetcap_streams.protocols.mongodb import SPEC as MONGODB_SPEC
from fleetcap_streams.protocols.mysql import SPEC as MYSQL_SPEC
from fleetcap_streams.protocols.nats import SPEC as NATS_SPEC
from fleetcap_streams.protocols.postgresql import SPEC as POSTGRESQL_SPEC
from fleetcap_streams.protocols.redis import SPEC as REDIS_SPEC
from tests.streams.protocols.conversations import (
    AMQP,
    AMQP_PROPERTIES,
    MONGODB,
    MYSQL,
    NATS,
    POSTGRESQL,
    REDIS,
    amqp_content,
    amqp_publish,
    bson,
    command,
    op_compressed,
    op_msg,
)
from tests.streams.protocols.kafka.conversation import KAFKA, kafka_asks, kafka_fetched, kafka_fetches, kafka_produces
from tests.streams.protocols.tapping import (
    CLIENT,
    JOINED,
    SERVER,
    Conversation,
    Happening,
    Tap,
    beheaded,
    certain,
    chopped,
    decoded,
    facts,
    holed,
    pairs,
)

SPOKEN = {
    "redis": (REDIS_SPEC, REDIS),
    "postgresql": (POSTGRESQL_SPEC, POSTGRESQL),
    "mysql": (MYSQL_SPEC, MYSQL),
    "mongodb": (MONGODB_SPEC, MONGODB),
    "nats": (NATS_SPEC, NATS),
    "amqp": (AMQP_SPEC, AMQP),
    "kafka": (KAFKA_SPEC, KAFKA),
}
each_protocol = pytest.mark.parametrize(("spec", "conversation"), SPOKEN.values(), ids=SPOKEN)


@each_protocol
def test_everything_is_paired_and_whole(spec: ProtocolSpec, conversation: Conversation):
    messages = decoded(spec, conversation)
    assert all(message.complete and not message.missing_bytes for message in messages)
    requests = [message.exchange for message in messages if message.role is Role.REQUEST]
    responses = [message.exchange for message in messages if message.role is Role.RESPONSE]
    assert requests == sorted(responses) == list(range(1, len(requests) + 1))


@each_protocol
def test_secrets_are_nowhere(spec: ProtocolSpec, conversation: Conversation):
    assert b"hunter2" in b"".join(data for _, data in conversation)
    assert "hunter2" not in repr(decoded(spec, conversation))


@each_protocol
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("joined", [False, True])
def test_chunking_changes_nothing(spec: ProtocolSpec, conversation: Conversation, seed: int, joined: bool):  # noqa: FBT001
    whole = facts(decoded(spec, conversation, joined=joined))
    random = Random(seed)
    pieces = [*(JOINED if joined else ()), *chopped(conversation, random, random.choice([1, 3, 40, 400]))]
    assert facts(Tap(spec).hear(pieces, close=True)) == whole


@each_protocol
def test_a_snapshot_at_any_byte_changes_nothing(spec: ProtocolSpec, conversation: Conversation):
    tap = Tap(spec)
    for direction, chunk in chopped(conversation, Random(1), 1):
        tap.see(direction, chunk, 0)
        tap.move()
    tap.close()
    assert facts(tap.messages) == facts(decoded(spec, conversation))


@each_protocol
def test_a_lost_event_costs_no_more_than_what_it_touched(spec: ProtocolSpec, conversation: Conversation):
    truth = decoded(spec, conversation)
    last = [body for _, body in conversation][-6:]
    for place in range(1, len(conversation)):
        heard = Tap(spec).hear(holed(conversation, place), close=True)
        assert set(pairs(heard)) <= set(pairs(truth)), place
        if conversation[place][1] not in last:
            assert certain(heard)[-2:] == certain(truth)[-2:], place


@each_protocol
def test_joined_at_any_byte(spec: ProtocolSpec, conversation: Conversation):
    truth = decoded(spec, conversation)
    total = sum(len(data) for _, data in conversation)
    # Where an event holds several requests, a tap cannot join just between them; it would have to guess whom the answer is for.
    between = {len(b"".join(data for _, data in conversation[:4])) + len(command(b"GET", b"k") + command(b"INCR", b"k"))}
    for size in set(range(1, total - 200)) - (between if spec is REDIS_SPEC else set()):
        heard = Tap(spec).hear(beheaded(conversation, size), close=True)
        assert set(pairs(heard)) <= set(pairs(truth)), size
        assert pairs(heard)[-1:] == pairs(truth)[-1:], size


@each_protocol
def test_a_hole_of_any_place_and_size(spec: ProtocolSpec, conversation: Conversation):
    truth = decoded(spec, conversation)
    random = Random(7)
    for _ in range(300):
        place = random.randrange(len(conversation) - 8)
        direction, data = conversation[place]
        start = random.randrange(len(data))
        end = random.randint(start + 1, len(data))
        happenings: list[Happening] = [*conversation[:place]]
        parts: list[Chunk] = [data[:start], Gap(end - start), data[end:]]
        happenings += [(direction, part) for part in parts if part]
        heard = Tap(spec).hear([*happenings, *conversation[place + 1 :]], close=True)
        assert set(pairs(heard)) <= set(pairs(truth)), (place, start, end)
        assert pairs(heard)[-1:] == pairs(truth)[-1:], (place, start, end)


@each_protocol
def test_disorder_is_survived(spec: ProtocolSpec, conversation: Conversation):
    for place in range(1, len(conversation)):
        twice = [*conversation[:place], conversation[place - 1], *conversation[place:]]
        Tap(spec).hear(twice, close=True)
        swapped = list(conversation)
        swapped[place - 1], swapped[place] = swapped[place], swapped[place - 1]
        Tap(spec).hear(swapped, close=True)
        silent = [happening for number, happening in enumerate(conversation) if number != place]
        Tap(spec).hear(silent, close=True)


chunks = st.one_of(
    st.binary(max_size=60),
    st.builds(Gap, st.integers(0, 50)),
    st.just(End.IDLE),
    st.sampled_from([data for _, talk in SPOKEN.values() for _, data in talk]),
    st.sampled_from([b"\r\n", b"*2\r\n", b"$3\r\n", b"\0\0\0\4", b"Z\0\0\0\5I", b"\5\0\0\1\xfe", b"\1\0\0\0", b"\xff\xff\xff\0"]),
    st.sampled_from([b"\1\0\1\0\0\0\4\0\x3c\0", b"\2\0\1\0\0\0\x0e\0\x3c\0\0", b"\3\0\1\0\0\0\2", b"\x08\0\0\0\0\0\0\xce"]),
    st.sampled_from([b"PING\r\n", b"PUB a 3\r\n", b"HMSG a 1 12 12\r\n", b"CONNECT {", b"-ERR 'x'\r\n", b"+OK\r\n"]),
)


@each_protocol
@given(happenings=st.lists(st.tuples(st.sampled_from(Direction), chunks), max_size=30), seed=st.integers(0, 99))
@example([(Direction.RECEIVED, b"t"), (Direction.RECEIVED, b"\1\0\0\1")], 0)
@settings(max_examples=150, deadline=None)
def test_arbitrary_bytes_never_raise_and_are_read_the_same_anyhow(
    spec: ProtocolSpec, conversation: Conversation, happenings: list[Happening], seed: int
):
    del conversation
    tap, other = Tap(spec), Tap(spec)
    messages = facts(tap.hear(happenings, close=True))
    for direction, chunk in chopped(happenings, Random(seed), 9):
        other.see(direction, chunk, 0)
        if seed % 3 == 0 and not other.wrong and other.switched is None:
            other.move()
    other.close()
    assert facts(other.messages) == messages
    assert other.wrong == tap.wrong


def broken(conversation: Conversation, random: Random) -> list[Happening]:
    """The same with bytes that are wrong, lost or there twice, and events that are lost, silently or not, or out of order."""
    happenings: list[Happening] = []
    for way, data in conversation:
        begin, end = sorted((random.randrange(len(data)), random.randint(1, len(data))))
        parts: list[Chunk] = [data]
        match random.randrange(12):
            case 0:
                parts = [data[:begin], Gap(max(end - begin, 1)), data[end:]]
            case 1:
                parts = [data[:begin] + random.randbytes(1) + data[begin + 1 :]]
            case 2:
                parts = [data[:end] + data[begin:]]
            case 3:
                parts = []
            case 4:
                parts = [End.IDLE, data]
            case 5:
                parts = [random.choice(conversation)[1], data]
        happenings += [(way, part) for part in parts if part]
    return happenings


@each_protocol
@given(seed=st.integers(0, 1 << 32))
@settings(max_examples=100, deadline=None)
def test_a_broken_conversation_is_read_the_same_anyhow(spec: ProtocolSpec, conversation: Conversation, seed: int):
    random = Random(seed)
    happenings = [*random.choice(((), JOINED)), *broken(conversation, random)]
    tap, other = Tap(spec), Tap(spec)
    messages = facts(tap.hear(happenings, close=True))
    for direction, chunk in chopped(happenings, random, random.choice([2, 20, 200])):
        other.see(direction, chunk, 0)
        if random.random() < 0.05 and not other.wrong and other.switched is None:
            other.move()
    other.close()
    assert facts(other.messages) == messages
    for role in (Role.REQUEST, Role.RESPONSE):
        numbers = [message.exchange for message in messages if message.role is role and message.exchange]
        assert len(numbers) == len(set(numbers))


@each_protocol
@given(seed=st.integers(0, 1 << 32))
@settings(max_examples=100, deadline=None)
def test_several_holes_make_nothing_wrong_certain(spec: ProtocolSpec, conversation: Conversation, seed: int):
    random = Random(seed)
    often = random.choice([0.05, 0.3])
    happenings: list[Happening] = []
    for way, data in conversation:
        begin, end = sorted(random.sample(range(len(data) + 1), 2)) if random.random() < often else (0, 0)
        parts: list[Chunk] = [data[:begin], Gap(end - begin), data[end:]] if end else [data]
        happenings += [(way, part) for part in parts if part]
    assert set(pairs(Tap(spec).hear(happenings, close=True))) <= set(pairs(decoded(spec, conversation)))


BOMBS = {
    "redis": [b"*2\r\n", b"*1\r\n", b"*1000000\r\n", b"$1\r\n", b"$2000\r\n", b"+", b"|1\r\n", b"$?\r\n", b"*3\r\n$3\r\nGET\r\n"],
    "postgresql": [
        b"D\0\0\0\4",
        b"Q\0\0\0\5x",
        b"T\0\0\0\6\xff\xff",
        b"S\0\0\0\4",
        b"D\0\x10\0\0",
        b"1\0\0\0\4",
        prep := b"P\0\0\0\x08",
    ],
    "mysql": [
        b"\1\0\0\1\5",
        b"\xff\xff\xff\1",
        b"\5\0\0\1\xfe\0\0\0\0",
        b"\3def",
        b"\0\0\0",
        b"\x16\0\0\0\3x",
        b"\0\0\0\x78\x9c",
    ],
    "mongodb": [
        ping := op_msg(7, 0, (b"ping", 1), (b"$db", "a")),
        op_msg(7, 8, (b"ok", 1)),
        op_msg(7, 0, (b"insert", "c"), (b"$db", "a"), documents=[bson()] * 20),
        op_compressed(2, ping, zlib.compress(bytes(100_000))),
        op_compressed(3, ping, b"\x28\xb5\x2f\xfd"),
        ping[:16],
        b"\1" + bytes(15),
        b"\x40\0\0\0\7\0\0\0\0\0\0\0\xdd\7\0\0\0\0\0\0\0\x2b\0\0\0\3a\0",
    ],
    "nats": [
        b"PING\r\n",
        b"+OK\r\n",
        b"SUB a 1\r\n",
        b"PUB a 1\r\nx\r\n",
        b"PUB a b 2000\r\n",
        b"HPUB a _INBOX.b 14 14\r\nNATS/1.0\r\nA:\r\n\r\n",
        b'CONNECT {"a":',
        b'CONNECT {"verbose":true}\r\n',
        b"PUB ",
        b"P",
        b"\nMSG",
        b"-ERR '",
    ],
    "amqp": [
        b"\x08\0\0\0\0\0\0\xce",
        b"\1\0\1\0\0\0\x05\0\x14\0\x0a\0\xce",
        b"\1\0\1\0\0\0\x04\0\x5a\0\x0a\xce",
        publish := amqp_publish(1, b"", b"key"),
        publish + amqp_content(1, b"body", AMQP_PROPERTIES),
        publish + amqp_content(1, bytes(2000)),
        amqp_content(1, b"body")[:22],
        b"\3\0\1\0\0\0\1x\xce",
        b"\1\0\1\0\0\x10",
        b"\1\0\1\0\0\x0f\xff\0\x3c\0\x28",
    ],
    "kafka": [
        kafka_asks(3, 1, 1, b"\xff\xff\xff\xff"),
        kafka_asks(3, 1, 1, b"\0\0\0\x40" + b"\0\1t" * 64),
        kafka_fetches(9, b"t" * 60),
        kafka_fetched(9, b"t", bytes(300)),
        kafka_produces(9, b"t", 5, acks=0)[:40],
        kafka_asks(17, 0, 1, b"\0\0"),
        b"\0\0\0\4\0\0\0\5",
        b"\0\0\0\x10\0\1\0\1",
        b"\0\0\0\x0a\0\0\0\0\0\0\0\1\xff\xff",
        b"\0",
    ],
}


@each_protocol
@pytest.mark.parametrize("way", Direction)
def test_bombs_stay_small_and_cost_in_proportion(spec: ProtocolSpec, conversation: Conversation, way: Direction):
    limits = Limits(body=1000, head=8000, pending=500)
    for bomb in BOMBS[spec.name]:
        for start in ([], JOINED, conversation[:8]):
            tap = Tap(spec, limits)
            tap.hear(start)
            work = []
            for _ in range(6):
                counted = Counted()
                tap.see(way, bomb * (6_000 // len(bomb)), 0)
                work.append(counted.stop())
                assert len(tap.parser.snapshot()) < 60_000, bomb
            assert sum(work[3:]) <= 3 * max(sum(work[:3]), 24_000), bomb


class Counted:
    """Counts function calls from now on."""

    def __init__(self) -> None:
        self.calls = 0
        sys.setprofile(self._count)

    def _count(self, _frame: object, event: str, _argument: object) -> None:
        self.calls += event in ("call", "c_call")

    def stop(self) -> int:
        sys.setprofile(None)
        return self.calls


@each_protocol
def test_a_snapshot_of_something_else_is_refused(spec: ProtocolSpec, conversation: Conversation):
    del conversation
    with pytest.raises(SnapshotError, match=spec.name):
        spec.restore(Limits(), b"\x93\x01\x02")


def opening(conversation: Conversation, *, joined: bool) -> Opening:
    received, sent = (b"".join(data for way, data in conversation if way is direction) for direction in Direction)
    return Opening(received, sent, joined, None)


@each_protocol
@pytest.mark.parametrize("joined", [False, True])
def test_a_probe_takes_its_own_and_nobody_elses(spec: ProtocolSpec, conversation: Conversation, joined: bool):  # noqa: FBT001
    assert spec.probe(opening(conversation, joined=joined)) is Score.YES
    for name, (_, other) in SPOKEN.items():
        if name != spec.name:
            for count in range(1, len(other)):
                score = spec.probe(opening(other[:count], joined=joined))
                assert score in (Score.NO, Score.MORE), (name, count)
            assert spec.probe(opening(other, joined=joined)) in ((Score.NO, Score.MORE) if joined else (Score.NO,)), name


FOREIGN = {
    "http": (b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    "http post": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n*1\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"),
    "h2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", b"\0\0\x06\4\0\0\0\0\0\0\3\0\0\0\x64"),
    "h2 joined": (b"\0\0\x05\1\x05\0\0\0\3\x82\x86\x84\x41\x8a", b"\0\0\x0a\0\1\0\0\0\3hello12345"),
    "tls": (b"\x16\3\1\2\0\1\0\1\xfc\3\3" + bytes(range(64)), b"\x16\3\3\0\x7a\2\0\0\x76\3\3" + bytes(range(64))),
    "kafka": (b"\0\0\0\x1d\0\3\0\0\0\0\0\1\0\7console\0\0\0\1\0\4test", b"\0\0\0\x10\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0"),
    "mongodb": (
        b"\x3a\0\0\0\3\0\0\0\0\0\0\0\xdd\7\0\0\0\0\0\0\0\x25\0\0\0\x10hello\0\1\0\0\0\2$db\0\6\0\0\0admin\0\0",
        b"\x26\0\0\0\4\0\0\0\3\0\0\0\xdd\7\0\0\0\0\0\0\0\x11\0\0\0\1ok\0\0\0\0\0\0\0\xf0\x3f\0",
    ),
    "amqp": (b"AMQP\0\0\x09\1", b"\1\0\0\0\0\1\xed\0\x0a\0\x0a\0\x09\0\0\1\xc8\x0ccapabilitiesF" + bytes(8)),
    "nats": (b'CONNECT {"verbose":false}\r\nPING\r\n', b'INFO {"server_id":"x"}\r\nPONG\r\n+OK\r\n'),
    "nats quiet": (b"PING\r\n", b"PONG\r\n"),
    "memcached": (b"get key\r\n", b"VALUE key 0 3\r\nabc\r\nEND\r\n"),
    "smtp": (b"EHLO me\r\n", b"220 mail ready\r\n250-hello\r\n"),
    "dns": (
        b"\0\x1d\xab\0\1\0\0\1\0\0\0\0\0\0\3www\7example\3com\0\0\1\0\1",
        b"\0\x2d\xab\0\x81\x80\0\1\0\1" + bytes(35),
    ),
}


@each_protocol
@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("joined", [False, True])
def test_a_probe_leaves_foreign_bytes_alone(spec: ProtocolSpec, conversation: Conversation, name: str, joined: bool):  # noqa: FBT001
    del conversation
    if name.split(maxsplit=1)[0] == spec.name:
        return  # what it speaks itself
    sent, received = FOREIGN[name]
    for end in range(1, len(sent) + 1):
        assert spec.probe(Opening(b"", sent[:end], joined, CLIENT)) in (Score.NO, Score.MORE), end
    left = (Score.NO, Score.MORE) if joined else (Score.NO,)
    assert spec.probe(Opening(received, sent, joined, CLIENT)) in left
    assert spec.probe(Opening(sent, received, joined, SERVER)) in left


@each_protocol
@pytest.mark.parametrize("joined", [False, True])
def test_a_probe_changes_its_mind_only_from_more(spec: ProtocolSpec, conversation: Conversation, joined: bool):  # noqa: FBT001
    for talk in (conversation, *((tuple(zip((CLIENT, SERVER), pair, strict=True))) for pair in FOREIGN.values())):
        received, sent = opening(talk, joined=joined)[:2]
        for data in (received, sent):
            scores = [spec.probe(Opening(b"", data[:size], joined, None)) for size in range(min(len(data), 1500))]
            decided = [score for score in scores if score is not Score.MORE]
            assert len(set(decided)) <= 1, decided
            first = scores.index(decided[0]) if decided else len(scores)
            assert Score.MORE not in scores[first:]
