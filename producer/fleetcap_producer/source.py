"""Puts the C files of `fleetcap_bpf` together into the one text that bcc compiles."""

import re
from importlib import resources

_INCLUDE = re.compile(r'^#include "([a-z_]+\.h)"$', re.MULTILINE)


def read(name: str) -> str:
    """One file of the package."""
    return resources.files("fleetcap_bpf").joinpath(name).read_text(encoding="utf-8")


def assemble(name: str = "tap.bpf.c") -> str:
    """`name` with its own headers in place of their #include lines; compiler messages keep files and lines."""

    def expand(match: re.Match[str]) -> str:
        header = match.group(1)
        return f'#line 1 "{header}"\n{read(header)}'

    return _INCLUDE.sub(expand, read(name))
