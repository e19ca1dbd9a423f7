"""`fleetcap decode`: the engine on a file, with no broker."""

import sys
from collections.abc import Iterable, Iterator

from fleetcap.commands.worker import engine_limits
from fleetcap.inputs.errors import InputError
from fleetcap.inputs.reading import read_records
from fleetcap.inputs.source import Source
from fleetcap.keyring import keyring
from fleetcap.progress import with_progress
from fleetcap.recording import Recorded
from fleetcap.settings import Settings
from fleetcap.show.printer import EVENT_FORMS, Printer, printer
from fleetcap_proto.sealing import Keys
from fleetcap_streams.engine.engine import Engine
from fleetcap_streams.engine.limits import EngineLimits
from fleetcap_streams.engine.values import ConnectionOut, DeadLetterOut, ExchangeOut, MessageOut, Output
from fleetcap_streams.outputs import messages
from fleetcap_streams.plugins import installed_registry
from fleetcap_streams.protocols.contract import Role


def run(settings: Settings, file: str, form: str) -> int:
    """Decode a file, or standard input where it is `-`, and show what is in it; returns the exit code."""
    show = printer(form, sys.stdout)
    as_events = form in EVENT_FORMS
    failure: list[InputError] = []
    with Source(file) as source:
        for where, output in decoded(_until_damaged(source, failure), engine_limits(settings), keyring(settings)):
            _show(show, output, where, as_events=as_events)
    if failure:
        raise failure[0]
    return 0


def decoded(records: Iterable[Recorded], limits: EngineLimits, keys: Keys | None = None) -> Iterator[tuple[str, Output]]:
    """What records lead to, each with the place (partition-offset) of the record that led to it."""
    registry = installed_registry()
    engines: dict[int, Engine] = {}
    for partition, record in records:
        engine = engines.get(partition)
        if engine is None:
            engine = engines[partition] = Engine(registry, limits, keys=keys)
        for output in engine.feed((record,)):
            yield f"{partition}-{record.offset}", output
    for partition, engine in engines.items():
        for output in engine.drain():
            yield f"{partition}-end", output


def _until_damaged(source: Source, failure: list[InputError]) -> Iterator[Recorded]:
    """Records of an input; what comes before damage is decoded and ended like a whole one, and then the damage is told."""
    given = False
    try:
        for recorded in with_progress(read_records(source), source, "decoding"):
            given = True
            yield recorded
    except InputError as error:
        if not given:
            raise
        failure.append(error)


def _show(show: Printer, output: Output, where: str, *, as_events: bool) -> None:
    match output:
        case MessageOut() if as_events:
            show.event(messages.event(output))
        case MessageOut(message=message, connection=info) if message.role is Role.SINGLE:
            show.message(messages.message(message, output.number), messages.connection(info), info.node_id)
        case ExchangeOut():
            show.exchange(messages.exchange(output))
        case ConnectionOut(reason=reason) if reason is not None:
            show.connection(messages.connection_record(output))
        case DeadLetterOut():
            show.error(output.reason, f"record {where}")
        case _:
            pass  # the messages of an exchange come with it; finished facts need no decoding
