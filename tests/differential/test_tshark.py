"""Every capture of every protocol: what tshark says of it and what fleetcap says, but for the differences that are explained."""

import pytest

from tests.differential.http_tables import TABLES as HTTP
from tests.differential.queue_tables import TABLES as QUEUES
from tests.differential.second_opinion import TRACES, Table, needs_tshark, opinions
from tests.differential.store_tables import TABLES as STORES

TABLES = (*HTTP, *STORES, *QUEUES)
pytestmark = needs_tshark()


def _marks(table: Table, capture: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.xfail(reason=table.defects[capture], strict=True)] if capture in table.defects else []


@pytest.mark.parametrize(
    ("table", "capture"),
    [pytest.param(table, capture, id=capture, marks=_marks(table, capture)) for table in TABLES for capture in table.captures],
)
def test_both_say_the_same_but_for_what_is_explained(table: Table, capture: str) -> None:
    listed = {one.row: one for one in table.differences if one.capture == capture}
    unexplained = {}
    for row, found in opinions(table, capture).items():
        if capture in table.silent:
            assert not found.theirs, f"tshark has come to say something of {row}"
            continue
        known = listed.get(row)
        expected = (sorted(known.only_theirs), sorted(known.only_ours)) if known else ([], [])
        differ = sorted((found.theirs - found.ours).elements()), sorted((found.ours - found.theirs).elements())
        if differ != expected:
            unexplained[row] = {"only theirs": differ[0], "only ours": differ[1]}
    assert unexplained == {}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_row_is_put_to_the_test(table: Table) -> None:
    told = {row.name: 0 for row in table.rows}
    for capture in table.captures:
        for row, found in opinions(table, capture).items():
            told[row] += sum((found.theirs & found.ours).values())
    assert [row for row, count in told.items() if not count] == []


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_where_tshark_is_silent_we_are_not(table: Table) -> None:
    for capture in table.silent:
        assert any(found.ours for found in opinions(table, capture).values())


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_differences_name_captures_and_rows_that_are_there_and_say_why(table: Table) -> None:
    for one in table.differences:
        assert one.capture in table.captures
        assert one.row in {row.name for row in table.rows}
        assert one.why
        assert (TRACES / one.capture).is_file()
