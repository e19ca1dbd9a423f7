"""What a worker serves about itself, asked for over HTTP."""

import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from fleetcap.broker import EmbeddedBroker, free_ports
from fleetcap_proto import topics
from tests.faults.traffic import Talk
from tests.streams.kafka.harness import Topics, Worker, until, until_committed

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


def test_metrics_health_and_readiness(broker: EmbeddedBroker, make_topics: Callable[..., str], tmp_path: Path) -> None:
    where = Topics(broker.bootstrap_servers, make_topics(2), 2)
    (port,) = free_ports(1)

    def get(path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def measured() -> dict[str, float]:
        lines = [line for line in get("/metrics")[1].splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    with Worker(where, tmp_path, "--real", "--web-port", str(port)) as worker:
        until(lambda: get("/readyz") == (200, "ok\n"), worker)
        assert get("/healthz") == (200, "ok\n")
        talk = Talk(where.bootstrap_servers, where.prefix, 2, seed=2)
        with talk:
            until(lambda: sum(where.committed()) > 200, worker)
        until_committed(where, worker)
        exchanges = f'fleetcap_outputs_total{{topic="{topics.EXCHANGES}"}}'
        until(lambda: measured().get(exchanges) == sum(talk.turns.values()), worker)
        found = measured()
        assert sum(found[f'fleetcap_records_total{{partition="{n}"}}'] for n in (0, 1)) == sum(where.ends())
        assert [found[f'fleetcap_lag_records{{partition="{n}"}}'] for n in (0, 1)] == [0, 0]
        assert found["fleetcap_partitions"] == 2
        assert found["fleetcap_recovery_seconds_count"] == 2
        assert found["fleetcap_checkpoint_seconds_count"] > 0
        assert worker.stop() == 0
