"""How long a session lasts."""

from edge_runtime.web import sessions
from edge_runtime.web.accounts import Account, Role
from edge_runtime.web.sessions import ABSOLUTE, HOUR, IDLE, Sessions

ANNA, WALL = Account("anna", Role.OPERATOR), Account("wall", Role.VIEWER)


class Time:
    now = 0.0

    def __call__(self):
        return self.now


def test_an_operators_session_ends_after_a_shift_without_use_and_after_a_day_in_any_case():
    time = Time()
    known = Sessions(time)
    idle, busy = known.start(ANNA), known.start(ANNA)
    for _ in range(int(IDLE[Role.OPERATOR] / HOUR)):
        time.now += HOUR
        assert known.find(busy.id, use=True) is busy
        assert known.find(idle.id, use=False) is idle  # its page asks by itself
    time.now += 1
    assert known.find(idle.id, use=True) is None
    while time.now < ABSOLUTE[Role.OPERATOR]:
        assert known.find(busy.id, use=True) is busy
        time.now += HOUR
    assert known.find(busy.id, use=True) is None


def test_a_screen_on_a_wall_stays_for_a_month():
    time = Time()
    known = Sessions(time)
    wall = known.start(WALL)
    time.now = 29 * 24 * HOUR
    assert known.find(wall.id, use=False) is wall
    time.now = 31 * 24 * HOUR
    assert known.find(wall.id, use=True) is None


def test_an_ended_session_is_gone_and_ids_and_tokens_are_secret_random_and_not_shown():
    known = Sessions()
    one, other = known.start(ANNA), known.start(ANNA)
    assert len({one.id, other.id, one.csrf, other.csrf}) == 4
    assert one.id not in repr(one)
    assert one.csrf not in repr(one)
    known.end(one.id)
    known.end("never begun")
    assert known.find(one.id, use=True) is None
    assert known.find(other.id, use=True) is other


def test_there_are_never_too_many_and_the_one_unused_for_longest_goes_first(monkeypatch):
    monkeypatch.setattr(sessions, "MOST_SESSIONS", 3)
    time = Time()
    known = Sessions(time)
    begun = []
    for _ in range(3):
        begun.append(known.start(WALL))
        time.now += 1
    known.find(begun[0].id, use=True)
    known.start(WALL)
    assert known.find(begun[1].id, use=False) is None
    assert known.find(begun[0].id, use=False) is begun[0]
