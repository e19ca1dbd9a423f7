"""MySQL, PostgreSQL and Redis: where what tshark tells stands in our JSON, and where the two differ."""

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
TABLES = (MYSQL, POSTGRESQL, REDIS)
