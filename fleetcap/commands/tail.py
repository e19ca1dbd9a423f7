"""`fleetcap tail`: decoded traffic as it comes, from the output topics."""

import sys
from dataclasses import dataclass

from confluent_kafka import Message
from google.protobuf.message import DecodeError

from fleetcap.consuming import Reading, read_topics
from fleetcap.settings import Settings
from fleetcap.show.filtering import Filter
from fleetcap.show.printer import Printer, printer
from fleetcap_proto import topics
from fleetcap_proto.v1 import connection_pb2, event_pb2, exchange_pb2

NAMES = {
    "exchanges": topics.EXCHANGES,
    "events": topics.EVENTS,
    "connections": topics.CONNECTIONS,
    "deadletter": topics.DEADLETTER,
}


@dataclass(frozen=True, slots=True)
class Options:
    """What to show and when to stop; `count` 0 and `idle_s` None: never."""

    topics: tuple[str, ...]
    form: str
    beginning: bool
    count: int
    idle_s: float | None
    only: Filter


def run(settings: Settings, options: Options) -> int:
    """Show records until told to stop; returns the exit code."""
    show = printer(options.form, sys.stdout)
    names = [settings.topic_prefix + NAMES[name] for name in options.topics]
    reading = Reading(names, options.beginning, follow=True, idle_s=options.idle_s)
    shown = 0
    for message in read_topics(settings, reading):
        shown += _show(show, message, settings.topic_prefix, options.only)
        if options.count and shown >= options.count:
            break
    return 0


def _show(show: Printer, message: Message, prefix: str, only: Filter) -> bool:
    value = message.value()
    value = value if isinstance(value, bytes) else b""
    try:
        return _show_as((message.topic() or "").removeprefix(prefix), show, message, value, only)
    except DecodeError:
        show.error("it is not what its topic holds", _place(message))
        return True


def _show_as(topic: str, show: Printer, message: Message, value: bytes, only: Filter) -> bool:
    match topic:
        case topics.EXCHANGES:
            exchange = exchange_pb2.Exchange.FromString(value)
            if wanted := only.exchange(exchange):
                show.exchange(exchange)
        case topics.EVENTS:
            event = event_pb2.LogEntry.FromString(value).event_payload
            if wanted := only.event(event):
                show.event(event)
        case topics.CONNECTIONS:
            record = connection_pb2.ConnectionRecord.FromString(value)
            if wanted := only.connection(record):
                show.connection(record)
        case _:
            wanted = True
            show.error(_header(message, "fleetcap-error"), _text(message.key()))
    return wanted


def _header(message: Message, name: str) -> str:
    return next((_text(item[1]) for item in message.headers() or () if item[0] == name), "no reason is given")


def _text(value: str | bytes | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value or ""


def _place(message: Message) -> str:
    return f"{message.topic()}-{message.partition()}-{message.offset()}"
