"""A command is seen from outside: when its lines come, what it took, and its own memory rather than its parent's."""

import json
import subprocess
import sys

from tests.support import ROOT

PROGRAM = "import time; print('{}', flush=True); time.sleep(0.2); print('end'); raise SystemExit(3)"


def launch(*command):
    launcher = [sys.executable, "-S", "-E", str(ROOT / "benchmarks" / "peers" / "launch.py"), *command]
    done = subprocess.run(launcher, capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout)


def test_lines_come_with_the_moment_at_which_they_were_written():
    taken = launch(sys.executable, "-S", "-E", "-c", PROGRAM)
    assert taken["lines"] == ["{}", "end"]
    assert taken["times"][1] - taken["times"][0] >= 0.15
    assert taken["seconds"] >= taken["times"][1]
    assert taken["code"] == 3


def test_memory_is_that_of_the_command_although_this_process_is_large():
    ballast = bytearray(b"x") * 200_000_000
    small = launch(sys.executable, "-S", "-E", "-c", "pass")["peak_mb"]
    large = launch(sys.executable, "-S", "-E", "-c", "b = bytearray(b'x') * 100_000_000")["peak_mb"]
    assert len(ballast) == 200_000_000
    assert small < 50
    assert 90 < large - small < 140
