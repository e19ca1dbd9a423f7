"""Errors of the protocols stage. All of them are ours or the operator's; what the bytes of a connection say never is one."""


class RegistryError(ValueError):
    """A protocol was declared wrongly; the text names it and says what to change."""


class SnapshotError(ValueError):
    """A snapshot was not written by this parser, or by another version of it."""
