"""Fixtures every test can use: one embedded broker for the session, and names nobody else uses on it."""

import itertools
import os
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

from fleetcap.broker import BrokerOptions, EmbeddedBroker
from fleetcap.topics import ensure, specs

_counter = itertools.count(1)

# A deadline for each example is an assertion about wall-clock time, which a busy machine breaks at will.
settings.register_profile("fleetcap", deadline=None)
settings.load_profile("fleetcap")


@pytest.fixture(scope="session")
def broker() -> Iterator[EmbeddedBroker]:
    """A real broker, started when the first test asks for it. Tests that break or restart one start their own."""
    with EmbeddedBroker(BrokerOptions(heap_mb=384)) as running:
        yield running


@pytest.fixture
def topic_prefix() -> str:
    """Stands before topic, group and transactional names; no two tests get the same."""
    return f"t{os.getpid()}-{next(_counter)}-"


@pytest.fixture
def make_topics(broker: EmbeddedBroker, topic_prefix: str) -> Callable[..., str]:
    """Create all of fleetcap's topics under this test's prefix, `make_topics(partitions=2)`, and return the prefix."""

    def make(partitions: int = 2) -> str:
        ensure({"bootstrap.servers": broker.bootstrap_servers}, specs(topic_prefix, partitions))
        return topic_prefix

    return make
