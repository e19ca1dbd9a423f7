"""The capture matrix (docs/capture-matrix.md): what the tap sees of each program is what the other end says it carried."""

import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from fleetcap_producer.config import TapConfig
from fleetcap_proto.v1 import common_pb2
from tests.integration.matrix_programs import CLIENTS, Client, need
from tests.integration.tap_harness import (
    RECEIVED,
    SENT,
    Session,
    make_certificate,
    server,
    skip_unless_capturing,
)

pytestmark = pytest.mark.ebpf

SIZES = (0, 100, 70_000)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def tap() -> Iterator[Session]:
    skip_unless_capturing()
    with Session(TapConfig("node-1", rescan_s=0.2)) as session:
        yield session


def attach_to_new(tap: Session, command: list[str]) -> None:
    """A program that never ran here may be done before its file was looked at; it is probed from the next run on."""

    def attached() -> bool:
        subprocess.run(command, capture_output=True, timeout=20, check=False)
        return command[0] in tap.tap.libraries()

    tap.wait(attached, f"{command[0]} among the probed files")


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_client(tap: Session, certificate: Path, tmp_path: Path, client: Client) -> None:
    if not need(client.needs):
        pytest.skip(f"{client.needs} is not installed")
    with server(certificate) as peer:
        if client.built:
            attach_to_new(tap, client.command("https://127.0.0.1:1/", tmp_path))
        for size in SIZES:
            command = client.command(f"https://{peer.host}:{peer.port}/{size}", tmp_path)
            process = subprocess.Popen(command, stdout=subprocess.PIPE)
            body, _ = process.communicate(timeout=60)
            assert process.returncode == 0
            assert len(body) == size
            tap.wait(partial(tap.seen, process.pid), f"a connection of {client.name}")
            tap.settle()
            (seen,) = tap.seen(process.pid)
            assert seen.connection.source == common_pb2.Source.Value(f"SOURCE_{client.source}")
            assert seen.connection.process.pid == process.pid
            assert seen.streams[RECEIVED].data().endswith(b"\r\n\r\n" + body)
            assert seen.streams[SENT].data().startswith(f"GET /{size} HTTP/1.1\r\n".encode())
            assert (seen.connection.remote.ip, seen.connection.remote.port) == (peer.host, peer.port)
            assert seen.connection.fd > 2
        told = peer.program.go()
        assert len(told) == len(SIZES)
