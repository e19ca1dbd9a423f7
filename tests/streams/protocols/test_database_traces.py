"""Public packet captures of MySQL, PostgreSQL and Redis: what is decoded agrees with tshark and with the captures' authors.

The payloads are taken out by tshark; every difference that remains stands below with its reason.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from fleetcap_streams.protocols.contract import Attribute, Message, Opening, ProtocolSpec, Role, Score
from fleetcap_streams.protocols.mysql import SPEC as MYSQL
from fleetcap_streams.protocols.postgresql import SPEC as POSTGRESQL
from fleetcap_streams.protocols.redis import SPEC as REDIS
from tests.streams.protocols.tapping import CLIENT, SERVER, TRACES, connections_of, decoded, has_tshark, tshark

SPECS = {"mysql": MYSQL, "postgre": POSTGRESQL, "redis": REDIS}
DISSECTORS = {"mysql": "mysql", "postgre": "pgsql", "redis": "resp"}
CAPTURES = sorted(trace for folder in SPECS for trace in (TRACES / folder).glob("*.pcap"))

pytestmark = [
    pytest.mark.skipif(not CAPTURES, reason="no captures: set FLEETCAP_TRACES to a checkout of them"),
    pytest.mark.skipif(not has_tshark(), reason="no tshark: apt-get install tshark"),
]
each_capture = pytest.mark.parametrize("trace", CAPTURES, ids=[f"{trace.parent.name}/{trace.stem}" for trace in CAPTURES])

# Statements that tshark does not show, or shows otherwise.
UNSEEN_BY_TSHARK = {
    "mysql-compressed-response": "compressed, and the login that says so is not in the capture",
    "mysql-use": "compressed, and the login that says so is not in the capture",
    "partial-packet-compressed": "compressed, and the login that says so is not in the capture",
}


def decode(trace: Path) -> list[Message]:
    spec = SPECS[trace.parent.name]
    return [message for talk in connections_of(trace).values() for message in decoded(spec, talk, joined=True)]


def dissected(trace: Path, *fields: str) -> dict[str, list[str]]:
    """Every value that tshark shows of some fields, whatever the port."""
    pairs = tshark("-r", str(trace), "-Y", "tcp", "-T", "fields", "-e", "tcp.srcport", "-e", "tcp.dstport").split()
    server = min(map(int, pairs))
    decode_as = ["-d", f"tcp.port=={server},{DISSECTORS[trace.parent.name]}"]
    wanted = [word for field in fields for word in ("-e", field)]
    frames = json.loads(tshark("-r", str(trace), *decode_as, "-T", "json", *wanted))
    found: dict[str, list[str]] = {field: [] for field in fields}
    for frame in frames:
        for field, values in frame["_source"].get("layers", {}).items():
            found[field] += values
    return found


def plain(texts: Iterable[str]) -> Counter[str]:
    """Texts without what the two print differently: white space, and what is no text."""
    return Counter(re.sub(r"[^!-~]+", "", text)[:200] for text in texts)


def requests(messages: Iterable[Message], *kinds: str) -> list[str]:
    wanted = [message for message in messages if message.role in (Role.REQUEST, Role.SINGLE)]
    return [
        message.body.decode("utf-8", "replace")
        for message in wanted
        if message.attributes.get("command") in kinds or message.attributes.get("operation") in kinds
    ]


@each_capture
def test_statements_and_errors_agree_with_tshark(trace: Path):
    messages = decode(trace)
    errors = [str(message.attributes["error_code"]) for message in messages if "error_code" in message.attributes]
    if trace.parent.name == "mysql":
        shown = dissected(trace, "mysql.query", "mysql.error_code")
        statements = requests(messages, "COM_QUERY", "COM_STMT_PREPARE")
        if trace.stem in UNSEEN_BY_TSHARK:
            assert not shown["mysql.query"]
            assert statements
        else:
            assert plain(shown["mysql.query"]) == plain(statements)
        assert shown["mysql.error_code"] == errors
    elif trace.parent.name == "postgre":
        shown = dissected(trace, "pgsql.query", "pgsql.code", "pgsql.tag")
        # An execution of a statement prepared before shows that statement again.
        statements = [text for text in requests(messages, "query", "execute", "prepare") if text]
        tags = [str(message.attributes["command_tag"]) for message in messages if "command_tag" in message.attributes]
        assert plain(shown["pgsql.query"]) == plain(statements)
        assert shown["pgsql.code"] == errors
        assert shown["pgsql.tag"] == tags
    else:
        shown = dissected(trace, "resp.bulk_string.value", "resp.error", "resp.array.length")
        bulks = {bytes.fromhex(value.replace(":", "")) for value in shown["resp.bulk_string.value"]}
        asked = [message for message in messages if message.role is Role.REQUEST]
        assert {str(word).encode() for message in asked for word in listed(message.attributes["arguments"])} <= bulks
        assert [error.removeprefix("Error: ") for error in shown["resp.error"]] == [
            str(message.attributes["error"]) for message in messages if "error" in message.attributes
        ]


@each_capture
def test_what_the_authors_of_a_capture_saw_in_it(trace: Path):
    facts = trace.with_suffix(".result")
    if not facts.exists():
        pytest.skip("nothing written")
    lines = facts.read_text().splitlines()
    messages = decode(trace)
    if trace.parent.name == "redis":
        expected = [match[1] for line in lines if (match := re.search(r'request: "(.+?)", request_type', line))]
        assert Counter(message.body.decode() for message in messages if message.role is Role.REQUEST) == Counter(expected)
        errors = [match[1] for line in lines if (match := re.search(r'error: "-(.+?)"', line))]
        assert [message.attributes["error"] for message in messages if "error" in message.attributes] == errors
        return
    records = [json.loads(line[: line.rindex("}") + 1]) for line in lines if line.startswith("{")]
    expected = [re.sub(r"LongLong\((-?[0-9]+)\)", r"\1", record.get("request_resource") or "") for record in records]
    assert not plain(filter(None, expected)) - plain(seen(messages))


def listed(value: Attribute) -> list[Attribute]:
    assert isinstance(value, Sequence)
    return list(value)


def seen(messages: Iterable[Message]) -> list[str]:
    """Requests in the words of the captures' authors: statements, logins, and of executions the parameters."""
    words = []
    for message in messages:
        facts = message.attributes
        if facts.get("operation") == "login":
            words.append(f"Login username: {facts['user']!s}" + (f" db: {facts['database']!s}" if "database" in facts else ""))
        elif facts.get("command") == "COM_STMT_EXECUTE":
            words.append(" , ".join(str(value) for value in listed(facts.get("parameters", ()))))
        elif message.role is Role.REQUEST:
            words.append(message.body.decode("utf-8", "replace"))
    return words


@each_capture
def test_detection_knows_each_capture_by_its_own_name_only(trace: Path):
    for talk in connections_of(trace).values():
        received, sent = (b"".join(data for way, data in talk if way is direction) for direction in (SERVER, CLIENT))
        for folder, spec in SPECS.items():
            score = spec.probe(Opening(received, sent, joined=True, client=None))
            own = folder == trace.parent.name
            assert (score in (Score.YES, Score.MAYBE)) is own, (folder, score)


FOREIGN = sorted(
    trace for folder in ("amqp", "dns", "http", "kafka", "mongo", "nats") for trace in (TRACES / folder).glob("*.pcap")
)


@pytest.mark.slow
@pytest.mark.parametrize("trace", FOREIGN, ids=[f"{trace.parent.name}/{trace.stem}" for trace in FOREIGN])
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_detection_leaves_other_protocols_alone(spec: ProtocolSpec, trace: Path):
    for talk in connections_of(trace).values():
        for joined in (False, True):
            for count in range(1, min(len(talk), 12) + 1):
                received, sent = (
                    b"".join(data for way, data in talk[:count] if way is direction) for direction in (SERVER, CLIENT)
                )
                assert spec.probe(Opening(received, sent, joined, None)) in (Score.NO, Score.MORE)
