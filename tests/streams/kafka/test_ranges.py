from datetime import UTC, datetime

import pytest

from fleetcap_streams.errors import ConfigurationError
from fleetcap_streams.kafka.ranges import Edge, parse_edge

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "edge"),
    [
        ("beginning", Edge()),
        ("end", Edge(end=True)),
        ("17", Edge(offset=17)),
        ("-15m", Edge(time_ms=int(NOW.timestamp() * 1000) - 15 * 60_000)),
        ("2026-01-01T00:00:00Z", Edge(time_ms=1767225600000)),
        ("2026-01-01T00:00:00", Edge(time_ms=1767225600000)),
        ("2026-01-01T02:00:00+02:00", Edge(time_ms=1767225600000)),
    ],
)
def test_a_place_in_a_topic(text: str, edge: Edge) -> None:
    assert parse_edge(text, lambda: NOW) == edge


@pytest.mark.parametrize("text", ["", "-1", "-15x", "tomorrow", "1e9", "٣", "-999999999d"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="beginning, end"):
        parse_edge(text, lambda: NOW)
