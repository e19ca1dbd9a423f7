"""The figures as a table, as ratios, and as a drawing."""

import statistics
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from bench.stream.measure import Figures

FLEETCAP: Final = "fleetcap, exactly once"
RATIOS: Final = {
    "vs_kafka_streams_eos": "Kafka Streams, exactly once",
    "vs_kafka_streams_alos": "Kafka Streams, at least once",
    "vs_no_framework": "no framework, at least once",
    "vs_pass_through": "pass-through",
    "vs_quix_streams": "Quix Streams, exactly once",
    "vs_stock_faust": "stock Faust, at least once",
}
TWO: Final = "fleetcap, two processes"
_BAR, _LEFT, _WIDTH = 22, 240, 420

Runs = Mapping[str, Sequence[Figures]]


def ratios(mix: str, runs: Runs) -> dict[str, float]:
    """fleetcap's events/s by each other's, medians."""
    rates = {name: statistics.median(each.events_s for each in figures) for name, figures in runs.items() if figures}
    name = mix.replace("-", "_")
    if FLEETCAP not in rates:
        return {}
    found = {f"{name}_{key}": round(rates[FLEETCAP] / rates[peer], 3) for key, peer in RATIOS.items() if peer in rates}
    if TWO in rates:
        found[f"{name}_two_processes_vs_one"] = round(rates[TWO] / rates[FLEETCAP], 3)
    return found


def table(runs: Runs) -> str:
    """Markdown; medians, and the range of the rates."""
    lines = [
        "| variant | raw events/s (median, range) | MB/s | CPU µs/event | peak MB | records out/event |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, figures in runs.items():
        rates = sorted(each.events_s for each in figures)
        cells = [
            name,
            f"{statistics.median(rates):,.0f} ({rates[0]:,.0f} to {rates[-1]:,.0f})",
            f"{statistics.median(each.mb_s for each in figures):.1f}",
            f"{statistics.median(each.cpu_us for each in figures):.2f}",
            f"{max(each.peak_mb for each in figures):,.0f}",
            f"{statistics.median(each.outputs for each in figures):.2f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def drawing(mixes: Mapping[str, Runs]) -> str:
    """SVG: a bar for the median of each variant, a line for its range, mix under mix, each to its own scale."""
    parts: list[str] = []
    top = 10
    for mix, runs in mixes.items():
        parts.append(f'<text x="4" y="{top + 14}" font-weight="bold">{escape(mix)}, raw events/s</text>')
        most = max((each.events_s for figures in runs.values() for each in figures), default=1.0)
        top += _BAR
        for name, figures in runs.items():
            rates = sorted(each.events_s for each in figures)
            middle, low, high = (value / most * _WIDTH for value in (statistics.median(rates), rates[0], rates[-1]))
            colour = "#2f6f4f" if name == FLEETCAP else "#9aa5a0"
            y = top + _BAR // 2
            parts.append(f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{escape(name)}</text>')
            parts.append(f'<rect x="{_LEFT}" y="{top + 3}" width="{middle:.1f}" height="{_BAR - 6}" fill="{colour}"/>')
            parts.append(f'<line x1="{_LEFT + low:.1f}" x2="{_LEFT + high:.1f}" y1="{y}" y2="{y}" stroke="black"/>')
            parts.append(f'<text x="{_LEFT + high + 6:.1f}" y="{y + 4}">{statistics.median(rates):,.0f}</text>')
            top += _BAR
        top += _BAR // 2
    size = f'width="{_LEFT + _WIDTH + 100}" height="{top}"'
    body = "\n".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">\n{body}\n</svg>\n'
