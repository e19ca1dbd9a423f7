"""What can go wrong on the node, each with the remedy."""


class TapError(Exception):
    """The tap cannot work here, or not as asked.

    `str()` is one line: what is wrong, where, and what to do about it.
    """

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}; {remedy}" if remedy else what)
        self.what = what
        self.remedy = remedy
