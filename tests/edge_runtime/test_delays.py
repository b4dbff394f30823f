"""Waits in seconds, by hand."""

import pytest

from edge_runtime.causes import Cause
from edge_runtime.delays import LONGEST_SECONDS, reconnect_delay, restart_delay, send_delay


def test_the_wait_follows_the_outage_and_a_rejected_login_doubles():
    assert reconnect_delay(Cause.REFUSED, 1, 1, 0.5) == 0.5
    assert reconnect_delay(Cause.REFUSED, 60, 30, 0.5) == 1.5
    assert reconnect_delay(Cause.TIMEOUT, 60, 3, 1.0) == pytest.approx(1.875)
    assert reconnect_delay(Cause.REFUSED, 86400, 999, 1.0) == LONGEST_SECONDS
    assert [reconnect_delay(Cause.AUTH, 1, tries, 0.5) for tries in (1, 2, 3, 9)] == [5, 10, 20, 60]
    assert {reconnect_delay(Cause.REFUSED, 60, 1) for _ in range(20)} != {1.5}


def test_a_process_that_crashes_again_and_again_waits_up_to_a_minute():
    assert [restart_delay(crashes) for crashes in (1, 2, 3, 7, 10_000)] == [1, 2, 4, 60, 60]


@pytest.mark.parametrize(
    ("failures", "chance", "seconds"), [(1, 0.0, 1.0), (1, 1.0, 0.5), (4, 0.5, 6.0), (9999, 0.0, 60.0)]
)
def test_sending_waits_twice_as_long_each_time(failures, chance, seconds):
    assert send_delay(failures, chance) == seconds
    assert send_delay(failures, chance, first=5.0, cap=300.0) == 5 * seconds
