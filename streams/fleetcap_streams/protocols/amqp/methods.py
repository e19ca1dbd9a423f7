"""The methods of AMQP 0-9-1: their numbers, names and arguments, which bring content, and which answer which.

Source: the class and method reference of the AMQP 0-9-1 specification, and RabbitMQ's extensions to it (confirm, basic.nack,
exchange.bind, connection.blocked, connection.update-secret). An argument's type stands behind its name:

o octet    h short    l long    L longlong    b bit, packed with the bits next to it    s short string    S long string
t table

An argument whose name begins with _ is reserved and not shown.
"""

from typing import Final, NamedTuple

ANSWER: Final = "-ok"


class Method(NamedTuple):
    """One method. `asks`: it is answered, unless it says no_wait; `answers` is the name of the method that it answers."""

    name: str
    arguments: tuple[tuple[str, str], ...]
    content: bool
    asks: bool
    answers: str


_WITH_CONTENT: Final = frozenset(("basic.publish", "basic.return", "basic.deliver", "basic.get-ok"))
_OTHER_ANSWERS: Final = {"basic.get-empty": "basic.get"}
BASIC: Final = 60  # the one class whose methods bring content

_CLASSES: Final = {
    10: "connection",
    20: "channel",
    30: "access",
    40: "exchange",
    50: "queue",
    BASIC: "basic",
    85: "confirm",
    90: "tx",
}
_METHODS: Final[dict[int, dict[int, str]]] = {
    10: {
        10: "start version_major:o version_minor:o server_properties:t mechanisms:S locales:S",
        11: "start-ok client_properties:t mechanism:s response:S locale:s",
        20: "secure challenge:S",
        21: "secure-ok response:S",
        30: "tune channel_max:h frame_max:l heartbeat:h",
        31: "tune-ok channel_max:h frame_max:l heartbeat:h",
        40: "open virtual_host:s _capabilities:s _insist:b",
        41: "open-ok _known_hosts:s",
        50: "close reply_code:h reply_text:s class_id:h method_id:h",
        51: "close-ok",
        60: "blocked reason:s",
        61: "unblocked",
        70: "update-secret new_secret:S reason:s",
        71: "update-secret-ok",
    },
    20: {
        10: "open _out_of_band:s",
        11: "open-ok _channel_id:S",
        20: "flow active:b",
        21: "flow-ok active:b",
        40: "close reply_code:h reply_text:s class_id:h method_id:h",
        41: "close-ok",
    },
    30: {
        10: "request realm:s exclusive:b passive:b active:b write:b read:b",
        11: "request-ok _ticket:h",
    },
    40: {
        10: "declare _ticket:h exchange:s type:s passive:b durable:b auto_delete:b internal:b no_wait:b arguments:t",
        11: "declare-ok",
        20: "delete _ticket:h exchange:s if_unused:b no_wait:b",
        21: "delete-ok",
        30: "bind _ticket:h destination:s source:s routing_key:s no_wait:b arguments:t",
        31: "bind-ok",
        40: "unbind _ticket:h destination:s source:s routing_key:s no_wait:b arguments:t",
        51: "unbind-ok",
    },
    50: {
        10: "declare _ticket:h queue:s passive:b durable:b exclusive:b auto_delete:b no_wait:b arguments:t",
        11: "declare-ok queue:s message_count:l consumer_count:l",
        20: "bind _ticket:h queue:s exchange:s routing_key:s no_wait:b arguments:t",
        21: "bind-ok",
        30: "purge _ticket:h queue:s no_wait:b",
        31: "purge-ok message_count:l",
        40: "delete _ticket:h queue:s if_unused:b if_empty:b no_wait:b",
        41: "delete-ok message_count:l",
        50: "unbind _ticket:h queue:s exchange:s routing_key:s arguments:t",
        51: "unbind-ok",
    },
    BASIC: {
        10: "qos prefetch_size:l prefetch_count:h global:b",
        11: "qos-ok",
        20: "consume _ticket:h queue:s consumer_tag:s no_local:b no_ack:b exclusive:b no_wait:b arguments:t",
        21: "consume-ok consumer_tag:s",
        30: "cancel consumer_tag:s no_wait:b",
        31: "cancel-ok consumer_tag:s",
        40: "publish _ticket:h exchange:s routing_key:s mandatory:b immediate:b",
        50: "return reply_code:h reply_text:s exchange:s routing_key:s",
        60: "deliver consumer_tag:s delivery_tag:L redelivered:b exchange:s routing_key:s",
        70: "get _ticket:h queue:s no_ack:b",
        71: "get-ok delivery_tag:L redelivered:b exchange:s routing_key:s message_count:l",
        72: "get-empty _cluster_id:s",
        80: "ack delivery_tag:L multiple:b",
        90: "reject delivery_tag:L requeue:b",
        100: "recover-async requeue:b",
        110: "recover requeue:b",
        111: "recover-ok",
        120: "nack delivery_tag:L multiple:b requeue:b",
    },
    85: {10: "select no_wait:b", 11: "select-ok"},
    90: {10: "select", 11: "select-ok", 20: "commit", 21: "commit-ok", 30: "rollback", 31: "rollback-ok"},
}


def _read() -> dict[tuple[int, int], Method]:
    texts = {(number, id_): (kind, text.split()) for number, kind in _CLASSES.items() for id_, text in _METHODS[number].items()}
    names = {f"{kind}.{words[0]}" for kind, words in texts.values()}
    found = {}
    for ids, (kind, (word, *arguments)) in texts.items():
        name = f"{kind}.{word}"
        pairs = tuple((argument.partition(":")[0], argument.partition(":")[2]) for argument in arguments)
        answers = _OTHER_ANSWERS.get(name, name.removesuffix(ANSWER) if name.endswith(ANSWER) else "")
        found[ids] = Method(name, pairs, name in _WITH_CONTENT, name + ANSWER in names, answers)
    return found


METHODS: Final = _read()


def name_of(class_id: int, method_id: int) -> str:
    """A method's name, by its numbers; they themselves where they are nobody's."""
    method = METHODS.get((class_id, method_id))
    return method.name if method else f"{class_id}.{method_id}"
