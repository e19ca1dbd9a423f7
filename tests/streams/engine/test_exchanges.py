"""Requests meet their responses by number, whichever of them is finished first."""

import pytest

from fleetcap_streams.engine.exchanges import HELD_BYTES, Exchanges, Paired
from fleetcap_streams.protocols.contract import Direction, Message, Role


def message(role: Role, exchange: int, body: bytes = b"") -> Message:
    direction = Direction.SENT if role is Role.REQUEST else Direction.RECEIVED
    return Message("test", direction, role, exchange, 0, 0, body=body)


def feed(exchanges: Exchanges, *messages: Message) -> list[Paired]:
    return [paired for each in messages for paired in exchanges.add(each)]


REQUEST, RESPONSE, INTERIM = (message(role, 1) for role in (Role.REQUEST, Role.RESPONSE, Role.INTERIM))


@pytest.mark.parametrize("order", [(REQUEST, RESPONSE), (RESPONSE, REQUEST)], ids=["usual", "refused upload"])
def test_a_pair_is_put_out_once_both_are_there(order: tuple[Message, Message]):
    exchanges = Exchanges(10)
    assert feed(exchanges, order[0]) == []
    assert feed(exchanges, order[1]) == [Paired(REQUEST, RESPONSE, [])]
    assert list(exchanges.drain()) == []


def test_interim_responses_do_not_end_an_exchange():
    assert feed(Exchanges(10), REQUEST, INTERIM, RESPONSE) == [Paired(REQUEST, RESPONSE, [INTERIM])]


def test_a_response_without_any_request_stands_alone():
    orphan = message(Role.RESPONSE, 0)
    assert feed(Exchanges(10), orphan) == [Paired(None, orphan, [])]


def test_interleaved_exchanges_do_not_mix():
    one, two = message(Role.REQUEST, 1), message(Role.REQUEST, 2)
    answers = message(Role.RESPONSE, 2), message(Role.RESPONSE, 1)
    assert feed(Exchanges(10), one, two, *answers) == [Paired(two, answers[0], []), Paired(one, answers[1], [])]


def test_an_unanswered_request_comes_out_at_the_end_or_when_there_are_too_many():
    exchanges = Exchanges(2)
    requests = [message(Role.REQUEST, number) for number in (1, 2, 3)]
    assert feed(exchanges, *requests) == [Paired(requests[0], None, [])]
    assert [paired.request for paired in exchanges.drain()] == requests[1:]


def test_held_bodies_are_bounded_and_the_messages_already_put_out_keep_theirs():
    exchanges = Exchanges(1000)
    requests = [message(Role.REQUEST, number, b"x" * 60_000) for number in range(1, 31)]
    feed(exchanges, *requests)
    assert exchanges.held <= HELD_BYTES
    oldest = next(exchanges.drain()).request
    assert oldest is not None
    assert (oldest.body, oldest.notes) == (b"", ("body-let-go",))
    assert all(request.body for request in requests)
