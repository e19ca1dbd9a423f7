"""A progress bar on stderr for files that take a while; nothing where stderr is no terminal."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from fleetcap.recording import Recorded

_LONG_BYTES = 16 * 1024 * 1024
_EVERY = 256  # records between two looks at the bar


def with_progress(records: Iterable[Recorded], file: Path, what: str) -> Iterator[Recorded]:
    """Pass records through, showing how much of the file they make up."""
    total = file.stat().st_size if file.is_file() else 0
    # A table on the same terminal would tear the bar.
    if not sys.stderr.isatty() or sys.stdout.isatty() or total < _LONG_BYTES:
        yield from records
        return
    columns = TextColumn(what), BarColumn(), TextColumn("{task.percentage:3.0f} %"), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total)
        done = 0
        for count, recorded in enumerate(records):
            done += len(recorded.record.value or b"") + len(recorded.record.key or b"") + 16
            if count % _EVERY == 0:
                bar.update(task, completed=done)
            yield recorded
        bar.update(task, completed=total)
