"""How the bodies of requests and responses are laid out, version by version, and which of their fields mean something to us.

Source: the message definitions of Apache Kafka 0.8 to 4.1. It knows nothing of how they are read; reading.py does that.
"""

from enum import Enum
from functools import cache
from typing import Final, NamedTuple

from fleetcap_streams.protocols.kafka.apis import API_VERSIONS, APIS, FETCH, GROUPS, METADATA, NEVER, PRODUCE, SASL_HANDSHAKE


class Kind(Enum):
    """What a field is. Strings, arrays and bytes are compact in flexible versions."""

    FIXED = "fixed"  # so many bytes
    TEXT = "text"
    INTS = "ints"  # an array of INT32
    ARRAY = "array"
    TAGS = "tags"
    RECORDS = "records"
    # Those below are one of those above, and told.
    ACKS = "acks"
    ERROR = "error"
    GROUP = "group"
    TOPIC = "topic"
    TOPIC_ID = "topic_id"
    ID_AND_TOPIC = "id_and_topic"
    TOPIC_AND_ID = "topic_and_id"
    TOPICS = "topics"
    PARTITIONS = "partitions"


class Field(NamedTuple):
    """A field that versions from `since` to `until` have; `size` is of FIXED, `of` stands in an array's elements."""

    kind: Kind
    since: int = 0
    until: int = NEVER
    size: int = 0
    of: "tuple[Field, ...]" = ()


def _fixed(size: int, since: int = 0, until: int = NEVER) -> Field:
    return Field(Kind.FIXED, since, until, size)


def _array(kind: Kind, *of: Field, since: int = 0) -> Field:
    return Field(kind, since, of=of)


_ERROR: Final = Field(Kind.ERROR)
_TEXT: Final = Field(Kind.TEXT)
_INTS: Final = Field(Kind.INTS)
_NAMED: Final = (Field(Kind.TOPIC, until=12), Field(Kind.TOPIC_ID, 13))  # Produce and Fetch (KIP-516)

_PRODUCE_REQUEST: Final = (
    Field(Kind.TEXT, 3),
    Field(Kind.ACKS),
    _fixed(4),
    _array(Kind.TOPICS, *_NAMED, _array(Kind.PARTITIONS, _fixed(4), Field(Kind.RECORDS))),
)
_PRODUCE_RESPONSE: Final = (
    _array(
        Kind.TOPICS,
        *_NAMED,
        _array(
            Kind.PARTITIONS,
            _fixed(4),
            _ERROR,
            _fixed(8),
            _fixed(8, 2),
            _fixed(8, 5),
            _array(Kind.ARRAY, _fixed(4), _TEXT, since=8),
            Field(Kind.TEXT, 8),
        ),
    ),
    _fixed(4, 1),
)
_FETCH_REQUEST: Final = (
    _fixed(4, until=14),
    _fixed(8),
    _fixed(4, 3),
    _fixed(1, 4),
    _fixed(8, 7),
    _array(
        Kind.TOPICS,
        *_NAMED,
        _array(Kind.PARTITIONS, _fixed(4), _fixed(4, 9), _fixed(8), _fixed(4, 12), _fixed(8, 5), _fixed(4)),
    ),
    _array(Kind.ARRAY, Field(Kind.TEXT, until=12), _fixed(16, 13), _INTS, since=7),
    Field(Kind.TEXT, 11),
)
_FETCH_RESPONSE: Final = (
    _fixed(4, 1),
    Field(Kind.ERROR, 7),
    _fixed(4, 7),
    _array(
        Kind.TOPICS,
        *_NAMED,
        _array(
            Kind.PARTITIONS,
            _fixed(4),
            _ERROR,
            _fixed(8),
            _fixed(8, 4),
            _fixed(8, 5),
            _array(Kind.ARRAY, _fixed(16), since=4),
            _fixed(4, 11),
            Field(Kind.RECORDS),
        ),
    ),
)
_METADATA_REQUEST: Final = (
    _array(Kind.TOPICS, Field(Kind.TOPIC, until=9), Field(Kind.ID_AND_TOPIC, 10)),
    _fixed(1, 4),
    _fixed(1, 8, 10),
    _fixed(1, 8),
)
_METADATA_RESPONSE: Final = (
    _fixed(4, 3),
    _array(Kind.ARRAY, _fixed(4), _TEXT, _fixed(4), Field(Kind.TEXT, 1)),
    Field(Kind.TEXT, 2),
    _fixed(4, 1),
    _array(
        Kind.TOPICS,
        _ERROR,
        Field(Kind.TOPIC, until=9),
        Field(Kind.TOPIC_AND_ID, 10),
        _fixed(1, 1),
        _array(Kind.PARTITIONS, _ERROR, _fixed(8), _fixed(4, 7), _INTS, _INTS, Field(Kind.INTS, 5)),
        _fixed(4, 8),
    ),
    _fixed(4, 8, 10),
    Field(Kind.ERROR, 13),
)
_SASL_HANDSHAKE_REQUEST: Final = (_TEXT,)
_API_VERSIONS_REQUEST: Final = (Field(Kind.TEXT, 3), Field(Kind.TEXT, 3))
_REQUESTS: Final = {
    SASL_HANDSHAKE: _SASL_HANDSHAKE_REQUEST,
    API_VERSIONS: _API_VERSIONS_REQUEST,
    PRODUCE: _PRODUCE_REQUEST,
    FETCH: _FETCH_REQUEST,
    METADATA: _METADATA_REQUEST,
}
_RESPONSES: Final = {PRODUCE: _PRODUCE_RESPONSE, FETCH: _FETCH_RESPONSE, METADATA: _METADATA_RESPONSE}


class Step(NamedTuple):
    """A field of one version: what has to be read next."""

    kind: Kind
    size: int = 0
    of: "tuple[Step, ...]" = ()


class Plan(NamedTuple):
    """The fields of a body in their order. `whole`: with them it ends; else these are its first ones."""

    steps: tuple[Step, ...]
    flexible: bool
    whole: bool


@cache
def request_plan(key: int, version: int) -> Plan:
    """What a request of a known API and version holds, as far as it is read."""
    if key in _REQUESTS:
        return _plan(_REQUESTS[key], key, version)
    if version <= GROUPS.get(key, -1):
        return Plan((Step(Kind.GROUP),), _flexible(key, version), whole=False)
    return Plan((), _flexible(key, version), whole=False)


@cache
def response_plan(key: int, version: int) -> Plan:
    """The same of its response."""
    if key in _RESPONSES:
        return _plan(_RESPONSES[key], key, version)
    place = APIS[key].error_place(version)
    steps = () if place is None else (Step(Kind.FIXED, place), Step(Kind.ERROR))
    return Plan(steps, _flexible(key, version), whole=False)


def _flexible(key: int, version: int) -> bool:
    return version >= APIS[key].flexible


def _plan(fields: tuple[Field, ...], key: int, version: int) -> Plan:
    flexible = _flexible(key, version)
    return Plan(_steps(fields, version, flexible=flexible), flexible, whole=True)


def _steps(fields: tuple[Field, ...], version: int, *, flexible: bool) -> tuple[Step, ...]:
    """The fields that a version has; fixed ones that follow each other are one."""
    steps: list[Step] = []
    for field in fields:
        if not field.since <= version <= field.until:
            continue
        step = Step(field.kind, field.size, _steps(field.of, version, flexible=flexible) if field.of else ())
        if field.kind is Kind.FIXED and steps and steps[-1].kind is Kind.FIXED:
            step = Step(Kind.FIXED, steps.pop().size + field.size)
        steps.append(step)
    if flexible:
        steps.append(Step(Kind.TAGS))
    return tuple(steps)
