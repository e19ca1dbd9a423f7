"""What clients log can be read back."""

import pytest

from fleetcap.demo.truth import Address, Exchange, digest, dump, own_comm, parse

EXCHANGE = Exchange(
    "gzip",
    "GET",
    "/gzip?a=\u00fc\n",
    200,
    0,
    digest(b""),
    7,
    digest(b"seven b"),
    Address("::1", 1),
    Address("::1", 2),
    3,
    "cu rl",
)


def test_what_is_written_is_read() -> None:
    assert parse(dump([EXCHANGE, EXCHANGE]).splitlines()) == [EXCHANGE, EXCHANGE]


def test_an_exchange_is_one_line() -> None:
    assert dump([EXCHANGE]).count("\n") == 1


@pytest.mark.parametrize("line", ["no json", "{}", '{"client": {}, "server": {}}'])
def test_other_lines_are_refused(line: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        parse([line])


def test_a_process_name_is_the_kernels() -> None:
    assert 0 < len(own_comm()) <= 15
