"""Queries and responses to messages. They are paired by id and question, since a server may answer in any order (RFC 7766)."""

from collections.abc import Sequence
from typing import Final

import dns.edns
import dns.exception
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import msgspec

from fleetcap_streams.protocols.contract import Attribute, Direction, Limits, Message, Role, Score
from fleetcap_streams.protocols.dns.wire import HEADER, PREFIX, read_head
from fleetcap_streams.protocols.framing import INVALID, MORE, Frame, Framing, State, Step
from fleetcap_streams.protocols.shown import AFTER_GAP, BODY_CUT, TRUNCATED, VALUE_SIZE, text

NAME: Final = "dns"
UNREADABLE: Final = "unreadable"


class Asked(msgspec.Struct, array_like=True):
    """A query that waits."""

    number: int
    question: str
    doubtful: bool = False  # bytes were lost since


class DnsState(msgspec.Struct, array_like=True):
    """All that is remembered."""

    waiting: dict[int, Asked] = {}
    count: int = 0


class Dns(Framing):
    """Needs no idea of who is the client: each message says which it is."""

    State = DnsState
    state: DnsState

    def __init__(self, limits: Limits, state: DnsState | None = None) -> None:
        self.state = state or DnsState()
        self._limits = limits

    @property
    def exchanges(self) -> int:
        """See `Framing`."""
        return self.state.count

    def find(self, direction: Direction, data: bytes, at: int, *, edge: bool) -> tuple[int, bool]:  # noqa: ARG002 - the contract's
        """A question of a known class at the right place is no accident."""
        for place in range(at, len(data)):
            head = read_head(data, place)
            if head is not None and head.score is not Score.MAYBE:
                return place, head.score is Score.YES
        return len(data), False

    def parse(self, direction: Direction, data: bytes, at: int) -> Step:  # noqa: ARG002 - the contract's
        """See `Framing`."""
        head = read_head(data, at)
        if head is None:
            return INVALID
        if head.score is Score.MORE and not head.size:
            return MORE
        return State.DONE, head.size

    def stitch(self, direction: Direction, frame: Frame) -> Sequence[Message]:
        """See `Framing`."""
        response = len(frame.data) >= PREFIX + HEADER and frame.data[4] >= 0x80
        message = Message(
            NAME,
            direction,
            Role.RESPONSE if response else Role.REQUEST,
            0,
            frame.start_ns,
            frame.end_ns,
            body_size=frame.size,
            encoded_size=frame.size,
            complete=frame.whole,
            missing_bytes=frame.missing,
            notes=(TRUNCATED,) if frame.missing else (BODY_CUT,) if frame.cut else (),
        )
        question = self._describe(message, frame) if frame.whole else ""
        self._pair(message, int.from_bytes(frame.data[2:4]), question)
        return (message,)

    def _describe(self, message: Message, frame: Frame) -> str:
        """Fill in what the message says; its question."""
        try:
            said = dns.message.from_wire(frame.data[PREFIX:], ignore_trailing=True)
            shown = "\n".join(_lines(said)).encode("utf-8", "replace")
            message.attributes = _attributes(said)
        except (dns.exception.DNSException, ValueError):
            message.complete = False
            message.notes += (UNREADABLE,)
            return ""
        message.body = shown[: self._limits.body]
        if len(shown) > self._limits.body:
            message.notes += (BODY_CUT,)
        return " ".join(str(each) for each in said.question)[:VALUE_SIZE].lower()

    def _pair(self, message: Message, number: int, question: str) -> None:
        state = self.state
        if message.role is Role.REQUEST:
            state.count += 1
            message.exchange = state.count
            if len(state.waiting) < self._limits.pending:
                state.waiting[number] = Asked(state.count, question)
            return
        asked = state.waiting.get(number)
        if asked is None or (question and asked.question and question != asked.question):
            return
        del state.waiting[number]
        message.exchange = asked.number
        if asked.doubtful:
            message.complete = False
            message.notes += (AFTER_GAP,)

    def lost(self, direction: Direction, missing: int, time_ns: int) -> Sequence[Message]:  # noqa: ARG002 - the contract's
        """A response may have been lost, and its id used again by a query that was lost too."""
        for asked in self.state.waiting.values():
            asked.doubtful = True
        return ()


def _lines(said: dns.message.Message) -> list[str]:
    if not said.flags & 0x8000:
        return [str(question) for question in said.question]
    return [line for section in (said.answer, said.authority) for rrset in section for line in rrset.to_text().splitlines()]


def _attributes(said: dns.message.Message) -> dict[str, Attribute]:
    told: dict[str, Attribute] = {"id": said.id, "opcode": dns.opcode.to_text(said.opcode())}
    for question in said.question[:1]:
        told["name"] = text(question.name.to_text(omit_final_dot=len(question.name) > 1).encode())
        told["type"] = dns.rdatatype.to_text(question.rdtype)
        told["class"] = dns.rdataclass.to_text(question.rdclass)
    if len(said.question) != 1:
        told["questions"] = len(said.question)
    if said.flags & 0x8000:
        told |= _outcome(said)
    return told


def _outcome(said: dns.message.Message) -> dict[str, Attribute]:
    told: dict[str, Attribute] = {"rcode": dns.rcode.to_text(said.rcode())}
    if said.rcode():
        told["error_code"] = int(said.rcode())
    told["rows"] = sum(len(rrset) for rrset in said.answer)
    told["authority"] = sum(len(rrset) for rrset in said.authority)
    told["additional"] = sum(len(rrset) for rrset in said.additional)
    told["authoritative"] = bool(said.flags & 0x0400)
    told["truncated"] = bool(said.flags & 0x0200)
    errors = [option for option in said.options if isinstance(option, dns.edns.EDEOption)]
    if errors:
        told["error"] = f"{int(errors[0].code)} {errors[0].text or ''}".strip()[:VALUE_SIZE]
    return told
