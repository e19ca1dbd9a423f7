"""The embedded broker's jars: fetched once by Maven, as `pom.xml` beside this file says, into the user's cache.

It must not know how the broker is run. A second call needs neither Maven nor a network.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from fcntl import LOCK_EX, flock
from importlib import resources
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from fleetcap.kafka.errors import BrokerError

RESOURCES: Final = resources.files("fleetcap.kafka")

_INSTALL_MAVEN = "install it (apt-get install maven) or use --bootstrap-servers with a broker of your own"


def ensure_jars() -> Path:
    """The folder with the broker's jars, fetched by Maven where this pom's were never fetched before.

    Raises:
        BrokerError: Maven is needed and missing, or failed.
    """
    pom = (RESOURCES / "pom.xml").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fleetcap"
    folder = cache / f"kafka-{_kafka_version(pom)}-{hashlib.sha256(pom).hexdigest()[:8]}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / "kafka.lock").open("w") as lock:
            flock(lock, LOCK_EX)
            if not folder.exists():
                _fetch(pom, folder)
    return folder


def _kafka_version(pom: bytes) -> str:
    return ET.fromstring(pom).findtext("{*}properties/{*}kafka.version", default="")  # noqa: S314 - a file of ours


def _fetch(pom: bytes, folder: Path) -> None:
    if not shutil.which("mvn"):
        raise BrokerError(f"Maven is needed once, to fetch the broker's jars, and `mvn` is not on PATH; {_INSTALL_MAVEN}")
    # Renamed into place only when complete: a fetch that was cut short leaves nothing that looks like a cache.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="fetch-") as name:
        work = Path(name)
        (work / "pom.xml").write_bytes(pom)
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={work / 'jars'}", "-DincludeScope=runtime"]
        done = subprocess.run(
            ["mvn", "--quiet", "--batch-mode", "--strict-checksums", *goal], check=False, cwd=work, capture_output=True
        )
        if done.returncode:
            said = _first_error(done.stdout.decode(errors="replace"))
            raise BrokerError(
                f"Maven could not fetch the broker's jars: {said}; check the network and Maven's settings, then try again"
            )
        (work / "jars").rename(folder)


def _first_error(output: str) -> str:
    errors = [line.removeprefix("[ERROR]").strip() for line in output.splitlines() if line.startswith("[ERROR]")]
    return errors[0][:300] if errors else "it said nothing"
