"""A real MariaDB server, its own client and one that uses the binary protocol, through a recording proxy."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from fleetcap_streams.protocols.contract import Message, Role
from fleetcap_streams.protocols.mysql import SPEC
from tests.streams.protocols.proxy import HOST, free_port, recording, serving
from tests.streams.protocols.tapping import decoded

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (shutil.which("mariadbd") and shutil.which("mariadb")), reason="no MariaDB server: apt-get install mariadb-server"
    ),
]
USER = "mysql" if os.geteuid() == 0 else None
PERL = subprocess.run(["perl", "-MDBD::MariaDB", "-e", "1"], check=False, capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    place: Path = tmp_path_factory.mktemp("mariadb")
    if USER:
        for folder in (place, place.parent, place.parent.parent):
            folder.chmod(0o755)
        shutil.chown(place, USER)
    data = ["--no-defaults", f"--datadir={place}/data"]
    create = ["mariadb-install-db", *data, "--auth-root-authentication-method=normal", "--skip-test-db"]
    subprocess.run(create, check=True, capture_output=True, user=USER, cwd="/")
    port = free_port()
    settings = [f"--socket={place}/socket", f"--bind-address={HOST}", f"--port={port}", "--local-infile=1"]
    settings += ["--max-allowed-packet=64M", "--innodb-flush-log-at-trx-commit=0"]
    with serving(["mariadbd", *data, *settings], port, USER):
        setup = "create user app identified by 'hunter2'; grant all on *.* to app; create database shop;"
        while subprocess.run(
            ["mariadb", "-uroot", f"-S{place}/socket", "-e", setup], check=False, capture_output=True
        ).returncode:
            time.sleep(0.2)
        yield port


def talk(port: int, statements: str, *flags: str) -> tuple[list[Message], str]:
    """What the client says, decoded, and what it printed."""
    with recording(port) as recorder:
        command = ["mariadb", "--no-defaults", f"-h{HOST}", f"-P{recorder.port}", "-uapp", "-phunter2", "-f", *flags, "shop"]
        done = subprocess.run(command, input=statements, check=False, capture_output=True, text=True, timeout=120)
    return decoded(SPEC, recorder.connections[0]), done.stdout


def answers(messages: list[Message]) -> dict[str, Message]:
    """Answers by the statements they answer."""
    given = {message.exchange: message for message in messages if message.role is Role.RESPONSE}
    return {message.body.decode(): given[message.exchange] for message in messages if message.role is Role.REQUEST}


@pytest.mark.parametrize("flags", [(), ("--compress",)], ids=["plain", "compressed"])
def test_what_a_client_asks_and_gets(port: int, flags: tuple[str, ...], tmp_path: Path):
    upload = tmp_path / "upload"
    upload.write_text("7\tseven\n8\teight\n")
    statements = """
        drop table if exists t; create table t (a int primary key auto_increment, b text);
        insert into t values (1, 'one'), (2, null);
        select a, b from t order by a;
        selec;
        load data local infile 'UPLOAD' into table t;
        update t set b = 'x' where a > 1;
        select repeat('x', 70000) as large union all select repeat('y', 70000);
        create user other identified by 'hunter2';
        drop user other;
        delimiter //
        drop procedure if exists twice//
        create procedure twice() begin select 1 as one; select 2 as two; end//
        call twice()//
    """.replace("UPLOAD", str(upload))
    messages, printed = talk(port, statements, "--local-infile=1", *flags)
    found = answers(messages)
    assert found["insert into t values (1, 'one'), (2, null)"].attributes["affected_rows"] == 2
    assert found["select a, b from t order by a"].body == b"a\tb\n1\tone\n2\tNULL\n"
    assert found["select a, b from t order by a"].attributes["rows"] == 2
    assert (found["selec"].attributes["error_code"], found["selec"].attributes["sql_state"]) == (1064, "42000")
    loaded = found[f"load data local infile '{upload}' into table t"].attributes
    assert (loaded["local_infile"], loaded["local_infile_bytes"], loaded["affected_rows"]) == (str(upload), 16, 2)
    assert found["update t set b = 'x' where a > 1"].attributes["affected_rows"] == 3
    assert str(found["update t set b = 'x' where a > 1"].attributes["info"]).startswith("Rows matched: 3")
    large = next(answer for statement, answer in found.items() if "repeat" in statement)
    assert (large.attributes["rows"], large.body_size > 140_000, "body-cut" in large.notes) == (2, True, True)
    assert found["call twice()"].body == b"one\n1\ntwo\n2\n"
    assert found["call twice()"].attributes["results"] == 2
    assert "create user other identified by '(hidden)'" in found
    assert "hunter2" not in repr(messages)
    assert all(message.complete for message in messages)
    assert "one\ttwo" not in printed


def test_a_login_that_fails(port: int):
    with recording(port) as recorder:
        command = ["mariadb", "--no-defaults", f"-h{HOST}", f"-P{recorder.port}", "-unobody", "-phunter2"]
        assert subprocess.run(command, check=False, capture_output=True, timeout=60).returncode == 1
    messages = decoded(SPEC, recorder.connections[0])
    greeting, login, verdict = messages
    assert "MariaDB" in str(greeting.attributes["server_version"])
    assert login.attributes["user"] == "nobody"
    assert (verdict.attributes["error_code"], verdict.exchange) == (1045, login.exchange)
    assert "hunter2" not in repr(messages)


def test_packets_longer_than_a_packet_can_be(port: int):
    messages, _ = talk(
        port, f"select length('{'z' * 17_000_000}') as n, repeat('a', 17000000) as many;\nselect 5;\n", "--max-allowed-packet=64M"
    )
    found = answers(messages)
    answer = next(answer for statement, answer in found.items() if statement.startswith("select length"))
    assert (answer.attributes["rows"], answer.body_size > 17_000_000) == (1, True)
    assert found["select 5"].body == b"5\n5\n"
    assert any(message.body_size > 17_000_000 for message in messages if message.role is Role.REQUEST)


BINARY = """
use strict; use DBI;
my ($port, $compress) = @ARGV;
my $db = DBI->connect("DBI:MariaDB:database=shop;host=127.0.0.1;port=$port;mariadb_compression=$compress", "app", "hunter2",
    {RaiseError => 1, PrintError => 0, mariadb_server_prepare => 1});
$db->do("create or replace table v (i bigint, u int unsigned, d double, s text, n int, t datetime, c date)");
my $in = $db->prepare("insert into v values (?, ?, ?, ?, ?, ?, ?)");
$in->execute($_, $_ * 2, $_ + 0.5, "text $_", undef, "2024-02-03 04:05:06", "2024-02-03") for 1 .. 5;
my $out = $db->prepare("select * from v where i > ? order by i");
for my $least (0, 3, 9) { $out->execute($least); my $rows = $out->fetchall_arrayref; print scalar(@$rows), "\\n"; }
eval { $db->prepare("select nothing from nowhere")->execute; };
"""


@pytest.mark.skipif(not PERL, reason="no binary client: apt-get install libdbd-mariadb-perl")
@pytest.mark.parametrize("compressed", [0, 1])
def test_prepared_statements(port: int, compressed: int):
    with recording(port) as recorder:
        command = ["perl", "-e", BINARY, str(recorder.port), str(compressed)]
        printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    messages = decoded(SPEC, recorder.connections[0])
    given = {message.exchange: message for message in messages if message.role is Role.RESPONSE}
    executed = [message for message in messages if message.attributes.get("command") == "COM_STMT_EXECUTE"]
    inserts = [message for message in executed if message.body.startswith(b"insert into v")]
    selects = [message for message in executed if message.body.startswith(b"select * from v")]
    assert len(inserts) == 5
    parameters = inserts[1].attributes["parameters"]
    assert isinstance(parameters, Sequence)
    assert list(parameters[:4]) == ["2", "4", "2.5", "text 2"]
    assert all(given[message.exchange].attributes["affected_rows"] == 1 for message in inserts)
    assert [given[message.exchange].attributes["rows"] for message in selects] == [int(line) for line in printed.split()]
    assert b"\n4\t8\t4.5\ttext 4\tNULL\t2024-02-03 04:05:06\t2024-02-03\n" in given[selects[1].exchange].body
    assert any(message.attributes.get("error_code") == 1146 for message in messages)
    assert all(message.complete for message in messages)
