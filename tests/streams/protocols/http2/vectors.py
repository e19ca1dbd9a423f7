"""The recorded data that nobody here wrote, beside the repository; tests that need it are skipped where it is absent."""

import json
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).resolve().parents[4].parent / "shared" / "data"


def folder(name: str) -> Path:
    """A folder of it, or no test."""
    path = DATA / name
    if not path.is_dir():
        pytest.skip(f"{name} is not beside the repository (../shared/data)", allow_module_level=True)
    return path


def cases(name: str, pattern: str) -> list[tuple[str, Any]]:
    """Names and contents of its JSON files."""
    root = folder(name)
    return [(str(path.relative_to(root)), json.loads(path.read_text())) for path in sorted(root.glob(pattern))]
