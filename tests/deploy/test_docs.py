"""What the README says is so: its settings, its commands, its links."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import PydanticUndefined
from typer.main import get_command

from fleetcap.cli import app
from fleetcap.settings import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted((ROOT / "docs").rglob("*.md"))


def _settings() -> dict[str, str]:
    """Each setting of the README's table with the default it says; several in one row share it, or each has its own."""
    table = README.partition("| setting |")[2].partition("\n\n")[0]
    found: dict[str, str] = {}
    for row in table.splitlines()[2:]:
        names, default = (cell.strip() for cell in row.split("|")[1:3])
        settings = re.findall(r"`([a-z_]+)`", names)
        values = [value.strip().strip("`") for value in default.split(",")]
        found |= dict(zip(settings, values if len(values) == len(settings) else values * len(settings), strict=True))
    return found


def test_every_setting_is_there() -> None:
    assert set(_settings()) == set(Settings.model_fields)


def test_defaults_are_the_settings_own() -> None:
    said = _settings()
    for name, field in Settings.model_fields.items():
        if field.default is not PydanticUndefined:
            assert said[name] == _written(field.default), name


def _written(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case None:
            return "none"
        case [] | {} | "":
            return ""
        case _:
            return str(value)


def _commands() -> Iterator[str]:
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]  # the root is a group
        yield from (f"{name} {below}" for below in command.commands) if hasattr(command, "commands") else (name,)


def test_every_command_is_there() -> None:
    said = set(re.findall(r"`fleetcap ([a-z]+(?: create| list)?)[ `]", README))
    assert set(_commands()) <= said


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), target
