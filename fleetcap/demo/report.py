"""What the demo shows on the screen, but for the table, which is `fleetcap tail`'s own."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from rich.console import Console

from fleetcap.demo.compare import Comparison
from fleetcap.demo.truth import Exchange

_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class Losses:
    """What went missing, as connections' records and the dead-letter topic say; `captured` is what the tap said last."""

    missing_bytes: int = 0
    unreadable: int = 0
    captured: str = ""

    def __bool__(self) -> bool:
        """Whether anything did."""
        return bool(self.missing_bytes or self.unreadable)


class Screen:
    """Lines of progress, then the summary."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)

    def title(self) -> None:
        """What this is."""
        self._console.print(
            "[bold]fleetcap[/bold]: real TLS traffic on this machine, seen by eBPF, carried by Kafka, "
            "put together by a Faust worker\n"
        )

    @contextmanager
    def step(self, what: str) -> Iterator[list[str]]:
        """Say what is being done, and how long it took once it is done; the caller adds what is worth telling."""
        began = time.monotonic()
        told: list[str] = []
        if self._console.is_terminal:
            self._console.print(f"  [dim]… {what}[/dim]", end="\r")
        yield told
        detail = f", {', '.join(told)}" if told else ""
        self._console.print(f"  [green]ok[/green] {what}{detail} [dim]({time.monotonic() - began:.1f} s)[/dim]")

    def note(self, text: str) -> None:
        """One line by the way."""
        self._console.print(f"     {text}", style="yellow")

    def gap(self, text: str = "") -> None:
        """An empty line, a line of text where given."""
        self._console.print(f"\n[dim]{text}[/dim]" if text else "")

    def summary(self, made: Sequence[Exchange], comparison: Comparison, losses: Losses) -> None:
        """Sent, decoded, lost; and what is wrong where something is. Each exchange has two sides, and both are captured."""
        print_ = self._console.print
        connections = len({(one.client_pid, one.client, one.server) for one in made})
        moved = sum(one.request_size + one.response_size for one in made)
        sides, right = 2 * len(made), len(comparison.right)
        lost = len(comparison.missing)
        print_()
        print_(f"  sent      {len(made)} exchanges on {connections} connections, {moved:,} bytes of bodies")
        print_(f"  decoded   {right} of {sides}: each as its client and as its server saw it, and as the client logged it")
        colour = "green" if comparison.perfect and not losses else "bold red"
        print_(f"  lost      [{colour}]{lost}[/{colour}]{_more(comparison, losses)}")
        if losses.captured:
            print_(f"  [dim]capture   {losses.captured}[/dim]")
        for line in _faults(comparison):
            print_(f"    {line}", style="red", markup=False)

    def logs(self, folder: object) -> None:
        """Where to look."""
        self._console.print(f"\n  what each part said is in {folder}", markup=False)

    def failed(self, error: object) -> None:
        """The one line that says why it ended."""
        self._console.print(f"\n  {error}", style="red", markup=False)


def _more(comparison: Comparison, losses: Losses) -> str:
    found = [
        (len(comparison.wrong), "decoded wrongly"),
        (len(comparison.surplus), "decoded twice"),
        (losses.missing_bytes, "bytes missing"),
        (losses.unreadable, "unreadable records"),
    ]
    return "".join(f", {count:,} {what}" for count, what in found if count)


def _faults(comparison: Comparison) -> list[str]:
    lines = [f"missing: {one}" for one in comparison.missing]
    lines += [f"wrong: {one}" for one in comparison.wrong]
    lines += [f"surplus: {one}" for one in comparison.surplus]
    left_out = len(lines) - _SHOWN
    return lines[:_SHOWN] + ([f"… and {left_out} more"] if left_out > 0 else [])
