"""`fleetcap replay` and `fleetcap diff` on a real broker: what was decoded live comes out again, however often it is killed."""

import subprocess
import sys
import time
from functools import partial

import pytest
from confluent_kafka import KafkaException

from fleetcap.broker import EmbeddedBroker
from fleetcap.topics import ensure, specs
from fleetcap_proto import topics
from fleetcap_proto.v1 import exchange_pb2
from tests.faults.traffic import Talk
from tests.streams.kafka.harness import Topics, Worker, until, until_committed

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
PARTITIONS = 3


class Live:
    """A raw topic and what a live worker made of it."""

    def __init__(self, where: Topics, turns: dict[str, int]) -> None:
        self.where = where
        self.turns = turns

    def into(self, name: str) -> str:
        return f"{self.where.prefix}{name}-"

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "fleetcap", *arguments, "-b", self.where.bootstrap_servers]

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=120, check=False)

    def replay(self, name: str, *options: str) -> subprocess.CompletedProcess[str]:
        return self.call("replay", "--topic-prefix", self.where.prefix, "--into", self.into(name), *options)

    def diff(self, name: str, *options: str) -> subprocess.CompletedProcess[str]:
        return self.call("diff", self.where.prefix, self.into(name), *options)

    def exchanges(self, name: str) -> list[exchange_pb2.Exchange]:
        read = Topics(self.where.bootstrap_servers, self.where.prefix, PARTITIONS, into=self.into(name)).read(topics.EXCHANGES)
        return [exchange_pb2.Exchange.FromString(message.value() or b"") for message in read]

    def has(self, name: str, count: int) -> bool:
        """Whether so many exchanges have come out; not yet, where there is not even a topic."""
        try:
            return len(self.exchanges(name)) >= count
        except KafkaException:
            return False


@pytest.fixture(scope="module")
def live(broker: EmbeddedBroker, tmp_path_factory: pytest.TempPathFactory) -> Live:
    prefix = f"replayed{time.time_ns()}-"
    ensure({"bootstrap.servers": broker.bootstrap_servers}, specs(prefix, PARTITIONS))
    where = Topics(broker.bootstrap_servers, prefix, PARTITIONS)
    talk = Talk(broker.bootstrap_servers, prefix, PARTITIONS, seed=9)
    with talk, Worker(where, tmp_path_factory.mktemp("live"), "--real") as worker:
        worker.until_said("owns")
        time.sleep(5)
        talk.finish()
        until_committed(where, worker)
        assert worker.stop() == 0
    return Live(where, talk.turns)


def test_a_replay_gives_what_the_live_worker_gave(live: Live) -> None:
    done = live.replay("whole")
    assert done.returncode == 0, done.stderr
    same = live.diff("whole")
    assert (same.returncode, same.stdout.splitlines()[-1]) == (0, "the same"), same.stdout + same.stderr
    assert len(live.exchanges("whole")) == sum(live.turns.values())
    again = live.replay("whole")
    assert "(resumed)" in again.stderr
    assert live.diff("whole").returncode == 0


def test_a_replay_that_is_killed_goes_on_where_it_was(live: Live) -> None:
    command = live.command("replay", "--topic-prefix", live.where.prefix, "--into", live.into("killed"), "--speed", "x0.5")
    for part in (1, sum(live.turns.values()) // 3):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        until(partial(live.has, "killed", part))
        assert process.poll() is None
        process.kill()
        process.wait()
    done = live.replay("killed")
    assert (done.returncode, "(resumed)" in done.stderr) == (0, True), done.stderr
    assert live.diff("killed").returncode == 0


def test_an_interrupted_replay_says_how_to_go_on(live: Live) -> None:
    command = live.command("replay", "--topic-prefix", live.where.prefix, "--into", live.into("stopped"), "--speed", "0.1")
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    until(partial(live.has, "stopped", 1))
    process.terminate()
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "the same command goes on" in said
    other = live.replay("stopped", "--filter", "pid=7")
    assert other.returncode == 1
    assert "another --into" in other.stderr


def test_a_filter_and_a_range_leave_the_rest_out(live: Live) -> None:
    uuid = next(name for name, turns in live.turns.items() if turns > 2)
    assert live.replay("one", "--filter", f"uuid={uuid}").returncode == 0
    assert [(found.connection_uuid, found.number) for found in live.exchanges("one")] == [
        (uuid, n) for n in range(1, live.turns[uuid] + 1)
    ]
    assert live.replay("first", "--to", "40").returncode == 0
    assert 0 < len(live.exchanges("first")) <= 40 * PARTITIONS


def test_a_difference_is_told_by_place_and_field(live: Live) -> None:
    assert live.replay("cut", "--body-limit", "3").returncode == 0
    told = live.diff("cut", "--topic", "exchanges")
    assert told.returncode == 1
    assert told.stdout.splitlines()[-1] == "different"
    assert "differ in response.body" in told.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--from", "yesterday"), "no place in a topic"),
        (("--speed", "-1"), "--speed=-1"),
        (("--filter", "colour=red"), "name=value"),
    ],
)
def test_what_cannot_be_used_is_one_line(live: Live, options: tuple[str, ...], said: str) -> None:
    done = live.replay("wrong", *options)
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
