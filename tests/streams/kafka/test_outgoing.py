from hypothesis import given
from hypothesis import strategies as st

from fleetcap_proto import topics
from fleetcap_streams.kafka.outgoing import OVERHEAD, Outgoing, Source, fit

SOURCE = Source("p-raw", 3, 17)
LIMITS = {topics.EVENTS: 1000, topics.DEADLETTER: 3000}


def test_what_fits_is_left_alone() -> None:
    records = Outgoing(topics.EVENTS, b"key", [b"x" * (1000 - OVERHEAD - 3)] * 3, (), 5)
    assert fit(records, SOURCE, LIMITS) == [records]


def test_what_does_not_fit_becomes_a_dead_letter_that_says_so() -> None:
    before, letter, after = fit(Outgoing(topics.EVENTS, b"key", [b"1", b"x" * 2000, b"3"], (), 5), SOURCE, LIMITS)
    assert [before, after] == [Outgoing(topics.EVENTS, b"key", (value,), (), 5) for value in (b"1", b"3")]
    assert letter.topic == topics.DEADLETTER
    assert letter.key == b"p-raw-3-17"
    assert letter.values == (b"x" * 2000,)
    assert letter.headers == (("fleetcap-too-large", b"2000 bytes for fleetcap.events.v1, which takes 1000"),)
    assert letter.timestamp_ms == 5


def test_a_dead_letter_that_does_not_fit_is_cut_and_keeps_its_reason() -> None:
    (letter,) = fit(Outgoing(topics.DEADLETTER, b"k", (b"x" * 9000,), (("error", b"why"),), 0), SOURCE, LIMITS)
    assert letter.headers[0] == ("error", b"why")
    (value,) = letter.values
    assert 0 < len(value) < 3000


@given(st.lists(st.integers(0, 9000), max_size=4), st.integers(0, 500), st.sampled_from([topics.EVENTS, topics.DEADLETTER]))
def test_what_comes_out_always_fits(sizes: list[int], header: int, topic: str) -> None:
    records = Outgoing(topic, b"k", [b"v" * size for size in sizes], (("h", b"h" * header),), 0)
    out = fit(records, SOURCE, LIMITS)
    assert sum(len(one.values) for one in out) == len(sizes)
    for one in out:
        assert all(one._replace(values=(value,)).size() <= LIMITS[one.topic] for value in one.values)
