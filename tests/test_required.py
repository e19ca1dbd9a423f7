"""Tests that are skipped without need are found out."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SUITE = """
import pytest

@pytest.mark.ebpf
def test_left_out():
    pytest.skip("no reason")

@pytest.mark.kafka
@pytest.mark.skipif(True, reason="not here")
def test_left_out_too():
    pass

def test_left_out_with_reason():
    pytest.skip("another machine's")

@pytest.mark.ebpf
def test_that_runs():
    pass
"""


def _run(folder: Path, required: str) -> str:
    (folder / "test_suite.py").write_text(SUITE)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n  ebpf: x\n  kafka: x\n")
    environment = os.environ | {"FLEETCAP_TESTS_REQUIRE": required, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.required", "-p", "no:cacheprovider", "test_suite.py"]
    done = subprocess.run(command, check=False, cwd=folder, env=environment, capture_output=True, text=True)
    return done.stdout.splitlines()[-1]


def test_nothing_is_required_where_nothing_is_named(tmp_path: Path) -> None:
    assert _run(tmp_path, "").startswith("1 passed, 3 skipped")


def test_only_what_is_named_is_required(tmp_path: Path) -> None:
    assert _run(tmp_path, "ebpf").startswith("1 failed, 1 passed, 2 skipped")


def test_skipping_by_marker_is_found_as_well(tmp_path: Path) -> None:
    # It is skipped before it begins, which pytest calls an error.
    assert "1 failed, 1 passed, 1 skipped, 1 error" in _run(tmp_path, "ebpf kafka")
