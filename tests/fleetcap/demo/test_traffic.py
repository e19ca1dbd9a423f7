"""The demo's clients and servers, with nothing of fleetcap between them: they do what the demo says they do."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetcap.demo import servers, traffic
from fleetcap.demo.server import noise
from fleetcap.demo.truth import EMPTY_SHA256, Exchange, digest

pytestmark = pytest.mark.skipif(
    not (shutil.which("openssl") and shutil.which("curl")), reason="openssl or curl is not installed; scripts/setup installs both"
)
SIZES = traffic.Sizes(download=400_000, upload=100_000)


@pytest.fixture(scope="module")
def running() -> Iterator[servers.Servers]:
    # Not pytest's own folder, which lets nobody in, as whom nginx's worker runs.
    with tempfile.TemporaryDirectory() as folder, servers.running(Path(folder)) as found:
        yield found


@pytest.fixture(scope="module")
def made(running: servers.Servers) -> dict[str, list[Exchange]]:
    return {scenario.name: scenario.run() for scenario in traffic.scenarios(running, SIZES)}


def test_every_scenario_logs_what_it_did(running: servers.Servers, made: dict[str, list[Exchange]]) -> None:
    wanted = {"curl": 3, "keep-alive": 6, "gzip": 1, "chunked": 1, "download": 1, "upload": 1, "threads": 9}
    wanted |= {"ipv6": 1} if running.ipv6 else {}
    wanted |= {"nginx": 6} if running.nginx else {}
    assert {name: len(exchanges) for name, exchanges in made.items()} == wanted


def test_bodies_are_what_the_server_was_asked_for(made: dict[str, list[Exchange]]) -> None:
    (download,), (upload,), (chunked,), (gzip,) = (made[name] for name in ("download", "upload", "chunked", "gzip"))
    assert (download.response_size, download.response_sha256) == (SIZES.download, digest(noise(SIZES.download)))
    assert (upload.request_size, upload.request_sha256) == (SIZES.upload, digest(noise(SIZES.upload)))
    assert chunked.response_sha256 == digest(noise(100_000))
    assert gzip.response_size > 50_000


def test_keep_alive_and_threads_use_one_connection_and_curl_a_new_one_each_time(made: dict[str, list[Exchange]]) -> None:
    ports = {name: Counter(exchange.client.port for exchange in exchanges) for name, exchanges in made.items()}
    assert list(ports["keep-alive"].values()) == [6]
    assert list(ports["threads"].values()) == [9]
    assert len(ports["curl"]) == 3


def test_responses_without_a_body_have_none(made: dict[str, list[Exchange]]) -> None:
    by_call = {(one.method, one.target): one for one in made["keep-alive"]}
    for call in (("HEAD", "/hello"), ("GET", "/empty")):
        assert (by_call[call].response_size, by_call[call].response_sha256) == (0, EMPTY_SHA256)
    assert by_call["GET", "/empty"].status == 204
    assert by_call["GET", "/missing"].status == 404


def test_the_processes_are_the_ones_that_spoke(running: servers.Servers, made: dict[str, list[Exchange]]) -> None:
    for exchanges in made.values():
        for exchange in exchanges:
            assert exchange.client_pid not in (0, exchange.server_pid)
            assert exchange.server_pid in {server.pid for server in running.all}
