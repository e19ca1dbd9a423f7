"""What tshark and what fleetcap say of one capture, as bags of facts that can be compared.

A fact is one value that one of tshark's fields has somewhere in the capture. A protocol's table says for each field where the
same stands in our JSON. What the two do not agree on is listed in the protocol's table too, with the reason; a difference that
is not listed fails, and so does a listed one that is there no more.
"""

import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from fleetcap.commands.decode import decoded
from fleetcap.inputs.reading import read_records
from fleetcap.inputs.source import Source
from fleetcap_streams.engine.limits import EngineLimits
from fleetcap_streams.engine.values import ExchangeOut, MessageOut
from fleetcap_streams.outputs import json_lines, messages
from fleetcap_streams.protocols.contract import Role

TRACES: Final = Path(__file__).parents[1] / "vectors" / "deepflow-traces"
_SEPARATOR: Final = "\x1e"
Json = dict[str, Any]
Facts = Counter[str]


@dataclass(frozen=True)
class Row:
    """One kind of fact. `fields` are tshark's; where there are several, their values belong together one by one.

    `ours` gives the values of one of our messages; `theirs` makes tshark's value comparable, None: it is none of this kind.
    `distinct`: we say it again where tshark says it once, such as a prepared statement's text with each execution.
    """

    fields: tuple[str, ...]
    ours: Callable[[Json], Iterable[str]]
    theirs: Callable[[str], str | None] = str
    distinct: bool = False

    @property
    def name(self) -> str:
        """How differences name it."""
        return "+".join(self.fields)


@dataclass(frozen=True)
class Difference:
    """What one says of a capture and the other does not; both may hold several times the same."""

    capture: str
    row: str
    why: str
    only_theirs: tuple[str, ...] = ()
    only_ours: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A protocol: its captures, its rows, its known differences.

    `speaks` are the names that it has in our output; `decode_as` is tshark's name for it, given where ports do not tell.
    `servers` has the server's port in captures where it is the higher one, so that nobody knows it without reading them.
    """

    name: str
    speaks: frozenset[str]
    captures: tuple[str, ...]
    rows: tuple[Row, ...]
    decode_as: str = ""
    options: tuple[str, ...] = ()
    servers: Mapping[str, int] = field(default_factory=dict)
    differences: tuple[Difference, ...] = ()
    silent: Mapping[str, str] = field(default_factory=dict)  # captures of which tshark says nothing at all, and why
    defects: Mapping[str, str] = field(default_factory=dict)  # captures that we get wrong, and how; fails once we do not


@dataclass
class Opinions:
    """Both sides' facts of one row."""

    ours: Facts = field(default_factory=Counter)
    theirs: Facts = field(default_factory=Counter)


@cache
def decoded_messages(path: Path) -> tuple[Json, ...]:
    """Every message that we find in a capture, as its JSON object with `protocol` in it, requests before their responses."""
    found: list[Json] = []
    with Source(str(path)) as source:
        for _, output in decoded(read_records(source), EngineLimits()):
            match output:
                case ExchangeOut():
                    whole = json_lines.exchange(messages.exchange(output))
                    parts = [whole["request"], *whole.get("interim", []), whole["response"]]
                    found += [{"protocol": whole["protocol"], **part} for part in parts if part]
                case MessageOut(message=message) if message.role is Role.SINGLE:
                    who = messages.connection(output.connection)
                    found.append(json_lines.message(messages.message(message, output.number), who, ""))
                case _:
                    pass
    return tuple(found)


def ports(path: Path) -> set[int]:
    """Of the servers in a capture."""
    with Source(str(path)) as source:
        outputs = [output for _, output in decoded(read_records(source), EngineLimits())]
    return {output.connection.remote.port for output in outputs if isinstance(output, MessageOut)}


def opinions(table: Table, capture: str) -> Mapping[str, Opinions]:
    """What both say of a capture, row by row."""
    path = TRACES / capture
    found = {row.name: Opinions() for row in table.rows}
    for message in decoded_messages(path):
        if message["protocol"] in table.speaks:
            for row in table.rows:
                found[row.name].ours.update(row.ours(message))
    for row, values in _tshark(table, path):
        found[row.name].theirs.update(values)
    for row in table.rows:
        if row.distinct:
            both = found[row.name]
            both.ours, both.theirs = Counter(set(both.ours)), Counter(set(both.theirs))
    return found


def _tshark(table: Table, path: Path) -> Iterator[tuple[Row, list[str]]]:
    names = list(dict.fromkeys(name for row in table.rows for name in row.fields))
    # A tap sees each byte of a stream once; asked for twice passes, tshark knows what was sent again.
    command = ["tshark", "-n", "-2", "-r", str(path), "-T", "fields", "-E", "separator=/t", "-E", f"aggregator={_SEPARATOR}"]
    known = table.servers.get(str(path.relative_to(TRACES)))
    for port in sorted({known} if known else ports(path)) if table.decode_as else ():
        command += ["-d", f"tcp.port=={port},{table.decode_as}"]
    command += [part for name in names for part in ("-e", name)] + list(table.options)
    done = subprocess.run(command, check=True, capture_output=True, timeout=60)
    for line in done.stdout.decode("utf-8", "replace").split("\n")[:-1]:
        cells = dict(zip(names, line.split("\t"), strict=True))
        for row in table.rows:
            columns = [cells[name].split(_SEPARATOR) if cells[name] else [] for name in row.fields]
            told = ("\0".join(values) for values in zip(*columns, strict=True))
            yield row, [value for one in told if (value := row.theirs(one)) is not None]


def needs_tshark() -> pytest.MarkDecorator:
    """Leaves tests out where it is not installed; `scripts/setup --for test` installs it."""
    return pytest.mark.skipif(
        shutil.which("tshark") is None, reason="tshark is not installed; scripts/setup --for test installs it"
    )
