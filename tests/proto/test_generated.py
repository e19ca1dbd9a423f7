"""What is checked in is what the generator makes of the schemas."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_generated_code_is_up_to_date(tmp_path: Path) -> None:
    subprocess.run([ROOT / "scripts" / "proto", tmp_path], check=True)
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*_pb2.py*")}
    there = {path.relative_to(ROOT / "proto"): path.read_bytes() for path in (ROOT / "proto").rglob("*_pb2.py*")}
    there = {name: data for name, data in there.items() if "__pycache__" not in name.parts}
    assert len(made) == 2 * len(list((ROOT / "proto").rglob("*.proto")))
    assert made == there, "call scripts/proto"


def test_every_enum_but_the_references_begins_with_unspecified() -> None:
    theirs = {"Direction", "LogType"}
    zeros = {}
    for path in (ROOT / "proto").rglob("*.proto"):
        name = ""
        for line in path.read_text().splitlines():
            words = line.split()
            if words[:1] == ["enum"]:
                name = words[1]
            elif "= 0;" in line:
                zeros[name] = words[0]
    assert zeros
    assert [name for name, zero in zeros.items() if not zero.endswith("_UNSPECIFIED") and name not in theirs] == []
