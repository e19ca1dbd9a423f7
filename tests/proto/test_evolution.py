"""Schemas change by additions alone."""

import copy
from collections.abc import Callable

import pytest

from tests.proto.snapshot import Schema, agreed, broken, current

P = "fleetcap_proto.v1"


def test_nothing_was_renumbered_retyped_reused_or_dropped() -> None:
    assert broken(agreed(), current()) == []


def test_the_snapshot_has_every_field() -> None:
    assert current() == agreed(), "additions only, so far so good: write them down with `python -m tests.proto.snapshot`"


def _drop(schema: Schema) -> None:
    del schema[f"{P}.Event"]["fields"]["3"]


def _drop_and_reserve_the_number_alone(schema: Schema) -> None:
    _drop(schema)
    schema[f"{P}.Event"]["reserved"].append([3, 3])


def _renumber(schema: Schema) -> None:
    fields = schema[f"{P}.Event"]["fields"]
    fields["99"] = fields.pop("3")


def _retype(schema: Schema) -> None:
    schema[f"{P}.Event"]["fields"]["3"]["type"] = "uint32"


def _rename(schema: Schema) -> None:
    schema[f"{P}.Event"]["fields"]["3"]["name"] = "process_id"


def _repeat(schema: Schema) -> None:
    schema[f"{P}.Event"]["fields"]["3"]["label"] = "repeated"


def _move_into_a_oneof(schema: Schema) -> None:
    schema[f"{P}.Event"]["fields"]["3"]["oneof"] = "who"


def _reuse_an_enum_number(schema: Schema) -> None:
    schema[f"{P}.CloseReason"]["values"]["2"]["name"] = "CLOSE_REASON_TIRED"


def _drop_a_message(schema: Schema) -> None:
    del schema[f"{P}.Tick"]


@pytest.mark.parametrize(
    "change",
    [
        _drop,
        _drop_and_reserve_the_number_alone,
        _renumber,
        _retype,
        _rename,
        _repeat,
        _move_into_a_oneof,
        _reuse_an_enum_number,
        _drop_a_message,
    ],
)
def test_a_change_that_old_records_do_not_survive_is_found(change: Callable[[Schema], None]) -> None:
    after = copy.deepcopy(agreed())
    change(after)
    assert len(broken(agreed(), after)) == 1


def test_removing_is_allowed_where_number_and_name_are_reserved() -> None:
    after = copy.deepcopy(agreed())
    _drop_and_reserve_the_number_alone(after)
    after[f"{P}.Event"]["reserved_names"].append("pid")
    assert broken(agreed(), after) == []


def test_what_is_reserved_stays_reserved() -> None:
    before = copy.deepcopy(agreed())
    before[f"{P}.Event"]["reserved"].append([50, 52])
    before[f"{P}.Event"]["reserved_names"].append("old")
    (line,) = broken(before, agreed())
    assert "no longer reserves 50 to 52, old" in line


def test_additions_are_allowed() -> None:
    before = copy.deepcopy(agreed())
    del before[f"{P}.Event"]["fields"]["16"]
    del before[f"{P}.Tick"]
    del before[f"{P}.CloseReason"]["values"]["5"]
    assert broken(before, agreed()) == []
