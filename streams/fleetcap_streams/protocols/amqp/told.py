"""What a frame says of itself, as attributes, and these as a line of text. Knows nothing of other frames."""

from typing import Final

import msgspec

from fleetcap_streams.protocols.amqp import wire
from fleetcap_streams.protocols.amqp.fields import MalformedError, Reader, ShortError
from fleetcap_streams.protocols.amqp.methods import Method, name_of
from fleetcap_streams.protocols.contract import Attribute
from fleetcap_streams.protocols.framing import Frame
from fleetcap_streams.protocols.shown import BODY_CUT, LEFT_OUT, TRUNCATED

UNREADABLE: Final = "unreadable"
PROPERTIES: Final = wire.BEFORE + wire.CONTENT_HEADER - 2  # where a content's header has them
_SUCCESS: Final = 200


def of_method(frame: Frame, method: Method) -> tuple[dict[str, Attribute], list[str]]:
    """A method's name, channel and arguments, and the notes that reading them makes."""
    reader = _reader(frame, wire.FIRST_METHOD)
    notes = []
    try:
        reader.arguments(method.arguments)
    except (ShortError, MalformedError):
        notes.append(_broken(frame))
    if reader.hid:
        notes.append(LEFT_OUT)
    told = reader.told
    _tell_error(told)
    return {"operation": method.name, "channel": wire.head(frame.data).channel, **told}, notes


def of_properties(frame: Frame) -> tuple[dict[str, Attribute], list[str]]:
    """The properties in a content's header, and the notes that reading them makes."""
    reader = _reader(frame, PROPERTIES)
    try:
        reader.properties()
    except (ShortError, MalformedError):
        return reader.told, [_broken(frame)]
    return reader.told, []


def _reader(frame: Frame, begin: int) -> Reader:
    return Reader(frame.data, begin, len(frame.data) - (1 if frame.whole else 0))


def _broken(frame: Frame) -> str:
    return TRUNCATED if frame.missing else BODY_CUT if frame.cut else UNREADABLE


def _tell_error(told: dict[str, Attribute]) -> None:
    """What closes a channel or a connection, or brings a content back, says why."""
    code = told.get("reply_code")
    if isinstance(code, int) and code != _SUCCESS:
        told["error_code"] = code
        told["error"] = told.get("reply_text", "")
    class_id, method_id = told.pop("class_id", 0), told.pop("method_id", 0)
    if class_id and isinstance(class_id, int) and isinstance(method_id, int):
        told["failing_method"] = name_of(class_id, method_id)


def line(told: dict[str, Attribute]) -> bytes:
    """A method as text: its name, and what it says that is not empty."""
    words = [str(told["operation"])]
    for name, value in told.items():
        if name == "operation" or value is False or value == "":
            continue
        shown = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        words.append(f"{name}={shown}")
    return " ".join(words).encode()
