"""Which kernel this is. Only for what neither its types nor a trial can tell."""

import platform
import re


def kernel_version(release: str = "") -> tuple[int, int]:
    """Major and minor number, (0, 0) where the release names none."""
    found = re.match(r"(\d+)\.(\d+)", release or platform.release())
    return (int(found[1]), int(found[2])) if found else (0, 0)
