"""What is told of a request or a response: attributes, a line of text, and what is odd. Payloads are never among it."""

from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Final

from fleetcap_streams.protocols.contract import Attribute
from fleetcap_streams.protocols.framing import Frame
from fleetcap_streams.protocols.kafka.apis import APIS, Api
from fleetcap_streams.protocols.kafka.error_names import name_of
from fleetcap_streams.protocols.kafka.layout import Plan, request_plan, response_plan
from fleetcap_streams.protocols.kafka.reading import MOST_LEFT, Found, MalformedError, Reader, ShortError
from fleetcap_streams.protocols.kafka.wire import PREFIX, RESPONSE, Request, size_of
from fleetcap_streams.protocols.remembered import Remembered
from fleetcap_streams.protocols.shown import VALUES, text

BYTES_LEFT: Final = "bytes-left"  # behind all that this version has; brokers pass over them, and some clients send them
COUNTED_PARTLY: Final = "counted-partly"  # the frame was cut, and what is counted stands in it
RECORDS_UNCOUNTED: Final = "records-uncounted"  # old messages are compressed together: how many is not told outside
UNREADABLE: Final = "unreadable"  # a frame whose body is not what its header says
VERSION_UNKNOWN: Final = "version-unknown"  # a newer one than those that are known, or a new API: the header alone was read


@dataclass(slots=True)
class Told:
    """What one frame says.

    `whole`: all of its body was read and fits, to the last byte; `broken`: it does not fit; `left`: so many bytes are behind it.
    """

    line: str
    attributes: dict[str, Attribute]
    notes: list[str] = field(default_factory=list)
    found: Found = field(default_factory=Found)
    whole: bool = False
    broken: bool = False
    left: int = 0

    @property
    def likely(self) -> bool:
        """Whether what has a request's header is one: a response of Produce may look so, but for what follows."""
        return not self.broken and self.left <= MOST_LEFT


def api_of(key: int) -> Api | None:
    """The API of that key, if it is known."""
    return APIS[key] if 0 <= key < len(APIS) else None


def request(header: Request, frame: Frame, topics: Remembered[bytes]) -> Told:
    """A request, by its header and as much of its body as is read."""
    told = _begin(header.key, header.version, header.correlation)
    if header.client is not None:
        told.attributes["client_id"] = text(header.client)
    if header.known:
        _read(told, request_plan(header.key, header.version), frame, header.body)
        _tell(told, topics)
    return told


def response(key: int, version: int, correlation: int, frame: Frame, topics: Remembered[bytes]) -> Told:
    """A response to a request of that API and version."""
    told = _begin(key, version, correlation)
    api = api_of(key)
    if api is not None and version <= api.newest:
        plan = response_plan(key, version)
        _read(told, plan, frame, RESPONSE, header_tags=api.response_header(version) > 0)
        _tell(told, topics)
    return told


def unknown_response(correlation: int) -> Told:
    """A response to a request that was not seen: all it says of itself is whose it is."""
    return Told(f"response {correlation}", {"correlation_id": correlation})


def _begin(key: int, version: int, correlation: int) -> Told:
    api = api_of(key)
    known = api is not None and version <= api.newest
    name = api.name if api else f"Api{key}"
    attributes: dict[str, Attribute] = {"api_key": key, "api_name": name, "api_version": version, "correlation_id": correlation}
    return Told(f"{name} v{version}", attributes, [] if known else [VERSION_UNKNOWN])


def _read(told: Told, plan: Plan, frame: Frame, at: int, *, header_tags: bool = False) -> None:
    reader = Reader(frame.data, at, PREFIX + size_of(frame.data, 0), flexible=plan.flexible)
    told.found = reader.found
    try:
        if header_tags:
            reader.tags()
        reader.read(plan)
        told.left = reader.left if plan.whole else 0
        told.whole = plan.whole and frame.whole and not told.left
        if told.left:
            told.notes.append(BYTES_LEFT)
    except MalformedError:
        told.broken = True
        told.notes.append(UNREADABLE)
    except ShortError:
        if plan.whole:
            told.notes.append(COUNTED_PARTLY)
    if not told.found.records_sure:
        told.notes.append(RECORDS_UNCOUNTED)


def _tell(told: Told, topics: Remembered[bytes]) -> None:
    found, attributes = told.found, told.attributes
    if found.group:
        attributes["group"] = text(found.group)
    if found.acks is not None:
        attributes["acks"] = found.acks
    if found.all_topics:
        attributes["all_topics"] = True
    elif found.topic_count is not None:
        attributes["topics"] = [_name(*each, topics) for each in found.topics[:VALUES]]
        attributes["topic_count"] = found.topic_count
    if found.partitions:
        attributes["partitions"] = found.partitions
    if found.records_there:
        attributes["records"] = found.records
    if found.error:
        attributes["error_code"] = found.error
        if name_of(found.error):
            attributes["error_name"] = name_of(found.error)
        attributes["errors"] = found.errors
    told.line = " ".join((told.line, *_words(attributes)))


def _words(attributes: dict[str, Attribute]) -> list[str]:
    """What of the attributes a reader wants to see at a glance."""
    words = []
    shown = {name: attributes.get(name) for name in ("group", "topics", "partitions", "records")}
    shown["error"] = attributes.get("error_name", attributes.get("error_code"))
    for name, value in shown.items():
        told = ",".join(map(str, value)) if isinstance(value, list) else value
        if told is not None and told != "":
            words.append(f"{name}={told}")
    return words


def _name(name: bytes, topic: bytes, topics: Remembered[bytes]) -> str:
    """A topic's name, or its id as Kafka prints it where the name was not seen on this connection."""
    if name or not topic:
        return text(name)
    known = topics.get(printed_id(topic))
    return printed_id(topic) if known is None else text(known)


def printed_id(topic: bytes) -> str:
    """A topic's id as Kafka's tools print it."""
    return urlsafe_b64encode(topic).rstrip(b"=").decode()
