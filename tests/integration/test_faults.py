"""The short form of `scripts/faults`: each kind of fault that one broker and three can suffer, under traffic."""

from pathlib import Path

import pytest

from tests.faults.catalogue import catalogue
from tests.faults.suite import run

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(600)]
# The others have tests of their own, or are in the long form.
ONE = (
    "worker killed",
    "worker frozen past its session",
    "rebalance storm",
    "death at checkpoint step: before commit",
    "transaction expired",
    "broker killed",
)
THREE = ("worker and broker killed together", "active controller killed")


@pytest.mark.parametrize(("brokers", "names"), [(1, ONE), (3, THREE)], ids=["one broker", "three brokers"])
def test_faults_lose_double_and_reorder_nothing(brokers: int, names: tuple[str, ...], tmp_path: Path) -> None:
    faults = {fault.name: fault for fault in catalogue(brokers)}
    result = run(brokers, 3, [faults[name] for name in names], tmp_path)
    assert result.ok, result.table()
    assert result.faults == len(names)
    assert result.exchanges > 0
