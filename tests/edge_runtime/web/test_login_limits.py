"""Guessing passwords takes longer and longer."""

from edge_runtime.web import login_limits
from edge_runtime.web.login_limits import FREE, LONGEST, LoginLimits


class Time:
    now = 1000.0

    def __call__(self):
        return self.now


def test_the_first_failures_are_free_and_then_the_wait_doubles_up_to_its_longest():
    time = Time()
    limits = LoginLimits(time)
    waits = []
    for _ in range(FREE + 8):
        wait = limits.attempt("anna", "10.0.0.1")
        waits.append(wait)
        time.now += wait
        if wait:
            assert limits.attempt("anna", "10.0.0.1") == 0
    assert waits[:FREE] == [0] * FREE
    assert waits[FREE : FREE + 5] == [1, 2, 4, 8, 16]
    assert waits[-1] == LONGEST


def test_a_guesser_of_one_account_waits_from_every_address_and_one_address_waits_for_every_account():
    limits = LoginLimits(Time())
    for place in range(FREE):
        assert limits.attempt("anna", f"10.0.0.{place}") == 0
    assert limits.attempt("anna", "10.0.9.9") > 0
    limits = LoginLimits(Time())
    for place in range(FREE):
        assert limits.attempt(f"user-{place}", "2001:db8::1") == 0
    assert limits.attempt("another", "2001:db8::ffff") > 0  # one household has the whole /64
    assert limits.attempt("another", "2001:db8:1::1") == 0


def test_a_right_password_clears_the_account_and_does_not_clear_the_address():
    limits = LoginLimits(Time())
    for place in range(FREE - 1):
        limits.attempt(f"user-{place}", "10.0.0.1")
    limits.attempt("anna", "10.0.0.1")
    limits.succeeded("anna", "10.0.0.1")
    assert limits.attempt("someone", "10.0.0.1") == 0
    assert limits.attempt("someone", "10.0.0.1") > 0
    assert limits.attempt("anna", "10.0.0.2") == 0


def test_failures_are_forgiven_one_by_one_while_nobody_tries():
    time = Time()
    limits = LoginLimits(time)
    for _ in range(FREE):
        limits.attempt("anna", "10.0.0.1")
    assert limits.attempt("anna", "10.0.0.1") > 0
    time.now += 3 * login_limits.FORGIVE
    assert [limits.attempt("anna", "10.0.0.1") for _ in range(4)] == [0, 0, 0, 1]


def test_memory_is_bounded_whatever_names_and_addresses_come(monkeypatch):
    monkeypatch.setattr(login_limits, "MOST", 50)
    limits = LoginLimits(Time())
    for place in range(500):
        limits.attempt("x" * 5000 + str(place), f"host {place}")
        limits.attempt(f"name {place}", f"10.1.{place % 256}.{place // 256}")
    assert [len(counts) for counts in limits._counts] == [50, 50]
