"""A progress bar on stderr for files that take a while; nothing where stderr is no terminal."""

import sys
from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from fleetcap.inputs.source import Source
from fleetcap.recording import Recorded

_LONG_BYTES = 16 * 1024 * 1024
_EVERY = 256  # records between two looks at the bar


def with_progress(records: Iterable[Recorded], source: Source, what: str) -> Iterator[Recorded]:
    """Pass records through, showing how much of the file has been read."""
    total = source.size
    # A table on the same terminal would tear the bar.
    if not sys.stderr.isatty() or sys.stdout.isatty() or total < _LONG_BYTES:
        yield from records
        return
    columns = TextColumn(what), BarColumn(), TextColumn("{task.percentage:3.0f} %"), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total)
        for count, recorded in enumerate(records):
            if count % _EVERY == 0:
                bar.update(task, completed=source.position)
            yield recorded
        bar.update(task, completed=total)
