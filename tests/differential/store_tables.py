"""MySQL, PostgreSQL, Redis and Kafka: where what tshark tells stands in our JSON, and where the two differ."""

import re
from collections.abc import Callable, Iterable

from tests.differential.http_tables import member
from tests.differential.second_opinion import TRACES, Difference, Json, Row, Table


def _captures(folder: str, *without: str) -> tuple[str, ...]:
    found = sorted(path.name for path in (TRACES / folder).glob("*.pcap"))
    return tuple(f"{folder}/{name}" for name in found if name.removesuffix(".pcap") not in without)


def _as_printed(text: str) -> str | None:
    """Text as far as two ways to print it can be compared: space of any kind is space, and other alphabets are one mark."""
    plain = re.sub(r"(?:\\[nrt]|\s)+", " ", text.replace('\\"', '"').replace("\\\\", "\\"))
    return re.sub(r"[^\x00-\x7f]+", "~", plain).strip() if not re.search(r"[\x00-\x1f]", plain) else None


def _body_where(name: str, *values: str) -> Callable[[Json], Iterable[str]]:
    """The statement of messages whose member of that name has one of these values, where it is text and known."""

    def statement(message: Json) -> list[str]:
        if message.get(name) not in values or not message["body"] or "body_encoding" in message:
            return []
        printed = _as_printed(message["body"])
        return [] if printed is None else [printed]

    return statement


def _where(name: str, value: str, wanted: str) -> Callable[[Json], Iterable[str]]:
    return lambda message: [str(message[wanted])] if message.get(name) == value and message.get(wanted) not in (None, "") else []


_COMPRESSED = "compression was agreed on before the capture began; tshark does not look for it, we find it"
MYSQL = Table(
    "MySQL",
    frozenset({"mysql"}),
    _captures("mysql"),
    (
        Row(("mysql.query",), _body_where("command", "COM_QUERY", "COM_STMT_PREPARE"), _as_printed),
        Row(("mysql.error_code",), member("error_code")),
        Row(("mysql.error.message",), member("error")),
        Row(("mysql.sqlstate",), member("sql_state")),
        Row(("mysql.version",), member("server_version")),
        Row(("mysql.user",), _where("operation", "login", "user")),
        Row(("mysql.schema",), member("database")),
    ),
    decode_as="mysql",
    differences=(
        Difference(
            "mysql/mysql-compressed-response.pcap", "mysql.query", _COMPRESSED, (), ("SELECT * FROM `az_controller_connection`",)
        ),
        Difference("mysql/mysql-use.pcap", "mysql.query", _COMPRESSED, (), ("use `test`",)),
        Difference(
            "mysql/partial-packet-compressed.pcap",
            "mysql.query",
            _COMPRESSED,
            (),
            ("SELECT * FROM `process` WHERE `process`.`deleted_at` IS NULL", "SELECT * FROM `vip`"),
        ),
    ),
)
POSTGRESQL = Table(
    "PostgreSQL",
    frozenset({"postgresql"}),
    _captures("postgre"),
    (
        Row(("pgsql.query",), _body_where("operation", "query", "prepare", "execute"), _as_printed, distinct=True),
        Row(("pgsql.code",), member("error_code")),
        Row(("pgsql.message",), member("error")),
        Row(("pgsql.severity",), member("severity")),
        Row(("pgsql.tag",), member("command_tag")),
    ),
    decode_as="pgsql",
)
REDIS = Table(
    "Redis",
    frozenset({"redis"}),
    _captures("redis"),
    (Row(("resp.error",), member("error")),),
    decode_as="resp",
)


def _told_by(part: str, *names: str) -> Callable[[Json], Iterable[str]]:
    """Members of Kafka's requests, which are those that name their client, or of its responses; joined as fields are."""

    def values(message: Json) -> list[str]:
        if "api_key" not in message or ("client_id" in message) is not (part == "request"):
            return []
        return ["\0".join(str(message[name]) for name in names)]

    return values


_FLEXIBLE = (
    "tshark reads the tagged fields of this version wrongly, gives up within the request, and so misses it at the response"
)
_TOPICS = "we tell the topics of Produce, Fetch and Metadata only"
KAFKA = Table(
    "Kafka",
    frozenset({"kafka"}),
    _captures("kafka"),
    (
        Row(
            ("kafka.correlation_id", "kafka.len"),
            lambda message: [f"{message['correlation_id']}\0{message['body_size'] - 4}"],
        ),
        Row(("kafka.request_key", "kafka.request.version"), _told_by("request", "api_key", "api_version")),
        Row(("kafka.response_key", "kafka.response.version"), _told_by("response", "api_key", "api_version")),
        Row(("kafka.client_id",), member("client_id")),
        Row(("kafka.topic_name",), lambda message: message.get("topics", [])),
        Row(("kafka.error",), member("error_code"), lambda code: code if code != "0" else None),
        Row(("kafka.consumer_group",), member("group")),
        Row(("kafka.required_acks",), member("acks")),
    ),
    decode_as="kafka",
    servers={"kafka/11-join-group-v7.pcap": 36333, "kafka/14-sync-group-v5.pcap": 36333},
    differences=(
        Difference("kafka/00-produce-v9.pcap", "kafka.response_key+kafka.response.version", _FLEXIBLE, (), ("0\x009",)),
        Difference("kafka/00-produce-v9.pcap", "kafka.topic_name", _FLEXIBLE, (), ("zqy-test", "zqy-test")),
        Difference("kafka/01-fetch-v12-ok.pcap", "kafka.response_key+kafka.response.version", _FLEXIBLE, (), ("1\x0012",)),
        Difference("kafka/01-fetch-v12-ok.pcap", "kafka.topic_name", _FLEXIBLE, (), ("zqy-test",)),
        Difference("kafka/01-fetch-v12-perf.pcap", "kafka.response_key+kafka.response.version", _FLEXIBLE, (), ("1\x0012",)),
        Difference("kafka/01-fetch-v12-unknown.pcap", "kafka.response_key+kafka.response.version", _FLEXIBLE, (), ("1\x0012",)),
        Difference("kafka/01-fetch-v12-unknown.pcap", "kafka.error", _FLEXIBLE, (), ("5120",)),
        Difference("kafka/mixed-with-unsupported.pcap", "kafka.response_key+kafka.response.version", _FLEXIBLE, (), ("1\x0013",)),
        Difference("kafka/mixed-with-unsupported.pcap", "kafka.topic_name", _TOPICS, ("orders", "orders"), ()),
    ),
)
TABLES = (MYSQL, POSTGRESQL, REDIS, KAFKA)
