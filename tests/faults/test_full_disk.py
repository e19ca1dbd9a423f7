"""The only broker's disk fills up under traffic: it ends, comes back once there is room, and no output is lost or doubled."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.cluster import Cluster
from tests.faults.stage import Stage

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, small enough to fill."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m", "none", folder], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("only root can mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_loses_and_doubles_nothing(disk: Path, tmp_path: Path) -> None:
    ballast = disk / "ballast"
    with Cluster(1, data=disk) as cluster, Stage(cluster, tmp_path, seed=6) as stage:
        stage.until(lambda: sum(stage.topics.committed()) > 0)
        (broker,) = cluster.brokers
        room = os.statvfs(disk)
        with suppress(OSError):  # the broker is writing too
            ballast.write_bytes(b"\0" * (room.f_bavail * room.f_frsize))
        stage.until(lambda: not broker.running(), tended=False)
        ballast.unlink()
        cluster.start(broker)
        stage.catch_up()
        difference = stage.finish()
        assert not difference, difference
        assert not stage.oracle.broken, stage.oracle.broken
        assert stage.oracle.right > 0
