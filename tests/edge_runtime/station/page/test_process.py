"""The page's process: started as a child, started again when it dies, gone with its parent."""

import os
import subprocess
import sys

from edge_runtime.station.page.live_frames import LiveFrames
from edge_runtime.station.page.process import HUNG_SECONDS, NICENESS, PageProcess
from tests.support import ROOT
from tests.support.sample_events import wait_until

LIVING = "import os, sys; os.write(int(sys.argv[1]), b'x'); sys.stdin.read()"
FOLLOWER = """
import os, sys, threading
from edge_runtime.station.page.process import follow_parent
stop = threading.Event()
follow_parent(stop)
print(os.nice(0), flush=True)
sys.exit(0 if stop.wait(60) else 3)
"""


def test_a_page_that_dies_is_started_again_later_and_later():
    process = PageProcess([sys.executable, "-c", "raise SystemExit(1)"])
    starts: list[int] = []

    def tick(now: float) -> None:
        before = process._child
        process.tick(now)
        if process._child is not None and process._child is not before:
            starts.append(process._child.pid)
            process._child.wait(60)

    for now in (0.0, 0.1, 0.2):
        tick(now)
    assert len(starts) == 1  # it waits
    tick(30.0)
    assert len(starts) == 2
    process.stop()


def test_a_living_page_is_left_alone_inherits_the_memory_and_ends_with_the_service():
    frames = LiveFrames(1)
    command = [sys.executable, "-c", LIVING, str(frames.handle)]
    process = PageProcess(command, frames)
    process.tick(0.0)
    child = process._child
    wait_until(lambda: os.pread(frames.handle, 1, 0) == b"x")
    process.tick(1.0)
    assert process._child is child
    process.stop()
    assert child.poll() is not None


def test_a_page_that_hangs_is_ended_and_started_again(caplog):
    frames = LiveFrames(1)
    process = PageProcess([sys.executable, "-c", LIVING, str(frames.handle)], frames)
    process.tick(0.0)
    first = process._child
    frames.say_alive(50.0)
    process.tick(50.0 + HUNG_SECONDS)
    assert process._child is first
    process.tick(50.1 + HUNG_SECONDS)
    assert "has not answered for 60 s" in caplog.text
    assert first.poll() is not None
    process.tick(80.0 + HUNG_SECONDS)
    assert process._child not in (None, first)
    process.stop()


def test_a_page_that_cannot_be_started_does_not_end_the_watch(caplog):
    process = PageProcess(["/no/such/program"])
    process.tick(0.0)
    assert "the page cannot be started" in caplog.text
    process.stop()


def test_without_a_command_there_is_no_page():
    process = PageProcess()
    process.tick(0.0)
    process.stop()


def test_a_child_whose_parent_is_gone_stops_and_makes_way_for_the_watch():
    with subprocess.Popen(
        [sys.executable, "-c", FOLLOWER], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert int(child.stdout.readline()) == min(19, os.nice(0) + NICENESS)
        child.stdin.close()  # as when the service is killed
        assert child.wait(60) == 0


def test_a_page_that_ends_by_itself_does_not_stumble_over_the_watch_on_its_parent():
    script = FOLLOWER.replace("sys.exit(0 if stop.wait(60) else 3)", "sys.exit(7)")
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE) as child:
        assert child.wait(60) == 7
