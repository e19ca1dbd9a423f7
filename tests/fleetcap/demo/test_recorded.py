"""The recording that is shipped: whole, without anything of the machine it was made on, and decoded right by today's engine."""

from pathlib import Path

import pytest

from fleetcap.commands.decode import decoded
from fleetcap.demo import recorded
from fleetcap.demo.compare import compare, expected
from fleetcap.recording import read_recording
from fleetcap_proto.v1 import raw_pb2
from fleetcap_streams.engine.limits import EngineLimits
from fleetcap_streams.engine.values import DeadLetterOut, ExchangeOut
from fleetcap_streams.outputs import messages

ROOT = Path(__file__).parents[3]
LARGEST = 2_000_000  # it is part of the package


@pytest.fixture(scope="module")
def batches() -> list[raw_pb2.RawBatch]:
    return [raw_pb2.RawBatch.FromString(one.record.value or b"") for one in read_recording(recorded.CAPTURE)]


def test_it_is_small() -> None:
    assert recorded.CAPTURE.stat().st_size < LARGEST


def test_it_names_no_path_of_the_machine_it_was_made_on(batches: list[raw_pb2.RawBatch]) -> None:
    assert {batch.connection.process.command_line for batch in batches} == {""}
    data = recorded.CAPTURE.read_bytes()
    assert not [path for path in (b"/home/", b"/tmp/", bytes(ROOT), bytes(Path.home())) if path in data]


def test_it_holds_both_sides_of_what_the_clients_logged(batches: list[raw_pb2.RawBatch]) -> None:
    held = {batch.connection.process.pid for batch in batches}
    assert {one.side.pid for one in expected(recorded.made())} <= held


def test_the_engine_decodes_it_as_the_clients_logged_it() -> None:
    outputs = [output for _, output in decoded(read_recording(recorded.CAPTURE), EngineLimits())]
    exchanges = [messages.exchange(output) for output in outputs if isinstance(output, ExchangeOut)]
    result = compare(expected(recorded.made()), exchanges)
    assert (result.missing, result.wrong, result.surplus) == ((), (), ())
    assert len(result.right) == 2 * len(recorded.made()) == len(exchanges)
    assert not [output for output in outputs if isinstance(output, DeadLetterOut)]
