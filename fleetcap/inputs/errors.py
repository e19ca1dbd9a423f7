"""What can be wrong with an input. One line each: the input, the place in it, what to do; never any of its bytes."""


class InputError(Exception):
    """An input cannot be read, or not to its end."""


class UnknownFormatError(InputError):
    """It is none of the formats that can be read."""


class DamagedInputError(InputError):
    """It cannot be read beyond a place; everything before that was given."""


class BadLineError(InputError):
    """A line is not what the format asks for; `number` counts from 1."""

    def __init__(self, name: str, number: int, why: str) -> None:
        super().__init__(f"{name}, line {number}: {why}")
        self.number = number
