"""A real PostgreSQL server, psql and pgbench, through a recording proxy: what is decoded is what was said."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetcap_streams.protocols.contract import Message, Role
from fleetcap_streams.protocols.postgresql import SPEC
from tests.streams.protocols.proxy import HOST, free_port, recording, serving
from tests.streams.protocols.tapping import decoded

BINARIES = max((str(path) for path in Path("/usr/lib/postgresql").glob("*/bin")), default="")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (BINARIES and shutil.which("initdb", path=BINARIES) and shutil.which("pgbench")),
        reason="no PostgreSQL server: apt-get install postgresql",
    ),
]
# PostgreSQL refuses to run as root.
USER = "postgres" if os.geteuid() == 0 else None


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    place: Path = tmp_path_factory.mktemp("postgresql")
    if USER:
        for folder in (place, place.parent, place.parent.parent):
            folder.chmod(0o755)
        shutil.chown(place, USER)
    port = free_port()
    (place / "password").write_text("hunter2")
    create = [
        f"{BINARIES}/initdb",
        "-D",
        str(place / "data"),
        "-U",
        "app",
        "--pwfile",
        str(place / "password"),
        "-A",
        "scram-sha-256",
    ]
    subprocess.run(create, check=True, capture_output=True, user=USER, cwd="/")
    settings = ["-D", str(place / "data"), "-h", HOST, "-p", str(port), "-k", "", "-c", "fsync=off"]
    with serving([f"{BINARIES}/postgres", *settings], port, USER):
        while subprocess.run(["pg_isready", "-h", HOST, "-p", str(port)], check=False, capture_output=True).returncode == 1:
            time.sleep(0.1)  # it answers, but only to say that it is starting
        yield port


def run(port: int, *command: str, given: str = "", check: bool = True) -> tuple[list[list[Message]], str]:
    """What a client says on each of its connections, decoded, and what it printed."""
    with recording(port) as recorder:
        environment = {**os.environ, "PGPASSWORD": "hunter2", "PGSSLMODE": "prefer", "PGHOST": HOST, "PGPORT": str(recorder.port)}
        environment |= {"PGUSER": "app", "PGDATABASE": "postgres"}
        done = subprocess.run(command, input=given, capture_output=True, text=True, env=environment, timeout=120, check=check)
    return [decoded(SPEC, connection) for connection in recorder.connections if connection], done.stdout


def exchanges(messages: list[Message]) -> list[tuple[Message, Message]]:
    answers = {message.exchange: message for message in messages if message.role is Role.RESPONSE and message.exchange}
    return [(message, answers[message.exchange]) for message in messages if message.role is Role.REQUEST]


def test_simple_queries(port: int):
    script = """
        create table if not exists t (a int primary key, b text);
        truncate t;
        insert into t values (1, 'one'), (2, null);
        select a, b from t order by a;
        selec;
        copy t from stdin;
3\tthree
4\tfour
\\.
        copy t to stdout;
        update t set b = 'x' where a > 2;
        do $$ begin raise notice 'take care'; end $$;
        listen jobs;
        notify jobs, 'seven';
        alter role app password 'hunter2';
    """
    connections, _ = run(port, "psql", "-X", "-q", given=script, check=False)
    messages = max(connections, key=len)
    found = {b"".join(request.body.split()[:2]): answer for request, answer in exchanges(messages)}
    by_statement = {request.body.decode(): answer.attributes for request, answer in exchanges(messages)}
    assert found[b"insertinto"].attributes["affected_rows"] == 2
    assert found[b"selecta,"].body == b"a\tb\n1\tone\n2\tNULL\nSELECT 2\n"
    assert found[b"selecta,"].attributes["rows"] == 2
    assert by_statement["selec;"]["error_code"] == "42601"
    copied = by_statement["copy t from stdin;"]["copy_bytes"]
    assert isinstance(copied, int)
    assert copied >= len("3\tthree\n4\tfour\n")  # psql may add its own end
    assert by_statement["copy t from stdin;"]["affected_rows"] == 2
    assert found[b"copyt"].body.startswith(b"1\tone\n2\t\\N\n3\tthree\n4\tfour\n")
    assert by_statement["update t set b = 'x' where a > 2;"]["affected_rows"] == 2
    assert any(answer.get("notices") == ["NOTICE: take care"] for answer in by_statement.values())
    assert any(message.attributes.get("channel") == "jobs" and message.body == b"seven" for message in messages)
    assert "alter role app password '(hidden)';" in by_statement
    assert "hunter2" not in repr(connections)
    assert all(message.complete for message in messages)


def test_the_beginning_of_a_connection(port: int):
    connections, _ = run(port, "psql", "-X", "-c", "select 1")
    first, startup = exchanges(connections[0])[:2]
    assert first[0].attributes["operation"] == "ssl_request"
    assert first[1].attributes == {"accepted": False}
    assert startup[0].attributes["user"] == "app"
    assert startup[0].attributes["database"] == "postgres"
    assert startup[1].attributes["authentication"] == ["scram-sha-256"]
    assert str(startup[1].attributes["server_version"])[0].isdigit()


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
@pytest.mark.parametrize("pipelined", [False, True])
def test_every_transaction_of_pgbench(port: int, mode: str, pipelined: bool, tmp_path: Path):  # noqa: FBT001
    if pipelined and mode == "simple":
        pytest.skip("pgbench pipelines the extended protocol only")
    statements = ["select :a + 1 as one;", "select generate_series(1, :a) as many;", "select 'x' where :a < 0;"]
    script = [
        "\\set a random(1, 9)",
        *(["\\startpipeline"] if pipelined else []),
        *statements,
        *(["\\endpipeline"] if pipelined else []),
    ]
    (tmp_path / "script").write_text("\n".join(script))
    command = ["pgbench", "-n", "-M", mode, "-c", "2", "-t", "50", "-f", str(tmp_path / "script")]
    connections, printed = run(port, *command)
    assert "number of transactions actually processed: 100/100" in printed
    found = [pair for messages in connections for pair in exchanges(messages)]
    executed = [(request, answer) for request, answer in found if request.attributes["operation"] in ("query", "execute")]
    assert len(executed) == 300
    assert all(answer.complete for _, answer in executed)
    for request, answer in executed:
        number = number_in(request)
        rows = 1 if b" as one" in request.body else number if b" as many" in request.body else 0
        assert answer.attributes["rows"] == rows
        assert rows != 1 or str(number + (b" as one" in request.body)).encode() in answer.body


def number_in(request: Message) -> int:
    """The number that pgbench drew, as a parameter or in the statement's text."""
    parameters = request.attributes.get("parameters")
    return (
        int(str(parameters[0]))
        if isinstance(parameters, list)
        else int(re.findall(rb"[0-9]+", request.body.replace(b"1, ", b""))[0])
    )


def test_an_error_in_a_pipeline_skips_the_rest(port: int, tmp_path: Path):
    (tmp_path / "script").write_text("\\startpipeline\nselect 1 as a;\nselect 1 / 0 as b;\nselect 3 as c;\n\\endpipeline\n")
    connections, _ = run(port, "pgbench", "-n", "-M", "extended", "-t", "1", "-f", str(tmp_path / "script"), check=False)
    found = {request.body: answer for messages in connections for request, answer in exchanges(messages)}
    assert found[b"select 1 as a;"].attributes["rows"] == 1
    assert found[b"select 1 / 0 as b;"].attributes["error_code"] == "22012"
    assert found[b"select 3 as c;"].attributes == {"skipped": True}
