"""The server's half of a PostgreSQL connection: its messages to answers, each with the request it belongs to."""

from collections.abc import Sequence
from struct import Struct
from typing import Final

from fleetcap_streams.protocols.contract import Attribute, Direction, Limits, Message, Role
from fleetcap_streams.protocols.framing import Frame
from fleetcap_streams.protocols.postgresql import wire
from fleetcap_streams.protocols.postgresql.frontend import string
from fleetcap_streams.protocols.postgresql.results import METHODS, SOME, STATUS, Result, fields
from fleetcap_streams.protocols.postgresql.units import DONE_BY, SYNC, UNTIL_READY, TalkState, Unit
from fleetcap_streams.protocols.shown import AFTER_GAP, BODY_CUT, TRUNCATED, text

NAME: Final = "postgresql"
SKIPPED: Final = "skipped"  # never executed, because one before it in the same batch failed
_INT32: Final = Struct(">I")
_COPY: Final = {"G": "in", "H": "out", "W": "both"}
_FINAL: Final = ("FATAL", "PANIC")


class Answers:
    """Works on the state it shares with the client's half."""

    def __init__(self, state: TalkState, limits: Limits) -> None:
        self._state = state
        self._limits = limits

    def take(self, direction: Direction, frame: Frame) -> Sequence[Message]:
        """The server's next message."""
        if frame.size == 1:
            return self._encryption(direction, frame)
        kind, body = chr(frame.data[0]), frame.data[wire.HEADER :]
        if kind in "ANS":
            return self._unasked(kind, body, direction, frame)
        turns = self._state.turns
        turns.heard(sum(unit.number > 0 for unit in turns.waiting) if turns.hopeful else None)
        unit = turns.front()
        if unit is not None and unit.steps == SYNC and kind != "E":
            if kind == "Z":
                turns.done()
            return ()
        result = self._open(unit, frame)
        self._read(kind, body, frame, result)
        if unit is None or unit.steps == SYNC:
            return self._orphan(kind, direction, result, frame.end_ns)
        self._describe(unit, kind, body, result)
        return self._advance(unit, kind, direction, result, frame.end_ns)

    def copied(self, size: int) -> None:
        """The client sent so many bytes of a COPY."""
        unit = self._state.turns.front()
        if unit is not None and unit.result is not None:
            unit.result.copy_bytes += size

    def damaged(self, missing: int) -> None:
        """Bytes of the answer that is coming in are lost."""
        unit = self._state.turns.front()
        for result in (unit.result if unit is not None else None, self._state.orphan):
            if result is not None:
                result.missing += max(missing, 1)

    def given_up(self, units: Sequence[Unit], direction: Direction, time_ns: int) -> list[Message]:
        """These are not answered any more: what came of their answers is put out as incomplete."""
        messages = []
        orphan, self._state.orphan = self._state.orphan, None
        for number, result in [(0, orphan), *((unit.number, unit.result) for unit in units)]:
            if result is not None:
                result.missing = result.missing or 1
                messages.append(self._message(direction, number, result, time_ns))
        return messages

    def skipped(self, unit: Unit, direction: Direction, time_ns: int) -> Message:
        """The answer that is never sent."""
        message = self._message(direction, unit.number, Result(time_ns), time_ns)
        message.notes = (*message.notes, SKIPPED)
        message.attributes = {"skipped": True}
        return message

    def _open(self, unit: Unit | None, frame: Frame) -> Result:
        if unit is None or unit.steps == SYNC:
            result = self._state.orphan = self._state.orphan or Result(frame.start_ns)
        else:
            if unit.result is None:
                unit.result = Result(frame.start_ns, columns=unit.columns, binary=unit.binary)
            result = unit.result
        result.size += frame.size
        result.missing += frame.missing
        return result

    def _read(self, kind: str, body: bytes, frame: Frame, result: Result) -> None:
        """Take in what the message says."""
        limit = self._limits.body
        match kind:
            case "D":
                result.row(body, limit)
            case "T":
                result.describe(body, limit)
            case "C":
                result.tag(body, limit)
            case "E":
                result.fail(fields(body), limit)
            case "Z":
                result.status = STATUS.get(body[0] if body else 0, "")
            case "G" | "H" | "W":
                result.copy = _COPY[kind]
            case "d":
                result.copy_bytes += frame.size - wire.HEADER
                result.show(body.removesuffix(b"\n"), limit)
            case "s":
                result.suspended = True
            case "K" | "R" if len(body) >= 4:
                self._startup(kind, body, result)

    def _startup(self, kind: str, body: bytes, result: Result) -> None:
        """The process that serves, or which way of authentication it asks for; nothing else of them is read."""
        if kind == "K":
            result.process = _INT32.unpack_from(body)[0]
            return
        code = _INT32.unpack_from(body)[0]
        if code in METHODS and len(result.methods) < SOME:
            method = METHODS[code]
            result.methods.append(text(string(body, 4)[0].lower()) if method == "sasl" else method)

    def _describe(self, unit: Unit, kind: str, body: bytes, result: Result) -> None:
        """What a Describe tells of a prepared statement serves its later executions."""
        statement = self._state.statements.get(unit.described) if unit.described is not None else None
        if statement is None or kind not in "tT" or "D" not in unit.steps:
            return
        if kind == "T":
            statement.columns = list(result.columns)
        elif not any(statement.types):
            statement.types = [_INT32.unpack_from(body, at)[0] for at in range(2, len(body) - 3, 4)]

    def _orphan(self, kind: str, direction: Direction, result: Result, time_ns: int) -> Sequence[Message]:
        if kind != "Z" and result.error.get("severity") not in _FINAL:
            return ()
        self._state.orphan = None
        return (self._message(direction, 0, result, time_ns),)

    def _advance(self, unit: Unit, kind: str, direction: Direction, result: Result, time_ns: int) -> Sequence[Message]:
        """Go on in what the unit still waits for."""
        step = unit.steps[0]
        if kind == "E":
            if step in UNTIL_READY and result.error.get("severity") not in _FINAL:
                return ()
            self._state.turns.done()
            skipped = () if step in UNTIL_READY else self._skip(direction, time_ns)
            return (self._message(direction, unit.number, result, time_ns), *skipped)
        if ord(kind) in DONE_BY[step]:
            unit.steps = unit.steps[1:]
            if unit.steps:
                return ()
            self._state.turns.done()
            return (self._message(direction, unit.number, result, time_ns),)
        return self._out_of_step(direction, time_ns) if kind == "Z" else ()

    def _skip(self, direction: Direction, time_ns: int) -> list[Message]:
        """After an error the server lets everything pass until a Sync."""
        turns, messages = self._state.turns, []
        while (unit := turns.front()) is not None and unit.steps != SYNC:
            turns.done()
            messages.append(self.skipped(unit, direction, time_ns))
        self._state.skipping = unit is None
        return messages

    def _out_of_step(self, direction: Direction, time_ns: int) -> list[Message]:
        """The server is ready though answers are due: they were lost, as far as the next Sync."""
        turns = self._state.turns
        given_up = []
        while (unit := turns.front()) is not None:
            turns.done()
            given_up.append(unit)
            if unit.steps[0] in "SQU":
                break
        return self.given_up(given_up, direction, time_ns)

    def _encryption(self, direction: Direction, frame: Frame) -> Sequence[Message]:
        state = self._state
        accepted = frame.data != b"N"
        state.encrypted = state.asked_for_encryption if accepted else ""
        state.asked_for_encryption = ""
        unit = state.turns.front()
        if unit is not None:
            state.turns.done()
        state.turns.heard()
        result = Result(frame.start_ns, size=1, body=bytearray(frame.data))
        message = self._message(direction, unit.number if unit is not None else 0, result, frame.end_ns)
        message.attributes = {"accepted": accepted}
        return (message,)

    def _unasked(self, kind: str, body: bytes, direction: Direction, frame: Frame) -> Sequence[Message]:
        """Notifications, notices, parameters: they come at any time, the latter two mostly with an answer."""
        unit = self._state.turns.front()
        waits = unit is not None and unit.steps != SYNC
        if kind != "A" and (waits or self._state.orphan is not None):
            result = self._open(unit, frame)
            self._attach(kind, body, result)
            return ()
        message = self._message(direction, 0, Result(frame.start_ns, size=frame.size, missing=frame.missing), frame.end_ns)
        message.role = Role.SINGLE
        message.attributes, message.body = _unasked_facts(kind, body)
        return (message,)

    def _attach(self, kind: str, body: bytes, result: Result) -> None:
        if kind == "N":
            if len(result.notices) < SOME:
                notice = fields(body)
                result.notices.append(f"{notice.get('severity', '')}: {notice.get('error', '')}")
            return
        name, at = string(body, 0)
        if len(result.parameters) < 2 * SOME:
            result.parameters[text(name)] = text(string(body, at)[0])

    def _message(self, direction: Direction, number: int, result: Result, time_ns: int) -> Message:
        doubtful = self._state.turns.doubtful
        notes = (
            *((BODY_CUT,) if result.cut else ()),
            *((TRUNCATED,) if result.missing else ()),
            *((AFTER_GAP,) if doubtful else ()),
        )
        return Message(
            NAME,
            direction,
            Role.RESPONSE,
            number,
            result.start_ns,
            time_ns,
            body=bytes(result.body),
            body_size=result.size,
            encoded_size=result.size,
            complete=not result.missing and not doubtful,
            missing_bytes=result.missing,
            notes=notes,
            attributes=result.attributes(),
        )


def _unasked_facts(kind: str, body: bytes) -> tuple[dict[str, Attribute], bytes]:
    if kind == "N":
        notice = fields(body)
        notice["notice"] = notice.pop("error", "")
        return {"operation": "notice", **notice}, notice["notice"].encode()
    name, at = string(body, 4 if kind == "A" else 0)
    value = string(body, at)[0]
    if kind == "S":
        return {"operation": "parameter", "parameter": text(name), "value": text(value)}, name + b"=" + value
    process = _INT32.unpack_from(body)[0] if len(body) >= 4 else 0
    return {"operation": "notification", "channel": text(name), "process_id": process}, value
