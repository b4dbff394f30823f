import threading
import time

import pytest

from edge_runtime.updates.errors import Reason, UpdateDelayed
from edge_runtime.updates.rate_limit import RateLimit


class Stop(threading.Event):
    """Notes how long it was waited for and lets that time pass on a clock of its own."""

    def __init__(self, start: float = 100.0) -> None:
        super().__init__()
        self.now, self.waits = start, []

    def wait(self, timeout=None):
        self.waits.append(timeout)
        self.now += timeout
        return self.is_set()


def test_a_thousand_bytes_a_second_let_four_thousand_through_in_four_seconds_less_the_burst():
    stop = Stop()
    limit = RateLimit(1000, monotonic=lambda: stop.now)
    for _ in range(8):
        limit.take(500, stop)
    assert sum(stop.waits) == pytest.approx(4.0, abs=0.25)


def test_a_link_that_stood_still_may_not_catch_up_at_once():
    stop = Stop()
    limit = RateLimit(1000, monotonic=lambda: stop.now)
    stop.now += 3600
    limit.take(1250, stop)
    assert stop.waits == [pytest.approx(1.0)]  # 1.25 s of the rate, of which a quarter is free


def test_without_a_rate_nothing_waits():
    stop = Stop()
    RateLimit(0).take(1 << 30, stop)
    assert stop.waits == []


def test_quiet_hours_end_the_download_with_their_reason():
    quiet = [False]
    limit = RateLimit(0, lambda: quiet[0])
    limit.take(10, threading.Event())
    quiet[0] = True
    with pytest.raises(UpdateDelayed, match="it goes on by itself") as caught:
        limit.take(10, threading.Event())
    assert caught.value.reason == Reason.QUIET


def test_a_stop_wakes_whoever_waits():
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    began = time.monotonic()
    with pytest.raises(UpdateDelayed) as caught:
        RateLimit(1).take(1000, stop)
    assert caught.value.reason == Reason.STOPPED
    assert time.monotonic() - began < 30


def test_an_alarm_that_waits_holds_the_download_up_until_it_is_out():
    waiting = iter([True, True, False])
    limit = RateLimit(hold=lambda: next(waiting, False))
    limit.take(1000, threading.Event())
    assert next(waiting, None) is None  # it asked until the alarm was out


def test_a_receiver_that_is_down_does_not_hold_the_download_up_for_ever():
    clock = iter(range(0, 1000, 25))  # each question is 25 s after the one before
    asked = []
    limit = RateLimit(hold=lambda: bool(asked.append(1)) or True, monotonic=lambda: next(clock))
    limit.take(1000, threading.Event())
    assert len(asked) == 4  # at 0, 25 and 50 s it waits, at 75 s no more
    limit.take(1000, threading.Event())
    assert len(asked) == 5  # and it does not begin to wait anew for the same alarm
