from hypothesis import given
from hypothesis import strategies as st

from fleetcap_proto import topics
from fleetcap_streams.kafka.outgoing import OVERHEAD, Outgoing, Source, fit

SOURCE = Source("p-raw", 3, 17)
LIMITS = {topics.EVENTS: 1000, topics.DEADLETTER: 3000}


def test_what_fits_is_left_alone() -> None:
    record = Outgoing(topics.EVENTS, b"key", b"x" * (1000 - OVERHEAD - 3), (), 5)
    assert fit(record, SOURCE, LIMITS) is record


def test_what_does_not_fit_becomes_a_dead_letter_that_says_so() -> None:
    letter = fit(Outgoing(topics.EVENTS, b"key", b"x" * 2000, (), 5), SOURCE, LIMITS)
    assert letter.topic == topics.DEADLETTER
    assert letter.key == b"p-raw-3-17"
    assert letter.value == b"x" * 2000
    assert letter.headers == (("fleetcap-too-large", b"2000 bytes for fleetcap.events.v1, which takes 1000"),)
    assert letter.timestamp_ms == 5


def test_a_dead_letter_that_does_not_fit_is_cut_and_keeps_its_reason() -> None:
    letter = fit(Outgoing(topics.DEADLETTER, b"k", b"x" * 9000, (("error", b"why"),), 0), SOURCE, LIMITS)
    assert letter.headers[0] == ("error", b"why")
    assert letter.value is not None
    assert 0 < len(letter.value) < 3000


@given(st.integers(0, 9000), st.integers(0, 500), st.sampled_from([topics.EVENTS, topics.DEADLETTER]))
def test_what_comes_out_always_fits(value: int, header: int, topic: str) -> None:
    record = Outgoing(topic, b"k", b"v" * value, (("h", b"h" * header),), 0)
    out = fit(record, SOURCE, LIMITS)
    assert out.size() <= LIMITS[out.topic]
