"""Methods, contents and answers: from frames to messages."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from fleetcap_streams.protocols.amqp import told, wire
from fleetcap_streams.protocols.amqp.channels import NO_CONFIRMS, Asked, Channel, Paired
from fleetcap_streams.protocols.amqp.contents import NAME, UNKNOWN_SIZE, Content, room
from fleetcap_streams.protocols.amqp.methods import METHODS, Method
from fleetcap_streams.protocols.contract import Attribute, Direction, End, Limits, Message, Role
from fleetcap_streams.protocols.framing import DesyncError, Frame, Framing, Step
from fleetcap_streams.protocols.shown import AFTER_GAP, BODY_CUT, TRUNCATED

_CHANNELS: Final = 2048  # remembered at once: brokers allow 2047 unless told otherwise
_LEAST_FRAME_MAX: Final = 4096  # what peers agree to is never less (the specification's frame-min-size)
_CONFIRMATIONS: Final = frozenset(("basic.ack", "basic.nack"))
_CONTENT: Final = "content"  # the operation of one whose method was not seen


class TalkState(msgspec.Struct, array_like=True):
    """What is remembered of a connection."""

    channels: dict[int, Channel] = {}
    lossy: bool = False  # something was not seen, so a channel that is not known may have been there before
    count: int = 0
    most: int = wire.LARGEST  # bytes of a payload, as the peers agreed
    held: int = 0  # bytes of all contents that are coming in
    unconfirmed: int = 0  # at most; what is no longer waited for is taken off late


class Amqp(Framing):
    """One connection's talk."""

    State = TalkState
    state: TalkState

    def __init__(self, limits: Limits, state: Any = None) -> None:
        self.state = TalkState() if state is None else state
        self._limits = limits

    @property
    def exchanges(self) -> int:
        """See `Framing`."""
        return self.state.count

    def find(self, direction: Direction, data: bytes, at: int, *, edge: bool) -> tuple[int, bool]:  # noqa: ARG002 - the contract's
        """A method, a content's header or a heartbeat, whole and with all that has to be in it."""
        return wire.find(data, at)

    def parse(self, direction: Direction, data: bytes, at: int) -> Step:  # noqa: ARG002 - the contract's
        """See `Framing`."""
        return wire.frame(data, at, self.state.most)

    def lost(self, direction: Direction, missing: int, time_ns: int) -> Sequence[Message]:
        """Contents that are coming in have ended, or so it has to be taken."""
        messages = self._break_off(direction, time_ns)
        self.state.lossy = True
        for channel in self.state.channels.values():
            channel.lost(direction, missing)
        self.state.unconfirmed = 0
        return messages

    def ended(self, direction: Direction, end: End, time_ns: int) -> Sequence[Message]:
        """Idle: both sides stand at the same place again."""
        if end is not End.IDLE:
            return self._break_off(direction, time_ns)
        for channel in self.state.channels.values():
            for turns in channel.turns:
                turns.settle()
        return ()

    def _break_off(self, direction: Direction, time_ns: int) -> list[Message]:
        return [
            message
            for channel in self.state.channels.values()
            for message in self._finish(channel, direction, time_ns, whole=False)
        ]

    def stitch(self, direction: Direction, frame: Frame) -> Sequence[Message]:
        """See `Framing`."""
        data = frame.data
        if data[:1] == b"A":
            return self._protocol_header(direction, frame)
        if frame.whole and data[-1] != wire.END:
            raise DesyncError
        if len(data) < wire.FIRST_METHOD and data != wire.WHOLE_HEARTBEAT and data[:1] != bytes([wire.BODY]):
            return ()  # broken off before it said what it is
        if len(data) < wire.BEFORE:
            return ()
        match wire.head(data).kind:
            case wire.METHOD:
                return self._method(direction, frame)
            case wire.HEADER:
                return self._header(direction, frame)
            case wire.BODY:
                return self._body(direction, frame)
        return (self._plain(direction, frame, {"operation": "heartbeat"}, Paired()),)

    def _protocol_header(self, direction: Direction, frame: Frame) -> Sequence[Message]:
        said: dict[str, Attribute] = {"operation": "protocol-header", "version": wire.PROTOCOL_HEADERS.get(frame.data, "")}
        return (self._plain(direction, frame, said, Paired()),)

    def _channel(self, number: int, *, opens: bool = False) -> Channel:
        """The channel of that number, as it has been, or anew; the one that was used first gives way where there are too many."""
        channels = self.state.channels
        channel = None if opens else channels.get(number)
        if channel is None:
            channels.pop(number, None)
            while channels and len(channels) >= min(_CHANNELS, self._limits.pending):
                self._forget(next(iter(channels)))
                self.state.lossy = True
            channel = channels[number] = Channel()
            if self.state.lossy and not opens:
                channel.doubt()
        return channel

    def _forget(self, number: int) -> None:
        gone = self.state.channels.pop(number, None)
        for content in gone.contents if gone is not None else ():
            self.state.held -= 0 if content is None else content.held

    def _method(self, direction: Direction, frame: Frame) -> Sequence[Message]:
        number = wire.head(frame.data).channel
        method = METHODS[wire.ids(frame.data)]
        messages: list[Message] = []
        if number in self.state.channels:
            messages += self._finish(self.state.channels[number], direction, frame.start_ns, whole=False)
        channel = self._channel(number, opens=method.name == "channel.open")
        said, notes = told.of_method(frame, method)
        if method.content:
            paired = self._brings(channel, direction, method)
            notes += [AFTER_GAP] if paired.doubtful else []
            content = Content(said, paired.role, paired.exchange, frame.start_ns, missing=frame.missing, notes=notes)
            channel.contents[direction] = content
            return messages
        for paired, more in self._pair(channel, direction, method, said):
            message = self._plain(direction, frame, said, paired, notes)
            message.attributes = {**said, **more}
            messages.append(message)
        self._heed(number, channel, direction, method, said)
        return messages

    def _pair(
        self, channel: Channel, direction: Direction, method: Method, said: dict[str, Attribute]
    ) -> list[tuple[Paired, dict[str, Attribute]]]:
        """The parts that a method plays, each with what is to be told of it.

        It plays several where it confirms several contents, and where it closes the channel because another method failed.
        """
        if method.answers:
            return [(channel.answer(direction, method.answers), {})]
        if method.asks and not said.get("no_wait"):
            asks: tuple[Paired, dict[str, Attribute]] = (self._ask(channel, direction, method.name), {})
            failed = said.get("failing_method")
            ends = channel.answer(direction, failed) if isinstance(failed, str) else Paired()
            return [(ends, {}), asks] if ends.exchange else [asks]
        tag = said.get("delivery_tag")
        if method.name in _CONFIRMATIONS and direction is not channel.opener and isinstance(tag, int):
            found = channel.confirmed(tag, multiple=bool(said.get("multiple")))
            if found:
                return [(Paired(Role.RESPONSE, exchange), {"confirms": each}) for each, exchange in found]
        return [(Paired(), {})]

    def _ask(self, channel: Channel, direction: Direction, operation: str) -> Paired:
        self.state.count += 1
        channel.ask(direction, Asked(self.state.count, operation), self._limits.pending)
        return Paired(Role.REQUEST, self.state.count)

    def _heed(self, number: int, channel: Channel, direction: Direction, method: Method, said: dict[str, Attribute]) -> None:
        """What methods change for what comes after them."""
        match method.name:
            case "channel.open":
                channel.opener = direction
            case "channel.close-ok":
                self._forget(number)
            case "confirm.select":
                channel.confirm()
            case "connection.tune-ok" if said.get("frame_max"):
                agreed = said["frame_max"]
                if isinstance(agreed, int):
                    self.state.most = min(max(agreed, _LEAST_FRAME_MAX) - wire.AROUND, wire.LARGEST)

    def _brings(self, channel: Channel, direction: Direction, method: Method) -> Paired:
        """The part of a method with content."""
        if method.answers:
            return channel.answer(direction, method.answers)
        if method.name == "basic.publish" and channel.published != NO_CONFIRMS:
            return self._publish(channel)
        return Paired()

    def _publish(self, channel: Channel) -> Paired:
        """A content that will be confirmed, unless there are too many of them."""
        state = self.state
        if state.unconfirmed >= self._limits.pending:
            state.unconfirmed = sum(len(each.unconfirmed) for each in state.channels.values())
        if state.unconfirmed >= self._limits.pending:
            channel.stop_confirms()
            return Paired()
        state.count += 1
        state.unconfirmed += 1
        channel.publish(state.count)
        return Paired(Role.REQUEST, state.count)

    def _header(self, direction: Direction, frame: Frame) -> Sequence[Message]:
        number = wire.head(frame.data).channel
        channel = self._channel(number)
        messages: list[Message] = []
        content = channel.contents[direction]
        if content is not None and content.size != UNKNOWN_SIZE:
            messages += self._finish(channel, direction, frame.start_ns, whole=False)
            content = None
        if content is None:
            said: dict[str, Attribute] = {"operation": _CONTENT, "channel": number}
            content = Content(said, Role.SINGLE, 0, frame.start_ns, notes=[AFTER_GAP])
            channel.contents[direction] = content
        self.state.held -= content.held
        content.add_header(frame, self._limits.head - self.state.held)
        self.state.held += content.held
        if content.over:
            messages += self._finish(channel, direction, frame.end_ns, whole=True)
        return messages

    def _body(self, direction: Direction, frame: Frame) -> Sequence[Message]:
        channel = self.state.channels.get(wire.head(frame.data).channel)
        content = None if channel is None else channel.contents[direction]
        if channel is None or content is None:
            return ()  # of a content whose beginning was lost
        held = content.held
        content.add_body(frame, room(self._limits, self.state.held, content))
        self.state.held += content.held - held
        return self._finish(channel, direction, frame.end_ns, whole=True) if content.over else ()

    def _finish(self, channel: Channel, direction: Direction, time_ns: int, *, whole: bool) -> list[Message]:
        """Put out the content that is open in a direction; `whole`: its last frame is there."""
        content = channel.contents[direction]
        if content is None:
            return []
        channel.contents[direction] = None
        self.state.held -= content.held
        return [content.message(direction, time_ns, whole=whole)]

    def _plain(
        self, direction: Direction, frame: Frame, said: dict[str, Attribute], paired: Paired, notes: Sequence[str] = ()
    ) -> Message:
        """A message without content."""
        shown = told.line(said)
        marks = {
            **dict.fromkeys(notes, True),
            TRUNCATED: frame.missing > 0,
            BODY_CUT: BODY_CUT in notes or len(shown) > self._limits.body,
            AFTER_GAP: paired.doubtful,
        }
        return Message(
            NAME,
            direction,
            paired.role,
            paired.exchange,
            frame.start_ns,
            frame.end_ns,
            body=shown[: self._limits.body],
            body_size=frame.size,
            encoded_size=frame.size,
            complete=not frame.missing and not paired.doubtful and told.UNREADABLE not in notes,
            missing_bytes=frame.missing,
            notes=tuple(mark for mark, holds in marks.items() if holds),
            attributes=said,
        )
