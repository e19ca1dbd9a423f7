"""The command as its users call it: one line for whatever is wrong, never a traceback."""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToJson

from fleetcap.inputs.frame import Frame
from fleetcap.recording import RecordingWriter
from tests.fleetcap.inputs import build as packets
from tests.streams.talk import Log, Talk


def fleetcap(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fleetcap", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **variables})


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path, log = tmp_path / "traffic.fcap", Log()
    for number in range(3):
        talk = Talk(f"node-1:c{number}")
        log.add(
            talk, talk.sent(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % number), talk.received(b"HTTP/1.1 204 No Content\r\n\r\n", 5)
        )
    log.raw(b"k", b"\xff")
    with RecordingWriter(path) as writer:
        for record in log.records:
            writer.write(0, record)
    return path


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--no-such"], 2, "--no-such"),
        (["no-such"], 2, "no-such"),
        (["decode"], 2, "decode --help"),
        (["decode", "/nowhere/x"], 1, "/nowhere/x"),
        (["decode", "/etc/passwd"], 1, "not a recording"),
        (["decode", "/"], 1, "cannot open /"),
        (["decode", "/dev/null"], 1, "empty"),
        (["import", "/etc/passwd"], 1, "not a recording"),
        (["import", "/nowhere/x"], 1, "cannot open /nowhere/x"),
        (["tail", "--format", "xml"], 2, "table, json, text, hex"),
        (["tail", "--status", "many"], 1, "give 404, 5xx, 400-499"),
        (["tail", "-b", "127.0.0.1:1"], 1, "cannot reach Kafka at 127.0.0.1:1"),
        (["worker", "-b", "127.0.0.1:1"], 1, "127.0.0.1:1"),
        (["capture", "-b", "127.0.0.1:1"], 1, "127.0.0.1:1"),
        (["replay", "-b", "127.0.0.1:1"], 1, "127.0.0.1:1"),
        (["replay", "--into", ""], 1, "another prefix"),
        (["diff", "a-", "b-", "-b", "127.0.0.1:1"], 1, "127.0.0.1:1"),
        (["diff", "a-", "b-", "--topic", "no"], 2, "exchanges"),
        (["topics", "create", "-b", "127.0.0.1:1"], 1, "127.0.0.1:1"),
        (["worker", "--body-limit", "-1"], 1, "flag --body-limit=-1"),
        (["worker", "--kafka", "no-value"], 1, "name=value"),
        (["tail", "--kafka", "no.such.option=1"], 1, "no.such.option"),
        (["worker", "--config", "/nowhere.toml"], 1, "/nowhere.toml"),
    ],
)
def test_whatever_is_wrong_is_one_line_that_says_so(arguments: list[str], code: int, said: str):
    done = fleetcap(*arguments)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


@pytest.mark.parametrize(
    "command", ["broker", "capture", "worker", "tail", "decode", "record", "import", "replay", "diff", "doctor", "topics"]
)
def test_every_command_explains_itself(command: str):
    done = fleetcap(command, "--help")
    assert done.returncode == 0
    assert f"fleetcap {command}" in done.stdout.replace("__main__.py", "")


def test_the_version_is_told():
    assert fleetcap("--version").stdout.startswith("fleetcap ")


def test_help_loads_neither_worker_nor_probes():
    program = "import sys; sys.argv=['fleetcap','--help']; import fleetcap.cli as c\ntry: c.main()\nexcept SystemExit: pass\n"
    done = subprocess.run([sys.executable, "-c", program + "print(*sys.modules)"], capture_output=True, text=True, check=True)
    loaded = done.stdout.splitlines()[-1].split()
    assert not {"faust", "pydantic", "bcc", "confluent_kafka", "fleetcap_streams.app"} & set(loaded)


def test_decode_prints_an_object_a_line_and_tells_what_it_could_not_read(recording: Path):
    done = fleetcap("decode", recording)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["request"]["target"] for one in found if one["kind"] == "exchange"] == ["/0", "/1", "/2"]
    assert [one["error"] for one in found if one["kind"] == "error"] == ["the value is not a RawBatch"]
    assert [one["reason"] for one in found if one["kind"] == "connection"] == ["input_ended"] * 3


def test_decode_can_print_the_references_text(recording: Path):
    done = fleetcap("decode", recording, "--format", "text")
    assert done.stdout.startswith("PID:1234, Comm:curl, Src:192.0.2.1:40000, Dest:198.51.100.2:443,\nGET /0 HTTP/1.1\n")


def test_decode_can_print_a_table(recording: Path):
    done = fleetcap("decode", recording, "--format", "table", COLUMNS="120")
    head, first = done.stdout.splitlines()[:2]
    assert head.split() == ["TIME", "PROCESS", "METHOD", "CODE", "WHAT", "SIZE", "LATENCY"]
    assert first.split()[1:] == ["curl/1234", "→", "GET", "204", "h/0", "0", "B", "5.0", "ms"]


def test_of_a_damaged_file_everything_before_the_damage_is_decoded(recording: Path):
    whole = recording.read_bytes()
    recording.write_bytes(whole[:-20])
    done = fleetcap("decode", recording)
    assert done.returncode == 1
    assert done.stdout.count('"kind":"exchange"') >= 2
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_reader_that_has_seen_enough_is_no_error(recording: Path):
    command = f"{sys.executable} -m fleetcap decode {recording} | head -1"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False)
    assert done.stderr == ""


@pytest.mark.parametrize("form", ["json", "table", "text"])
def test_no_locale_can_end_a_command(form: str, tmp_path: Path):
    path, talk, log = tmp_path / "odd.fcap", Talk(), Log()
    log.add(talk, talk.sent("GET /caf\u00e9 HTTP/1.1\r\nHost: h\r\n\r\n".encode()), talk.received(b"\xff\xfe"), talk.closed(1))
    with RecordingWriter(path) as writer:
        for record in log.records:
            writer.write(0, record)
    done = subprocess.run(
        [sys.executable, "-m", "fleetcap", "decode", path, "--format", form],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "120"},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert "caf\u00e9".encode() in done.stdout


def test_text_in_a_pipe_is_byte_for_byte_what_was_said(tmp_path: Path):
    path, talk, log = tmp_path / "odd.fcap", Talk(), Log()
    log.add(talk, talk.sent(b"GET /\xff\x1b[2J HTTP/1.1\r\nHost: h\r\n\r\n"), talk.closed(1))
    with RecordingWriter(path) as writer:
        writer.write(0, log.records[0])
    done = subprocess.run([sys.executable, "-m", "fleetcap", "decode", path, "-f", "text"], capture_output=True, check=True)
    assert b"GET /\xff\x1b[2J HTTP/1.1\r\n" in done.stdout


def test_a_full_disk_is_no_defect_of_ours(recording: Path):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "fleetcap", "decode", recording], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == "fleetcap: No space left on device; check the path, its permissions and the free space\n"


def as_packets() -> list[Frame]:
    talk = packets.Talk().opened().asks(b"GET /p HTTP/1.1\r\nHost: h\r\n\r\n").answers(b"HTTP/1.1 204 No Content\r\n\r\n")
    return talk.closed().frames


def as_lines() -> bytes:
    talk = Talk("node-1:c")
    batch = talk.batch(
        talk.sent(b"GET /j HTTP/1.1\r\nHost: h\r\n\r\n"), talk.received(b"HTTP/1.1 204 No Content\r\n\r\n"), talk.closed()
    )
    return MessageToJson(batch, indent=None).encode() + b"\n"


@pytest.mark.parametrize(("name", "wrap"), [("-", gzip.compress), ("misleading.fcap", bytes)])
@pytest.mark.parametrize(
    ("made", "target"),
    [(lambda: packets.pcap(as_packets()), "/p"), (lambda: packets.pcapng(as_packets()), "/p"), (as_lines, "/j")],
    ids=["pcap", "pcapng", "lines"],
)
def test_what_is_read_is_found_by_its_content(
    made: Callable[[], bytes], target: str, name: str, wrap: Callable[[bytes], bytes], tmp_path: Path
):
    (tmp_path / "misleading.fcap").write_bytes(wrap(made()))
    command = [sys.executable, "-m", "fleetcap", "decode", name, "--format", "json"]
    done = subprocess.run(command, cwd=tmp_path, input=wrap(made()), capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    (exchange,) = (one for one in found if one["kind"] == "exchange")
    assert (exchange["request"]["target"], exchange["response"]["status"]) == (target, 204)
    assert [one["reason"] for one in found if one["kind"] == "connection"] == ["destroyed"]


def test_a_bad_line_is_told_after_what_stands_before_it(tmp_path: Path):
    (tmp_path / "x").write_bytes(as_lines() + b"\n{oh\n" + as_lines())
    done = fleetcap("decode", tmp_path / "x")
    assert done.returncode == 1
    assert done.stdout.count('"kind":"exchange"') == 1
    assert "line 3: " in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_gzip_file_that_was_cut_is_read_as_far_as_it_goes(tmp_path: Path):
    frames = [frame for number in range(400) for frame in packets.Talk(client=("192.0.2.1", 20000 + number)).opened().frames]
    (tmp_path / "x").write_bytes(gzip.compress(packets.pcap(as_packets() + frames))[:-50])
    done = fleetcap("decode", tmp_path / "x")
    assert done.returncode == 1
    assert '"target":"/p"' in done.stdout
    assert "gzip data is cut" in done.stderr
