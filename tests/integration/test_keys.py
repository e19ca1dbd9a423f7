"""Keys of TLS sessions: what the tap says is what the programs themselves put into their key logs."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fleetcap_producer.config import TapConfig
from fleetcap_producer.keys import key_log_line
from fleetcap_proto.v1 import raw_pb2, secrets_pb2
from tests.integration.matrix_programs import go_program, need
from tests.integration.tap_harness import Session, make_certificate, server, skip_unless_capturing

pytestmark = pytest.mark.ebpf

# The labels of a whole session, by the version of TLS.
LABELS = {
    "1.2": {"CLIENT_RANDOM"},
    "1.3": {
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
        "SERVER_HANDSHAKE_TRAFFIC_SECRET",
        "CLIENT_TRAFFIC_SECRET_0",
        "SERVER_TRAFFIC_SECRET_0",
    },
}

GO_CLIENT = """package main

import (
	"crypto/tls"
	"io"
	"net/http"
	"os"
)

func main() {
	log, err := os.OpenFile(os.Args[3], os.O_CREATE|os.O_WRONLY, 0600)
	if err != nil {
		panic(err)
	}
	most := map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}[os.Args[2]]
	config := &tls.Config{InsecureSkipVerify: true, KeyLogWriter: log, MaxVersion: most}
	answer, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: config}}).Get(os.Args[1])
	if err != nil {
		panic(err)
	}
	io.Copy(io.Discard, answer.Body)
}
"""

PYTHON = """
import ssl, sys, urllib.request
context = ssl._create_unverified_context()
context.maximum_version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[sys.argv[2]]
context.keylog_filename = sys.argv[3]
urllib.request.urlopen(sys.argv[1], context=context).read()
"""

NODE = """
const [url, version, file] = process.argv.slice(1);
const options = { rejectUnauthorized: false, agent: false, maxVersion: 'TLSv' + version };
const request = require('https').get(url, options, answer => answer.resume());
request.on('socket', socket => socket.on('keylog', line => require('fs').appendFileSync(file, line)));
"""


@dataclass(frozen=True)
class Row:
    """A client that writes a key log of its own: URL, version and the file are put behind its command or into it."""

    name: str
    command: Callable[[str, str, Path, Path], list[str]]
    needs: str = "python3"
    built: bool = False


ROWS = (
    Row("curl", lambda url, version, _, __: ["curl", "-sk", "--tls-max", version, url], "curl"),
    Row("Python", lambda url, version, log, _: [sys.executable, "-c", PYTHON, url, version, str(log)]),
    Row(
        "wget",
        lambda url, version, _, __: [
            *("wget", "-qO-", "--no-check-certificate"),
            f"--ciphers=NORMAL:-VERS-ALL:+VERS-TLS{version}",
            url,
        ],
        "wget",
    ),
    Row("Node", lambda url, version, log, _: ["node", "-e", NODE, url, version, str(log)], "node"),
    Row("Go", lambda url, version, log, folder: [go_program(folder, GO_CLIENT), url, version, str(log)], "go", built=True),
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def go_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("go")


@pytest.fixture(scope="module")
def tap() -> Iterator[Session]:
    skip_unless_capturing()
    with Session(TapConfig("node-1", rescan_s=0.2, secrets=True)) as session:
        yield session


def keys(session: Session) -> list[secrets_pb2.KeyLogEntry]:
    events = [event for event in list(session.events) if event.kind == raw_pb2.EVENT_KIND_KEY]
    return [secrets_pb2.KeyLogEntry.FromString(event.payload) for event in events]


def lines(log: Path) -> set[str]:
    text = log.read_text() if log.exists() else ""
    return {line.lower() for line in text.splitlines() if line and not line.startswith("#")}


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_keys_are_those_of_the_programs_own_log(
    tap: Session, certificate: Path, go_folder: Path, tmp_path: Path, row: Row, version: str
) -> None:
    if not need(row.needs):
        pytest.skip(f"{row.needs} is not installed")
    log = tmp_path / "keys"
    environment = {**os.environ, "SSLKEYLOGFILE": str(log)}
    with server(certificate) as peer:
        command = row.command(f"https://{peer.host}:{peer.port}/10", version, log, go_folder)
        if row.built:

            def attached() -> bool:
                subprocess.run(command, capture_output=True, timeout=20, check=False)
                return command[0] in tap.tap.libraries()

            tap.wait(attached, f"{command[0]} among the probed files")
            log.unlink(missing_ok=True)
        subprocess.run(command, env=environment, capture_output=True, timeout=30, check=True)
        tap.settle()
        peer.program.go()
    written = lines(log)
    randoms = {bytes.fromhex(line.split()[1]) for line in written}
    seen = [entry for entry in keys(tap) if entry.client_random in randoms]
    assert LABELS[version] <= {entry.label for entry in seen}
    ours = {key_log_line(entry).strip().lower() for entry in seen}
    # Some libraries have secrets that they log only where somebody asks for them.
    assert written <= ours
    assert {line.split()[0].upper() for line in ours - written} <= {"EXPORTER_SECRET"}


def test_without_being_asked_no_key_is_taken(certificate: Path) -> None:
    skip_unless_capturing()
    with Session(TapConfig("node-1", discover=False, libraries=[libssl()])) as session, server(certificate) as peer:
        subprocess.run(["curl", "-sk", f"https://{peer.host}:{peer.port}/10"], check=True, capture_output=True, timeout=30)
        session.settle()
        assert session.events
        assert not keys(session)


def libssl() -> Path:
    """The one that Python's `ssl` uses, and so do the programs of the system."""
    code = "import ssl, json; print(json.dumps([l.split()[-1] for l in open('/proc/self/maps') if 'libssl' in l]))"
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    return Path(json.loads(said)[0])
