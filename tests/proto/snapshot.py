"""The schemas as they were last agreed on: `schema.json`, and the rules by which they may change.

    python -m tests.proto.snapshot

writes it anew from the generated code, and refuses where a rule is broken. Records outlive releases: whoever reads a topic
next year has to read this year's numbers.
"""

import importlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from google.protobuf import descriptor_pb2

HERE: Final = Path(__file__).parent
SNAPSHOT: Final = HERE / "schema.json"
SOURCES: Final = HERE.parents[1] / "proto" / "fleetcap_proto" / "v1"

# message or enum → what it has, each part in JSON's own types.
Schema: TypeAlias = dict[str, dict[str, Any]]

_FIELD = descriptor_pb2.FieldDescriptorProto


def current() -> Schema:
    """What the generated code says."""
    found: Schema = {}
    for path in sorted(SOURCES.glob("*.proto")):
        module = importlib.import_module(f"fleetcap_proto.v1.{path.stem}_pb2")
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        found.update(_of_file(file))
    return found


def agreed() -> Schema:
    """What the snapshot says."""
    schema: Schema = json.loads(SNAPSHOT.read_text())
    return schema


def broken(before: Schema, after: Schema) -> list[str]:
    """Every change that readers of old records, or old readers, would not survive; one line each."""
    return [line for name, old in before.items() for line in _broken_in(name, old, after.get(name))]


def _broken_in(name: str, old: Mapping[str, Any], new: Mapping[str, Any] | None) -> Iterator[str]:
    if new is None:
        yield f"{name} is gone; keep it, empty if need be, with its fields reserved"
        return
    kind = "fields" if "fields" in old else "values"
    for number, was in old[kind].items():
        now = new[kind].get(number)
        if now is None and not _is_reserved(int(number), was["name"], new):
            yield f'{name}.{was["name"]} = {number} is gone; write `reserved {number}; reserved "{was["name"]}";` in its place'
        elif now is not None and now != was:
            yield f"{name}, number {number}: {_line(was)} became {_line(now)}; give the new meaning a new number"
    lost = [f"{first} to {last}" for first, last in old["reserved"] if not all(_covers(new, at) for at in (first, last))]
    lost += [one for one in old["reserved_names"] if one not in new["reserved_names"]]
    if lost:
        yield f"{name} no longer reserves {', '.join(lost)}; what was removed once must never come back as something else"


def _is_reserved(number: int, name: str, new: Mapping[str, Any]) -> bool:
    return _covers(new, number) and name in new["reserved_names"]


def _covers(new: Mapping[str, Any], number: int) -> bool:
    return any(first <= number <= last for first, last in new["reserved"])


def _line(entry: Mapping[str, Any]) -> str:
    return " ".join(str(value) for value in entry.values() if value)


def _of_file(file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[str, dict[str, Any]]]:
    for enum in file.enum_type:
        yield f"{file.package}.{enum.name}", _of_enum(enum)
    for message in file.message_type:
        yield from _of_message(file.package, message)


def _of_message(scope: str, message: descriptor_pb2.DescriptorProto) -> Iterator[tuple[str, dict[str, Any]]]:
    name = f"{scope}.{message.name}"
    yield (
        name,
        {
            "fields": {str(field.number): _of_field(message, field) for field in message.field},
            # A message's ranges end one after their last, an enum's with it.
            "reserved": [[one.start, one.end - 1] for one in message.reserved_range],
            "reserved_names": list(message.reserved_name),
        },
    )
    for enum in message.enum_type:
        yield f"{name}.{enum.name}", _of_enum(enum)
    for nested in message.nested_type:
        yield from _of_message(name, nested)


def _of_enum(enum: descriptor_pb2.EnumDescriptorProto) -> dict[str, Any]:
    return {
        "values": {str(value.number): {"name": value.name} for value in enum.value},
        "reserved": [[one.start, one.end] for one in enum.reserved_range],
        "reserved_names": list(enum.reserved_name),
    }


def _of_field(message: descriptor_pb2.DescriptorProto, field: descriptor_pb2.FieldDescriptorProto) -> dict[str, Any]:
    oneof = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") and not field.proto3_optional else ""
    presence = "optional" if field.proto3_optional else ""
    return {
        "name": field.name,  # canonical JSON goes by it
        "label": "repeated" if field.label == _FIELD.LABEL_REPEATED else presence,
        "type": _FIELD.Type.Name(field.type).removeprefix("TYPE_").lower(),
        "of": field.type_name.removeprefix("."),
        "oneof": oneof,
    }


def main() -> None:
    """Write the snapshot, or say why not."""
    after = current()
    if faults := broken(agreed() if SNAPSHOT.exists() else {}, after):
        sys.exit("not written, because the change is not an addition:\n  " + "\n  ".join(faults))
    SNAPSHOT.write_text(json.dumps(after, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
