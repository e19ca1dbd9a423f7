"""AMQP: where what tshark tells stands in our JSON, and where the two differ. (Debian 12's tshark does not know NATS.)"""

import base64

from fleetcap_streams.protocols.amqp.methods import METHODS, name_of
from tests.differential.http_tables import member
from tests.differential.second_opinion import TRACES, Difference, Json, Row, Table

_NAMES = {method.name for method in METHODS.values()}
_PUT_OUT_TWICE = (
    "the close of a channel or connection for a method that failed is put out as that one's answer, and as what it is"
)


def _captures(folder: str) -> tuple[str, ...]:
    return tuple(f"{folder}/{path.name}" for path in sorted((TRACES / folder).glob("*.pcap")))


def _method(message: Json) -> list[str]:
    return [message["operation"]] if message["operation"] in _NAMES else []


def _name(numbers: str) -> str:
    class_id, method_id = numbers.split("\0")
    return name_of(int(class_id), int(method_id))


def _text(value: str) -> str | None:
    return value or None


def _brings_content(message: Json) -> bool:
    return any(method.content and method.name == message["operation"] for method in METHODS.values())


def _payload(message: Json) -> list[str]:
    if not _brings_content(message) or not message["body"]:
        return []
    text = message["body"]
    return [base64.b64decode(text).hex() if message.get("body_encoding") else text.encode().hex()]


def _size(message: Json) -> list[str]:
    return [str(message["body_size"])] if _brings_content(message) else []


AMQP = Table(
    "AMQP",
    frozenset({"amqp"}),
    _captures("amqp"),
    (
        Row(("amqp.method.class", "amqp.method.method"), _method, _name),
        Row(("amqp.method.arguments.exchange",), member("exchange"), _text),
        Row(("amqp.method.arguments.routing_key",), member("routing_key"), _text),
        Row(("amqp.method.arguments.queue",), member("queue"), _text),
        Row(("amqp.method.arguments.virtual_host",), member("virtual_host"), _text),
        Row(("amqp.method.arguments.consumer_tag",), member("consumer_tag"), _text),
        Row(("amqp.method.arguments.delivery_tag",), member("delivery_tag")),
        Row(("amqp.method.arguments.reply_code",), member("reply_code")),
        Row(("amqp.method.arguments.reply_text",), member("reply_text"), _text),
        Row(("amqp.method.arguments.message_count",), member("message_count")),
        Row(("amqp.method.arguments.frame_max",), member("frame_max")),
        Row(("amqp.method.arguments.mechanism",), member("mechanism")),
        Row(("amqp.header.body-size",), _size),
        Row(("amqp.payload",), _payload),
    ),
    decode_as="amqp",
    differences=(
        Difference(
            "amqp/amqp-error.pcap",
            "amqp.method.class+amqp.method.method",
            _PUT_OUT_TWICE,
            only_ours=("channel.close", "connection.close", "connection.close"),
        ),
        Difference("amqp/amqp-error.pcap", "amqp.method.arguments.reply_code", _PUT_OUT_TWICE, only_ours=("406", "530", "530")),
        Difference(
            "amqp/amqp-error.pcap",
            "amqp.method.arguments.reply_text",
            _PUT_OUT_TWICE,
            only_ours=(
                "NOT_ALLOWED - vhost /bad not found",
                "NOT_ALLOWED - vhost /bad not found",
                (
                    "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'test_ex' in vhost '/': "
                    "received 'topic' but current is 'direct'"
                ),
            ),
        ),
    ),
)
TABLES = (AMQP,)
