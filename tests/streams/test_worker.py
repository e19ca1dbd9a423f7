"""The worker as a function: what it refuses, and that it ends with one line and a code."""

import json
import os

import pytest

from fleetcap_streams.engine.engine import Engine
from fleetcap_streams.outputs.records import Encoder
from fleetcap_streams.protocols.registry import default_registry
from fleetcap_streams.worker import Parts, WorkerConfig, run_worker

PARTS = Parts(lambda: Engine(default_registry()), Encoder())


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (WorkerConfig(""), "no Kafka address is given"),
        (WorkerConfig("127.0.0.1:1", group=""), "the group's name is empty"),
        (WorkerConfig("127.0.0.1:1", checkpoint_interval_ms=0), "checkpoint_interval_ms is 0"),
        (WorkerConfig("127.0.0.1:1", log_level="loud"), "log level loud is unknown"),
        (WorkerConfig("127.0.0.1:1", log_format="xml"), "log format xml is unknown"),
        (WorkerConfig("127.0.0.1:1", kafka_options={"security.protocol": "SECRET"}), "security.protocol=SECRET is unknown"),
    ],
)
def test_what_cannot_work_is_one_line_and_exit_code_1(config: WorkerConfig, said: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_worker(config, PARTS) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert said in line


def test_a_log_for_programs_is_one_json_object_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_worker(WorkerConfig("", group="g", log_format="json"), PARTS) == 1
    (line,) = capfd.readouterr().err.splitlines()
    said = json.loads(line)
    assert (said["level"], said["group"], said["pid"]) == ("error", "g", os.getpid())
    assert "no Kafka address is given" in said["message"]
