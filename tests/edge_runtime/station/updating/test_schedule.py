"""When the update process is started, with real processes and times that are passed in."""

import sys
from pathlib import Path

from edge_runtime.station.updating.schedule import CommandSchedule, Schedules
from tests.support.sample_events import wait_until

HOUR = 3600.0


def command(log: Path, code: int = 0, more: str = "pass") -> list[str]:
    return [sys.executable, "-c", f"open({str(log)!r}, 'a').write('x'); {more}; raise SystemExit({code})"]


def runs(log: Path) -> int:
    return len(log.read_text()) if log.exists() else 0


def settle(schedule: CommandSchedule, now: float, log: Path, count: int) -> None:
    """Tick at `now` until the process has run `count` times and has ended."""

    def ended() -> bool:
        schedule.tick(now, busy=True)  # starts none
        return runs(log) == count and schedule._child is None

    wait_until(ended)


def test_it_runs_a_while_after_the_start_and_then_at_its_interval(tmp_path):
    log = tmp_path / "log"
    schedule = CommandSchedule(command(log), HOUR, first=60, chance=lambda: 0.5)
    for now in (0.0, 62.0):
        schedule.tick(now, busy=False)
    assert schedule._child is None
    schedule.tick(63.0, busy=False)
    settle(schedule, 64.0, log, 1)
    schedule.tick(64.0 + HOUR, busy=False)
    assert schedule._child is None  # each interval is longer by up to a tenth, so that stations do not ask in step
    schedule.tick(64.0 + 1.05 * HOUR, busy=False)
    settle(schedule, 64.0 + 1.05 * HOUR, log, 2)


def test_what_failed_is_tried_again_sooner_and_ever_later(tmp_path):
    log = tmp_path / "log"
    schedule = CommandSchedule(command(log, code=1), HOUR, first=0, chance=lambda: 0.0)
    now = 0.0
    for count, wait in enumerate([30.0, 60.0, 120.0], 1):
        schedule.tick(now, busy=False)
        settle(schedule, now, log, count)
        schedule.tick(now + wait - 1, busy=False)
        assert schedule._child is None
        now += wait


def test_it_waits_while_the_service_is_busy_with_a_model(tmp_path):
    log = tmp_path / "log"
    schedule = CommandSchedule(command(log), HOUR, first=0)
    schedule.tick(0.0, busy=False)
    settle(schedule, 0.0, log, 1)
    schedule.tick(2 * HOUR, busy=True)
    assert schedule._child is None
    schedule.tick(2 * HOUR + 1, busy=False)
    settle(schedule, 2 * HOUR + 1, log, 2)


def test_a_stop_ends_the_process_and_nothing_to_run_is_never_run(tmp_path):
    log = tmp_path / "log"
    schedule = CommandSchedule(command(log, more="import time; time.sleep(60)"), HOUR, first=0)
    schedule.tick(0.0, busy=False)
    wait_until(lambda: runs(log) == 1)
    child = schedule._child
    schedule.stop()
    assert child.poll() is not None
    missing = CommandSchedule(["/no/such/program"], HOUR, first=0)  # it cannot be started, and is tried again later
    missing.tick(0.0, busy=False)
    missing.tick(1.0, busy=False)
    none = CommandSchedule((), HOUR, first=0)
    none.tick(1e9, busy=False)
    assert none._child is None


def test_several_schedules_are_looked_after_together(tmp_path):
    logs = [tmp_path / "one", tmp_path / "two"]
    both = Schedules(*(CommandSchedule(command(log), HOUR, first=0) for log in logs))
    both.tick(0.0, busy=False)
    wait_until(lambda: [runs(log) for log in logs] == [1, 1])
    both.stop()
