"""The shared memory: the newest frame once, never a mixture, and a marked frame beside it."""

import os
import subprocess
import sys
import time

import numpy as np

from edge_runtime.cameras.frame_marker import draw_mark, has_mark
from edge_runtime.cameras.shared_frame import MAX_FRAME_BYTES, Field, SharedFrame
from edge_runtime.cameras.thumbnail import thumbnail_of
from edge_runtime.causes import Cause
from tests.support import ROOT


def test_the_newest_frame_is_given_once_and_those_before_it_are_counted():
    writer = SharedFrame()
    reader = SharedFrame(os.dup(writer.handle))
    assert reader.take_newest() is None
    for level in (1, 2, 3):
        assert writer.publish(np.full((2, 3, 3), level, np.uint8), float(level))
    image, captured = reader.take_newest()
    assert (captured, image.shape, int(image.max()), reader.skipped) == (3.0, (2, 3, 3), 3, 2)
    assert reader.take_newest() is None
    largest = np.zeros((2160, 3840, 3), np.uint8)
    assert largest.nbytes == MAX_FRAME_BYTES
    assert writer.publish(largest, 0)
    writer.close()
    reader.close()


def test_a_frame_that_is_not_wanted_is_looked_at_in_place_and_counts_as_taken():
    shared = SharedFrame()
    looks = []
    shared.publish(np.full((64, 64, 3), 7, np.uint8), 1.0)
    assert shared.take_newest(lambda image, captured: looks.append((thumbnail_of(image), captured))) is None
    shared.publish(np.full((64, 64, 3), 9, np.uint8), 2.0)
    shared.publish(np.full((64, 64, 3), 11, np.uint8), 3.0)  # into the slot of the first
    (thumbnail, captured), *_ = looks
    assert (captured, int(thumbnail.rows.max()), float(thumbnail.luma.max())) == (1.0, 7, 7.0)
    assert shared.take_newest()[1] == 3.0
    assert shared.skipped == 1
    shared.close()


def test_the_cause_is_kept():
    shared = SharedFrame()
    shared.cause = Cause.STALLED
    assert shared.cause is Cause.STALLED
    shared.cause = None
    assert shared.cause is None
    shared.close()


def test_a_marked_frame_takes_no_frames_place_and_is_wanted_until_it_is_published():
    shared = SharedFrame()
    image = np.full((90, 120, 3), 50, np.uint8)
    assert (shared.wanted_mark, shared.take_marked()) == (0, None)
    for token in (1, 2):
        shared[Field.MARK_WANTED] = token
        assert shared.wanted_mark == token
        shared.publish(image, 1.0)
        assert shared.publish_marked(draw_mark(image, token), 1.0, token)
        assert shared.wanted_mark == 0
        found, marked = shared.take_marked()
        assert found == token
        assert has_mark(marked, token)
        assert shared.take_marked() is None
        assert np.array_equal(shared.take_newest()[0], image)
    assert shared.skipped == 0
    shared.close()


def test_the_memory_of_a_marked_frame_is_given_back():
    shared = SharedFrame()
    image = draw_mark(np.full((1080, 1920, 3), 50, np.uint8), 1)
    shared.publish(image, 1.0)
    before = os.fstat(shared.handle).st_blocks
    shared.publish_marked(image, 1.0, 1)
    assert os.fstat(shared.handle).st_blocks > 1.9 * before
    assert shared.take_marked() is not None
    assert os.fstat(shared.handle).st_blocks == before
    shared.close()


WRITER = """
import sys, time
import numpy as np
from edge_runtime.cameras.shared_frame import SharedFrame
shared = SharedFrame(int(sys.argv[1]))
print("ready", flush=True)
level = 0
while True:
    level = (level + 1) % 256
    shared.publish(np.full((300 + level, 400, 3), level, np.uint8), time.monotonic())
"""


def test_a_reader_never_sees_a_mixture_and_a_killed_writer_leaves_no_lock():
    shared = SharedFrame()
    seen, last = 0, 0.0
    for _ in range(3):
        command = [sys.executable, "-c", WRITER, str(shared.handle)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, pass_fds=(shared.handle,), cwd=ROOT) as writer:
            writer.stdout.readline()
            found, deadline = 0, time.monotonic() + 60
            while found < 200:
                assert time.monotonic() < deadline
                if (newest := shared.take_newest()) is not None:
                    assert newest[1] >= last
                    last = newest[1]
                    level = int(newest[0][0, 0, 0])
                    assert newest[0].shape[0] == 300 + level
                    assert (newest[0] == level).all()
                    found += 1
            writer.kill()
        seen += found
        assert shared.publish(np.zeros((1, 1, 3), np.uint8), 0)
        assert shared.take_newest()[0].shape == (1, 1, 3)
    assert seen == 600
    shared.close()
