"""Conversations to try parsers on, and the small builders they are made of."""

import zlib
from struct import pack, unpack

from tests.streams.protocols.tapping import CLIENT, SERVER, Conversation


def command(*words: bytes) -> bytes:
    """A Redis command as clients send it."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


REDIS: Conversation = (
    (CLIENT, command(b"HELLO", b"3", b"AUTH", b"app", b"hunter2")),
    (SERVER, b"%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:3\r\n"),
    (CLIENT, command(b"SET", b"k", b"a\r\nb")),
    (SERVER, b"+OK\r\n"),
    (CLIENT, command(b"GET", b"k") + command(b"INCR", b"k") + command(b"LRANGE", b"list", b"0", b"-1")),
    (SERVER, b"$4\r\na\r\nb\r\n-ERR value is not an integer or out of range\r\n*3\r\n$1\r\nx\r\n*2\r\n:1\r\n_\r\n$-1\r\n"),
    (CLIENT, command(b"MULTI")),
    (SERVER, b"+OK\r\n"),
    (CLIENT, command(b"INCR", b"n")),
    (SERVER, b"+QUEUED\r\n"),
    (CLIENT, command(b"EXEC")),
    (SERVER, b"*1\r\n:7\r\n"),
    (CLIENT, command(b"SUBSCRIBE", b"news", b"sport")),
    (SERVER, b">3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n"),
    (SERVER, b">3\r\n$9\r\nsubscribe\r\n$5\r\nsport\r\n:2\r\n"),
    (SERVER, b">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n"),
    (CLIENT, command(b"DBSIZE")),
    (SERVER, b":12\r\n"),
    (CLIENT, command(b"GET", b"other")),
    (SERVER, b"$5\r\nvalue\r\n"),
)


def said(kind: bytes, body: bytes = b"") -> bytes:
    """A PostgreSQL message."""
    return kind + pack(">I", len(body) + 4) + body


def startup(**parameters: str) -> bytes:
    body = b"".join(name.encode() + b"\0" + value.encode() + b"\0" for name, value in parameters.items()) + b"\0"
    return pack(">II", len(body) + 8, 196608) + body


def described(*columns: tuple[str, int]) -> bytes:
    """A RowDescription of columns by name and type."""
    body = b"".join(name.encode() + b"\0" + pack(">IHIHIH", 0, 0, oid, 4, 0xFFFFFFFF, 0) for name, oid in columns)
    return said(b"T", pack(">H", len(columns)) + body)


def row(*cells: bytes | None) -> bytes:
    return said(b"D", pack(">H", len(cells)) + b"".join(value(cell) for cell in cells))


def value(cell: bytes | None) -> bytes:
    return pack(">i", -1) if cell is None else pack(">i", len(cell)) + cell


def failed(code: str, message: str, severity: str = "ERROR") -> bytes:
    return said(b"E", f"S{severity}\0V{severity}\0C{code}\0M{message}\0\0".encode())


def bind(portal: bytes, statement: bytes, *cells: bytes | None) -> bytes:
    counted = pack(">H", len(cells)) + b"".join(value(cell) for cell in cells)
    return said(b"B", portal + b"\0" + statement + b"\0" + pack(">H", 0) + counted + pack(">H", 0))


EXECUTE = said(b"E", b"\0" + pack(">I", 0))
SYNC = said(b"S")
READY = said(b"Z", b"I")


def prepare(name: bytes, statement: bytes) -> bytes:
    return said(b"P", name + b"\0" + statement + b"\0" + pack(">H", 0))


def done(tag: bytes) -> bytes:
    return said(b"C", tag + b"\0")


POSTGRESQL: Conversation = (
    (CLIENT, pack(">II", 8, 80877103)),
    (SERVER, b"N"),
    (CLIENT, startup(user="app", database="shop", application_name="test")),
    (SERVER, said(b"R", pack(">I", 10) + b"SCRAM-SHA-256\0\0")),
    (CLIENT, said(b"p", b"SCRAM-SHA-256\0" + pack(">I", 8) + b"n,,hunter2")),
    (SERVER, said(b"R", pack(">I", 0)) + said(b"S", b"server_version\x0015.3\0") + said(b"K", pack(">II", 42, 4711)) + READY),
    (CLIENT, said(b"Q", b"select 1 as one; select 'two' as two\0")),
    (SERVER, described(("one", 23)) + row(b"1") + done(b"SELECT 1")),
    (SERVER, described(("two", 25)) + row(b"two") + done(b"SELECT 1") + READY),
    (CLIENT, prepare(b"s1", b"select * from t where a = $1") + said(b"D", b"Ss1\0") + SYNC),
    (SERVER, said(b"1") + said(b"t", pack(">HI", 1, 23)) + described(("a", 23), ("b", 25)) + READY),
    (CLIENT, bind(b"", b"s1", b"5") + EXECUTE + SYNC),
    (SERVER, said(b"2") + row(b"5", b"five") + row(b"5", None) + done(b"SELECT 2") + READY),
    (CLIENT, said(b"Q", b"insert into t values (1)\0")),
    (SERVER, said(b"N", b"SNOTICE\0VNOTICE\0C00000\0Mtake care\0\0") + done(b"INSERT 0 1") + READY),
    (CLIENT, said(b"Q", b"selec\0")),
    (SERVER, failed("42601", 'syntax error at or near "selec"') + READY),
    (SERVER, said(b"A", pack(">I", 42) + b"jobs\0seven\0")),
    (CLIENT, said(b"Q", b"copy t from stdin\0")),
    (SERVER, said(b"G", b"\0" + pack(">HHH", 2, 0, 0))),
    (CLIENT, said(b"d", b"1\tone\n") + said(b"d", b"2\ttwo\n") + said(b"c")),
    (SERVER, done(b"COPY 2") + READY),
    (CLIENT, bind(b"", b"s1", b"6") + EXECUTE + SYNC),
    (SERVER, said(b"2") + done(b"SELECT 0") + READY),
    (CLIENT, said(b"Q", b"select 3 as three\0")),
    (SERVER, described(("three", 23)) + row(b"3") + done(b"SELECT 1") + READY),
    (CLIENT, said(b"X")),
)


def packet(sequence: int, payload: bytes) -> bytes:
    """A MySQL packet."""
    return len(payload).to_bytes(3, "little") + bytes((sequence & 0xFF,)) + payload


def packets(*payloads: bytes, first: int = 1) -> bytes:
    return b"".join(packet(first + place, payload) for place, payload in enumerate(payloads))


def short(text: bytes) -> bytes:
    """A length-encoded string of fewer than 251 bytes."""
    return bytes((len(text),)) + text


def column(name: bytes, kind: int = 0xFD, flags: int = 0) -> bytes:
    strings = b"".join(short(text) for text in (b"def", b"shop", b"t", b"t", name, name))
    return strings + b"\x0c" + pack("<HIBHBH", 45, 80, kind, flags, 0, 0)


def ok(affected: int = 0, status: int = 2, info: bytes = b"") -> bytes:
    return bytes((0, affected, 0)) + pack("<HH", status, 0) + info


def eof(status: int = 2) -> bytes:
    return b"\xfe" + pack("<HH", 0, status)


def refused(code: int, state: bytes, message: bytes) -> bytes:
    return b"\xff" + pack("<H", code) + b"#" + state + message


CAPABILITIES = 1 | 8 | 1 << 9 | 1 << 15 | 1 << 19
GREETING = (
    b"\x0a8.0.36\0"
    + pack("<I", 77)
    + b"saltsalt\0"
    + pack("<HBHHB", CAPABILITIES & 0xFFFF, 45, 2, CAPABILITIES >> 16, 21)
    + bytes(10)
    + b"saltsaltsalt\0mysql_native_password\0"
)
PROOF = b"hunter2hunter2hunter"
LOGIN = pack("<IIB", CAPABILITIES, 1 << 24, 45) + bytes(23) + b"app\0" + short(PROOF) + b"shop\0mysql_native_password\0"
PREPARED = b"\0" + pack("<IHHBH", 3, 2, 1, 0, 0)
EXECUTION = b"\x17" + pack("<IBI", 3, 0, 1) + b"\0\1" + b"\x08\0" + pack("<q", -5)

MYSQL: Conversation = (
    (SERVER, packet(0, GREETING)),
    (CLIENT, packet(1, LOGIN)),
    (SERVER, packet(2, ok())),
    (CLIENT, packet(0, b"\3select id, name from t")),
    (SERVER, packets(b"\2", column(b"id", 3), column(b"name"), eof(), short(b"1") + short(b"one"), short(b"2") + b"\xfb", eof())),
    (CLIENT, packet(0, b"\3insert into t values (3)")),
    (SERVER, packets(ok(1))),
    (CLIENT, packet(0, b"\3selec")),
    (SERVER, packets(refused(1064, b"42000", b"You have an error in your SQL syntax"))),
    (CLIENT, packet(0, b"\x16select id, name from t where id = ?")),
    (SERVER, packets(PREPARED, column(b"?"), eof(), column(b"id", 3), column(b"name"), eof())),
    (CLIENT, packet(0, EXECUTION)),
    (SERVER, packets(b"\2", column(b"id", 3), column(b"name"), eof(), b"\0\0" + pack("<i", -5) + short(b"five"), eof())),
    (CLIENT, packet(0, b"\x19" + pack("<I", 3)) + packet(0, b"\x0e")),
    (SERVER, packets(ok())),
    (CLIENT, packet(0, b"\3call twice()")),
    (SERVER, packets(b"\1", column(b"a"), eof(10), short(b"x"), eof(10), b"\1", column(b"b"), eof(10), eof(10), ok(0))),
    (CLIENT, packet(0, b"\2other")),
    (SERVER, packets(ok())),
    (CLIENT, packet(0, b"\3select 4")),
    (SERVER, packets(b"\1", column(b"4", 8), eof(), short(b"4"), eof())),
    (CLIENT, packet(0, b"\1")),
)


def bson(*members: tuple[bytes, object]) -> bytes:
    """A document of whole numbers, strings, bytes and documents; a list stands for an array."""
    kinds = {int: 0x10, str: 2, bytes: 5, tuple: 3, list: 4}
    body = b"".join(bytes([kinds[type(value)]]) + name + b"\0" + bson_value(value) for name, value in members)
    return pack("<i", len(body) + 5) + body + b"\0"


def bson_value(value: object) -> bytes:
    match value:
        case int():
            return pack("<i", value)
        case str():
            return pack("<i", len(value.encode()) + 1) + value.encode() + b"\0"
        case bytes():
            return pack("<iB", len(value), 0) + value
        case list():
            return bson(*((str(place).encode(), each) for place, each in enumerate(value)))
        case tuple():
            return bson(*value)
    raise TypeError


def mongo(code: int, request: int, response_to: int, body: bytes) -> bytes:
    return pack("<iiii", len(body) + 16, request, response_to, code) + body


def op_msg(request: int, response_to: int, *members: tuple[bytes, object], flags: int = 0, **sequences: list[bytes]) -> bytes:
    """An OP_MSG of one body and document sequences."""
    body = pack("<I", flags) + b"\0" + bson(*members)
    for name, documents in sequences.items():
        section = name.encode() + b"\0" + b"".join(documents)
        body += b"\1" + pack("<i", len(section) + 4) + section
    return mongo(2013, request, response_to, body)


def op_compressed(compressor: int, message: bytes, packed: bytes) -> bytes:
    """The same message, compressed; `packed`: what becomes of all behind its header."""
    size, request, response_to, code = unpack("<iiii", message[:16])
    return mongo(2012, request, response_to, pack("<iiB", code, size - 16, compressor) + packed)


_OK = (b"ok", 1)
_HELLO = op_msg(9, 0, (b"hello", 1), (b"$db", "admin"))
_SASL = (b"saslStart", 1), (b"mechanism", "PLAIN"), (b"payload", b"\0app\0hunter2")
_FIND = op_msg(15, 0, (b"find", "c"), (b"filter", ((b"a", 1),)), (b"$db", "test"))
_FOUND = op_msg(95, 15, (b"cursor", ((b"firstBatch", [((b"a", 1),)] * 3), (b"id", 77), (b"ns", "test.c"))), _OK)
MONGODB: Conversation = (
    (
        CLIENT,
        mongo(
            2004,
            7,
            0,
            pack("<I", 4) + b"admin.$cmd\0" + pack("<ii", 0, -1) + bson((b"isMaster", 1), (b"speculativeAuthenticate", _SASL)),
        ),
    ),
    (SERVER, mongo(1, 90, 7, pack("<IqII", 8, 0, 0, 1) + bson((b"maxWireVersion", 17), _OK))),
    (CLIENT, op_msg(8, 0, *_SASL, (b"$db", "admin"))),
    (SERVER, op_msg(91, 8, (b"conversationId", 1), (b"done", 0), (b"payload", b"hunter2"), _OK)),
    (CLIENT, op_msg(11, 0, (b"createUser", "u"), (b"pwd", "hunter2"), (b"roles", []), (b"$db", "test"))),
    (SERVER, op_msg(92, 11, (b"ok", 0), (b"errmsg", "not allowed"), (b"code", 13), (b"codeName", "Unauthorized"))),
    (
        CLIENT,
        op_msg(12, 0, (b"insert", "c"), (b"$db", "test"), documents=[bson((b"a", 1)), bson((b"a", 2))])
        + op_compressed(2, _HELLO, zlib.compress(_HELLO[16:])),
    ),
    (SERVER, op_msg(93, 9, (b"me", "x"), _OK) + op_msg(94, 12, (b"n", 2), _OK)),
    (CLIENT, _FIND),
    (SERVER, op_compressed(2, _FOUND, zlib.compress(_FOUND[16:]))),
    (CLIENT, op_msg(16, 0, (b"getMore", 77), (b"collection", "c"), (b"$db", "test"))),
    (SERVER, op_msg(96, 16, (b"cursor", ((b"nextBatch", []), (b"id", 0))), _OK)),
    (CLIENT, op_msg(17, 0, (b"ping", 1), (b"$db", "test"))),
    (SERVER, op_msg(97, 17, _OK)),
    (CLIENT, op_msg(18, 0, (b"count", "c"), (b"$db", "test"))),
    (SERVER, op_msg(98, 18, (b"n", 4), _OK)),
    (CLIENT, op_msg(19, 0, (b"drop", "c"), (b"$db", "test"))),
    (SERVER, op_msg(99, 19, (b"ns", "test.c"), _OK)),
)


NATS: Conversation = (
    (SERVER, b'INFO {"server_id":"NA","version":"2.10.7","headers":true,"max_payload":1048576,"nonce":"jCjd"} \r\n'),
    (CLIENT, b'CONNECT {"verbose":true,"user":"app","pass":"hunter2","lang":"go","headers":true}\r\nPING\r\n'),
    (SERVER, b"+OK\r\nPONG\r\n"),
    (CLIENT, b"SUB news.> sport 1\r\nSUB _INBOX.a.*  2\r\n"),
    (SERVER, b"+OK\r\n+OK\r\n"),
    (CLIENT, b"PUB news.today 11\r\nhello\r\nyou!\r\n"),
    (SERVER, b"+OK\r\nMSG news.today 1 11\r\nhello\r\nyou!\r\n"),
    (CLIENT, b"HPUB ask.me _INBOX.a.b 22 27\r\nNATS/1.0\r\nBar: Baz\r\n\r\nwhat?\r\n"),
    (SERVER, b"+OK\r\n"),
    (SERVER, b"PING\r\n"),
    (CLIENT, b"PONG\r\n"),
    (SERVER, b"HMSG _INBOX.a.b 2 26 26\r\nNATS/1.0 503 No Answer\r\n\r\n\r\n"),
    (CLIENT, b"UNSUB 1 5\r\n"),
    (SERVER, b"-ERR 'Some Reason'\r\n"),
    (CLIENT, b"PUB last 5\r\nPING\r\r\n"),
    (SERVER, b"+OK\r\n"),
    (SERVER, b"MSG news.more 1 0\r\n\r\n"),
    (CLIENT, b"ping\r\n"),
    (SERVER, b"PONG\r\n"),
    (CLIENT, b"PUB news.other _INBOX.a.c 5\r\nthere\r\n"),
    (SERVER, b"+OK\r\n"),
    (SERVER, b"MSG news.other 1 _INBOX.a.c 200\r\n" + bytes(range(200)) + b"\r\n"),
    (CLIENT, b"PUB _INBOX.a.c 4\r\nhere\r\n"),
    (SERVER, b"+OK\r\n"),
    (CLIENT, b"PING\r\n"),
    (SERVER, b"PONG\r\n"),
    (CLIENT, b"UNSUB 2\r\n"),
    (SERVER, b"+OK\r\n"),
    (CLIENT, b"PING\r\n"),
    (SERVER, b"PONG\r\n"),
)


def amqp_frame(kind: int, channel: int, payload: bytes) -> bytes:
    return pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def amqp_method(channel: int, class_id: int, method_id: int, arguments: bytes = b"") -> bytes:
    return amqp_frame(1, channel, pack(">HH", class_id, method_id) + arguments)


def amqp_content(channel: int, body: bytes, properties: bytes = b"\0\0", *, most: int = 4088) -> bytes:
    """A content's header, and its body in frames of up to so many bytes."""
    pieces = [body[start : start + most] for start in range(0, len(body), most)]
    header = amqp_frame(2, channel, pack(">HHQ", 60, 0, len(body)) + properties)
    return header + b"".join(amqp_frame(3, channel, piece) for piece in pieces)


def amqp_short(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def amqp_long(data: bytes) -> bytes:
    return pack(">I", len(data)) + data


def amqp_publish(channel: int, exchange: bytes, key: bytes) -> bytes:
    return amqp_method(channel, 60, 40, b"\0\0" + amqp_short(exchange) + amqp_short(key) + b"\0")


def amqp_deliver(channel: int, tag: int, key: bytes) -> bytes:
    return amqp_method(channel, 60, 60, amqp_short(b"me") + pack(">QB", tag, 0) + amqp_short(b"") + amqp_short(key))


def amqp_ack(channel: int, tag: int, *, multiple: bool = False) -> bytes:
    return amqp_method(channel, 60, 80, pack(">QB", tag, multiple))


AMQP_DECLARE = amqp_method(
    1, 50, 10, b"\0\0" + amqp_short(b"tasks") + b"\2" + amqp_long(amqp_short(b"x-max-length") + b"I\0\0\0\5")
)
AMQP_DECLARED = amqp_method(1, 50, 11, amqp_short(b"tasks") + pack(">II", 3, 0))
AMQP_GREETING = amqp_method(
    0,
    10,
    10,
    b"\0\x09" + amqp_long(amqp_short(b"product") + b"S" + amqp_long(b"RabbitMQ")) + amqp_long(b"PLAIN") + amqp_long(b"en_US"),
)
AMQP_PROPERTIES = b"\xa0\0" + amqp_short(b"text/plain") + amqp_long(amqp_short(b"trace") + b"S" + amqp_long(b"00-11"))

AMQP: Conversation = (
    (CLIENT, b"AMQP\0\0\x09\1"),
    (SERVER, AMQP_GREETING),
    (CLIENT, amqp_method(0, 10, 11, amqp_long(b"") + amqp_short(b"PLAIN") + amqp_long(b"\0app\0hunter2") + amqp_short(b"en_US"))),
    (SERVER, amqp_method(0, 10, 30, pack(">HIH", 2047, 131072, 60))),
    (CLIENT, amqp_method(0, 10, 31, pack(">HIH", 2047, 131072, 60))),
    (CLIENT, amqp_method(0, 10, 40, amqp_short(b"/") + b"\0\0")),
    (SERVER, amqp_method(0, 10, 41, b"\0")),
    (CLIENT, amqp_method(1, 20, 10, b"\0")),
    (SERVER, amqp_method(1, 20, 11, b"\0\0\0\0")),
    (CLIENT, AMQP_DECLARE),
    (SERVER, AMQP_DECLARED),
    (CLIENT, amqp_publish(1, b"", b"tasks") + amqp_content(1, b"first", AMQP_PROPERTIES)),
    (CLIENT, amqp_method(1, 60, 20, b"\0\0" + amqp_short(b"tasks") + amqp_short(b"me") + b"\0" + amqp_long(b""))),
    (SERVER, amqp_method(1, 60, 21, amqp_short(b"me"))),
    (SERVER, amqp_deliver(1, 1, b"tasks") + amqp_content(1, b"first", AMQP_PROPERTIES)),
    (CLIENT, amqp_ack(1, 1)),
    (CLIENT, b"\x08\0\0\0\0\0\0\xce"),
    (SERVER, b"\x08\0\0\0\0\0\0\xce"),
    (CLIENT, amqp_method(2, 20, 10, b"\0")),
    (SERVER, amqp_method(2, 20, 11, b"\0\0\0\0")),
    (CLIENT, amqp_method(2, 85, 10, b"\0")),
    (SERVER, amqp_method(2, 85, 11)),
    (CLIENT, amqp_publish(2, b"logs", b"a.b") + amqp_content(2, b"second")),
    (SERVER, amqp_ack(2, 1)),
    (CLIENT, amqp_publish(2, b"logs", b"a.c") + amqp_content(2, bytes(range(256)) * 2, most=200)),
    (SERVER, amqp_ack(2, 2)),
    (CLIENT, amqp_method(2, 60, 70, b"\0\0" + amqp_short(b"other") + b"\1")),
    (SERVER, amqp_method(2, 60, 71, pack(">QB", 1, 0) + b"\0" + amqp_short(b"other") + b"\0\0\0\0") + amqp_content(2, b"")),
    (CLIENT, amqp_method(1, 60, 70, b"\0\0" + amqp_short(b"empty") + b"\1")),
    (SERVER, amqp_method(1, 60, 72, b"\0")),
    (SERVER, amqp_deliver(1, 2, b"last") + amqp_content(1, b"third \xce\1\0\1")),
    (CLIENT, amqp_method(1, 60, 30, amqp_short(b"me") + b"\0")),
    (SERVER, amqp_method(1, 60, 31, amqp_short(b"me"))),
    (CLIENT, amqp_method(2, 20, 40, pack(">H", 200) + amqp_short(b"Goodbye") + bytes(4))),
    (SERVER, amqp_method(2, 20, 41)),
    (CLIENT, amqp_method(1, 60, 70, b"\0\0" + amqp_short(b"tasks") + b"\1")),
    (SERVER, amqp_method(1, 60, 71, pack(">QB", 3, 0) + b"\0" + amqp_short(b"tasks") + b"\0\0\0\0") + amqp_content(1, b"fourth")),
    (CLIENT, amqp_method(0, 10, 50, pack(">H", 200) + amqp_short(b"Goodbye") + bytes(4))),
    (SERVER, amqp_method(0, 10, 51)),
)
