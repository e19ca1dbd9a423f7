"""`fleetcap packets`: tshark opens what it wrote, decrypts it with the keys inside, and names the processes."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.tap_harness import PATIENCE_S, make_certificate, server, skip_unless_capturing

pytestmark = pytest.mark.ebpf

FETCHES: tuple[Callable[[str], list[str]], ...] = (
    lambda url: ["curl", "-sk", "--http1.1", "--tls-max", "1.2", url],
    lambda url: ["curl", "-sk", "--http1.1", url],
    lambda url: ["wget", "-qO-", "--no-check-certificate", url],
)


def start(file: Path, said: Path, *options: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "fleetcap", "packets", str(file), *options]
    process = subprocess.Popen(command, stderr=said.open("wb"))
    deadline = time.monotonic() + PATIENCE_S * 2
    while b"capturing into" not in said.read_bytes():
        assert process.poll() is None, said.read_text()
        assert time.monotonic() < deadline, said.read_text()
        time.sleep(0.05)
    return process


def stop(process: "subprocess.Popen[bytes]") -> None:
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0


def tshark(file: Path, *options: str) -> list[dict[str, Any]]:
    said = subprocess.run(
        ["tshark", "-2", "-r", str(file), "-T", "json", *options], check=True, capture_output=True, timeout=60
    ).stdout
    return [packet["_source"]["layers"] for packet in json.loads(said)]


def fields(file: Path, where: str, *names: str) -> list[dict[str, list[str]]]:
    return tshark(file, "-Y", where, *(part for name in names for part in ("-e", name)))


def test_tshark_decrypts_what_was_written(tmp_path: Path) -> None:
    skip_unless_capturing()
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed")
    file, said = tmp_path / "traffic.pcapng", tmp_path / "said"
    with server(make_certificate(tmp_path)) as peer, server(tmp_path / "server.pem") as other:
        process = start(file, said, "--comm", "curl", "--comm", "wget", "--secrets")
        fetched = [
            subprocess.Popen(command(f"https://{peer.host}:{peer.port}/{1000 + at}"), stdout=subprocess.DEVNULL)
            for at, command in enumerate(FETCHES)
        ]
        assert [one.wait(timeout=30) for one in fetched] == [0] * len(FETCHES)
        # Another process, which was not asked for.
        unasked = "import ssl, sys, urllib.request as u; u.urlopen(sys.argv[1], context=ssl._create_unverified_context()).read()"
        url = f"https://{other.host}:{other.port}/5000"
        subprocess.run([sys.executable, "-c", unasked, url], check=True, timeout=30)
        stop(process)
    assert "WARNING" in said.read_text()
    assert "0 packets dropped by the kernel" in said.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    requests = fields(file, "http.request", "http.request.uri", "frame.comment", "tcp.dstport")
    comments = {one["http.request.uri"][0]: one["frame.comment"][0] for one in requests}
    names = [f"{command('')[0]} (pid {one.pid})" for command, one in zip(FETCHES, fetched, strict=True)]
    assert comments == {f"/{1000 + at}": name for at, name in enumerate(names)}
    answers = fields(file, "http.response", "http.response.code", "http.content_length")
    assert sorted(one["http.content_length"][0] for one in answers) == ["1000", "1001", "1002"]
    assert {one["http.response.code"][0] for one in answers} == {"200"}
    assert len(fields(file, "tcp.flags.syn == 1 && tcp.flags.ack == 0", "tcp.dstport")) == len(FETCHES)
    assert not fields(file, f"tcp.port == {other.port}", "tcp.port")


def test_without_secrets_there_is_nothing_to_decrypt_with(tmp_path: Path) -> None:
    skip_unless_capturing()
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed")
    file, said = tmp_path / "traffic.pcapng", tmp_path / "said"
    with server(make_certificate(tmp_path)) as peer:
        process = start(file, said, "--comm", "curl")
        subprocess.run(FETCHES[1](f"https://{peer.host}:{peer.port}/1000"), check=True, capture_output=True, timeout=30)
        stop(process)
    assert "WARNING" not in said.read_text()
    assert fields(file, "tls.handshake.type == 1", "frame.comment")
    assert not fields(file, "http", "frame.comment")
