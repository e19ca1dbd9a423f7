"""Feeds a parser what a tap would have seen of a conversation: whole, in pieces, with holes, cut, taken up elsewhere.

Shared by the tests of all framed protocols. A conversation is what happened, in order, as (direction, bytes).
"""

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import TypeAlias

from fleetcap_streams.protocols.contract import (
    Chunk,
    Direction,
    End,
    Gap,
    Limits,
    Message,
    Parser,
    ProtocolSpec,
    Role,
    SwitchProtocol,
    WrongProtocol,
)

CLIENT = Direction.SENT
SERVER = Direction.RECEIVED
Conversation: TypeAlias = Sequence[tuple[Direction, bytes]]
Happening: TypeAlias = tuple[Direction, Chunk]


@dataclass
class Tap:
    """One connection, and everything its parser has said. The time of a chunk is its number, unless given."""

    spec: ProtocolSpec
    limits: Limits = field(default_factory=Limits)
    messages: list[Message] = field(default_factory=list)
    wrong: bool = False
    switched: SwitchProtocol | None = None
    time_ns: int = 0
    parser: Parser = field(init=False)

    def __post_init__(self) -> None:
        self.parser = self.spec.create(self.limits)

    def see(self, direction: Direction, chunk: Chunk, time_ns: int | None = None) -> list[Message]:
        """Give the parser one chunk, unless it has given up."""
        if self.wrong or self.switched is not None:
            return []
        self.time_ns += 1
        try:
            new = list(self.parser.receive(direction, chunk, self.time_ns if time_ns is None else time_ns))
        except WrongProtocol:
            assert not self.messages, "WrongProtocol after a message"
            self.wrong = True
            return []
        except SwitchProtocol as switch:
            self.switched = switch
            new = list(switch.messages)
        self.messages += new
        return new

    def hear(self, happenings: Iterable[Happening], *, close: bool = False) -> list[Message]:
        """Give the parser all of them, with a time of 0, and the messages of all."""
        for direction, chunk in happenings:
            self.see(direction, chunk, 0)
        if close:
            self.close()
        return self.messages

    def client(self, data: bytes) -> list[Message]:
        return self.see(CLIENT, data)

    def server(self, data: bytes) -> list[Message]:
        return self.see(SERVER, data)

    def close(self, end: End = End.CLOSED) -> list[Message]:
        new = [message for direction in Direction for message in self.see(direction, end, 0)]
        assert not [message for direction in Direction for message in self.see(direction, end, 0)], "ended twice"
        return new

    def move(self) -> None:
        """Go on in another process."""
        self.parser = self.spec.restore(self.limits, self.parser.snapshot())


def decoded(spec: ProtocolSpec, conversation: Conversation, *, joined: bool = False) -> list[Message]:
    """What a tap that saw everything says."""
    return Tap(spec).hear([*(JOINED if joined else ()), *conversation], close=True)


JOINED: Sequence[Happening] = ((CLIENT, Gap(0)), (SERVER, Gap(0)))


def facts(messages: Iterable[Message]) -> list[Message]:
    """Messages without what the cutting into chunks may change: their times."""
    return [replace(message, start_ns=0, end_ns=0) for message in messages]


def chopped(conversation: Iterable[Happening], random: Random, most: int = 40) -> Iterator[Happening]:
    """The same, in pieces of up to so many bytes."""
    for direction, chunk in conversation:
        if not isinstance(chunk, bytes):
            yield direction, chunk
            continue
        at = 0
        while at < len(chunk):
            size = random.randint(1, most)
            yield direction, chunk[at : at + size]
            at += size


def holed(conversation: Conversation, place: int) -> list[Happening]:
    """The same, with one event lost."""
    return [(way, Gap(len(data))) if number == place else (way, data) for number, (way, data) in enumerate(conversation)]


def beheaded(conversation: Conversation, size: int) -> list[Happening]:
    """The same from a certain byte on, as a tap sees it that joined then."""
    rest: list[Happening] = [*JOINED]
    for direction, data in conversation:
        if size < len(data):
            rest.append((direction, data[size:]))
        size = max(size - len(data), 0)
    return rest


def certain(messages: Iterable[Message]) -> list[tuple[Direction, Role, bytes, str]]:
    """What is reported as whole, as it would stand in a set: also the attributes."""
    return [
        (message.direction, message.role, message.body, repr(sorted(message.attributes.items())))
        for message in messages
        if message.complete and UNKNOWN not in message.notes
    ]


UNKNOWN = "statement-unknown"  # such a message does not say what it cannot know


def is_certain(message: Message, role: Role) -> bool:
    return message.role is role and message.complete and UNKNOWN not in message.notes


def pairs(messages: Iterable[Message]) -> list[tuple[bytes, bytes]]:
    """Bodies of requests and their responses, where both are reported as whole."""
    requests = {message.exchange: message for message in messages if is_certain(message, Role.REQUEST)}
    return [
        (requests[message.exchange].body, message.body)
        for message in messages
        if is_certain(message, Role.RESPONSE) and message.exchange in requests
    ]


TRACES = Path(os.environ.get("FLEETCAP_TRACES") or Path(__file__).parents[4] / "shared" / "data" / "deepflow-traces")


def tshark(*arguments: str) -> str:
    """What tshark prints; it has to be there."""
    return subprocess.run(["tshark", *arguments], check=True, capture_output=True, text=True).stdout


def has_tshark() -> bool:
    return shutil.which("tshark") is not None


def connections_of(trace: Path) -> dict[int, list[tuple[Direction, bytes]]]:
    """The conversations of a packet capture by tshark's number; whoever speaks from the higher port is the client."""
    fields = ("tcp.stream", "tcp.srcport", "tcp.dstport", "tcp.payload")
    printed = tshark("-r", str(trace), "-Y", "tcp.len > 0", "-T", "fields", *(word for name in fields for word in ("-e", name)))
    found: dict[int, list[tuple[Direction, bytes]]] = {}
    for line in printed.splitlines():
        stream, source, target, payload = line.split("\t")
        direction = CLIENT if int(source) > int(target) else SERVER
        found.setdefault(int(stream), []).append((direction, bytes.fromhex(payload)))
    return found
