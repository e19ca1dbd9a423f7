"""MySQL's commands, answers and greetings as the messages that are put out."""

from typing import Final

from fleetcap_streams.protocols.contract import Attribute, Message, Role
from fleetcap_streams.protocols.mysql.answers import Answer
from fleetcap_streams.protocols.mysql.handshake import Greeting
from fleetcap_streams.protocols.mysql.state import Packet, SessionState
from fleetcap_streams.protocols.shown import AFTER_GAP, BODY_CUT, LEFT_OUT, TRUNCATED, without_secrets

NAME: Final = "mysql"


def greeting(state: SessionState, found: Greeting, packet: Packet, time_ns: int) -> Message:
    """What the server says first."""
    message = _message(state, packet.start_ns, time_ns, packet.size, packet.missing)
    message.role = Role.SINGLE
    message.direction = state.server
    message.body = found.version
    message.attributes = found.facts()
    return message


def request(state: SessionState, packet: Packet, body: bytes, facts: dict[str, Attribute], time_ns: int) -> Message:
    """A command, with passwords left out of its statement."""
    message = _message(state, packet.start_ns, time_ns, packet.size, packet.missing)
    message.body = without_secrets(body)
    message.attributes = facts
    if message.body != body:
        message.notes = (*message.notes, LEFT_OUT)
    return message


def answer(state: SessionState, number: int, given: Answer, time_ns: int) -> Message:
    """An answer to the command of that number; 0: nobody knows to which."""
    message = _message(state, given.start_ns, time_ns, given.size, given.missing)
    message.role = Role.RESPONSE
    message.direction = state.server
    message.exchange = number
    message.body = bytes(given.body)
    message.attributes = given.facts()
    if given.cut:
        message.notes = (*message.notes, BODY_CUT)
    if state.turns.doubtful:
        message.complete = False
        message.notes = (*message.notes, AFTER_GAP)
    return message


def _message(state: SessionState, start_ns: int, end_ns: int, size: int, missing: int) -> Message:
    return Message(
        NAME,
        state.server.other,
        Role.REQUEST,
        0,
        start_ns,
        end_ns,
        body_size=size,
        encoded_size=size,
        complete=not missing,
        missing_bytes=missing,
        notes=(TRUNCATED,) if missing else (),
    )
