"""Which answer belongs to which request."""

from fleetcap_streams.protocols.contract import Direction
from fleetcap_streams.protocols.remembered import MOST, Remembered
from fleetcap_streams.protocols.turns import Turns

CLIENT, SERVER = Direction.SENT, Direction.RECEIVED


def met() -> Turns[str]:
    turns: Turns[str] = Turns()
    turns.meet(CLIENT)
    return turns


def ask(turns: Turns[str], *names: str) -> list[str]:
    given_up: list[str] = []
    for name in names:
        given_up += turns.turn()
        turns.count += 1
        turns.ask(name, 100)
    return given_up


def answer(turns: Turns[str]) -> str | None:
    turns.heard()
    front = turns.front()
    if front is not None:
        turns.done()
    return front


def test_answers_come_in_order():
    turns = met()
    ask(turns, "a", "b", "c")
    assert [answer(turns) for _ in range(4)] == ["a", "b", "c", None]
    assert not turns.doubtful


def test_after_a_lost_request_only_those_before_it_are_known():
    turns = met()
    ask(turns, "a")
    turns.lost(CLIENT, 10)
    ask(turns, "c")
    assert [answer(turns), answer(turns), answer(turns)] == ["a", None, None]
    assert turns.doubtful
    assert ask(turns, "d") == ["c"]
    assert turns.aligned(SERVER)
    assert answer(turns) == "d"
    assert not turns.doubtful


def test_after_a_lost_answer_a_single_request_may_still_be_answered():
    turns = met()
    ask(turns, "a")
    turns.lost(SERVER, 10)
    assert (turns.front(), turns.doubtful) == ("a", True)


def test_after_a_lost_answer_to_one_of_several_nobody_knows():
    turns = met()
    ask(turns, "a", "b")
    turns.lost(SERVER, 10)
    assert answer(turns) is None


def test_a_client_that_asks_between_answers_is_trusted_no_more_until_idle():
    turns = met()
    ask(turns, "a", "b")
    assert answer(turns) == "a"
    ask(turns, "c")
    turns.lost(SERVER, 10)
    ask(turns, "d")
    assert answer(turns) is None
    turns.settle()
    ask(turns, "e")
    assert answer(turns) == "e"


def test_where_requests_were_lost_before_the_client_was_known_answers_to_them_may_come():
    turns: Turns[str] = Turns()
    turns.lost(CLIENT, 7)
    turns.meet(CLIENT)
    ask(turns, "b")
    assert answer(turns) is None
    ask(turns, "c")
    assert answer(turns) == "c"


def test_a_client_that_asks_ahead_when_the_tap_joins_may_have_asked_before():
    turns: Turns[str] = Turns()
    turns.lost(CLIENT, 0)
    turns.meet(CLIENT)
    ask(turns, "b", "c")
    assert answer(turns) is None


def test_a_client_that_asks_once_when_the_tap_joins_is_answered():
    turns: Turns[str] = Turns()
    turns.lost(CLIENT, 0)
    turns.meet(CLIENT)
    ask(turns, "b")
    assert answer(turns) == "b"


def test_the_oldest_are_forgotten_first():
    remembered: Remembered[str] = Remembered()
    for name in "abc":
        remembered.put(name, name.upper(), 40, limit=100)
    assert [remembered.get(name) for name in "abc"] == [None, "B", "C"]
    remembered.put("b", "again", 10, limit=100)
    assert (remembered.get("b"), remembered.held) == ("again", 50)
    remembered.forget("b")
    remembered.forget("b")
    assert remembered.held == 40


def test_however_small_there_are_not_too_many():
    remembered: Remembered[int] = Remembered()
    for number in range(MOST + 10):
        remembered.put(str(number), number, 0, limit=100)
    assert len(remembered.entries) == MOST
