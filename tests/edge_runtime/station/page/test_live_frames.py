"""Live pictures in shared memory: only while somebody looks, at most once a second a view, small, whole."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from edge_runtime.bundle.decision import DecisionRule
from edge_runtime.bundle.store import open_bundle
from edge_runtime.cameras.settings import CameraSettings
from edge_runtime.station.page.live_frames import MAX_SIDE, LiveFrames, LiveWriter, shown_label, shrunk, views_of
from tests.support import ROOT, spot_bundle
from tests.support.colour_bundle import make_bundle
from tests.support.sample_events import judged_view
from tests.support.scored_views import scored_view

RATES = {"yard": 0.5, "gate": 0.5}
READER = """
import sys
from edge_runtime.station.page.live_frames import LiveFrames
frames = LiveFrames(handle=int(sys.argv[1]))
frames.want(100.0)
print(frames.views, frames.read(1).picture[0, 0].tolist(), frames.about(1)[1]["camera"], frames.read(0))
"""


@pytest.fixture
def frames():
    made = LiveFrames(2)
    yield made
    made.close()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return open_bundle(make_bundle(tmp_path_factory.mktemp("bundle"), ("fp32",)))


def test_a_view_is_written_only_while_somebody_looks_and_once_a_second(frames, bundle):
    writer = LiveWriter(frames, [("yard", ""), ("gate", "")], lambda: bundle, RATES)
    view = judged_view((0, 0, 255))
    writer.judged([view], 0, 1.0)
    assert frames.read(0).number == 1  # the first one
    writer.judged([view], 0, 10.0)
    assert frames.read(0).number == 1  # nobody looks
    frames.want(10.0)
    writer.judged([view], 0, 10.1)
    writer.judged([view], 0, 11.0)  # too soon
    assert frames.read(0).number == 2
    writer.judged([view], 0, 11.1)
    assert frames.read(0).number == 3
    writer.judged([view], 0, 16.0)  # nobody looks any more
    assert frames.read(0).number == 3
    assert frames.read(1) is None


def test_a_camera_that_is_seldom_judged_keeps_every_picture(frames, bundle):
    writer = LiveWriter(frames, [("yard", "")], lambda: bundle, {"yard": 0.01})
    for minute in range(3):
        writer.judged([judged_view((0, 0, 255))], 0, 60.0 * minute)
    assert frames.read(0).number == 3


def test_what_is_told_of_a_view_is_what_the_model_said(frames, bundle):
    frames.want(0.0)
    LiveWriter(frames, [("yard", "")], lambda: bundle, RATES).judged([judged_view((0, 0, 255))], 0, 1.0)
    found = frames.read(0)
    assert found.about.items() >= {"camera": "yard", "label": "rust", "flagged": True, "threshold": 0.4}.items()
    assert found.about["model"] == bundle.identity()
    assert (found.about["size"], found.about["limit"]) == ([48, 64], 8.0)  # two turns, three seconds, one more
    assert np.array_equal(found.picture, judged_view((0, 0, 255)).image)
    assert np.array_equal(found.map, judged_view((0, 0, 255)).evaluation.cams["rust"])


def test_a_healthy_view_shows_the_fault_that_is_nearest_its_threshold(frames, bundle):
    frames.want(0.0)
    LiveWriter(frames, [("yard", "")], lambda: bundle, RATES).judged([judged_view((0, 255, 0))], 0, 1.0)
    about = frames.read(0).about
    assert (about["label"], about["named"], about["flagged"]) == ("rust", "normal", False)


def test_a_view_that_settings_do_not_know_is_left_out(frames, bundle):
    frames.want(0.0)
    LiveWriter(frames, [("gate", "")], lambda: bundle, RATES).judged([judged_view((0, 0, 255))], 0, 1.0)
    assert frames.read(0) is None


def test_another_process_reads_and_asks(frames, bundle):
    frames.want(0.0)
    LiveWriter(frames, [("gate", ""), ("yard", "")], lambda: bundle, RATES).judged([judged_view((0, 0, 255))], 0, 1.0)
    command = [sys.executable, "-c", READER, str(frames.handle)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, pass_fds=[frames.handle], timeout=60)
    assert done.stdout.strip() == "2 [0, 0, 255] yard None", done.stderr
    assert frames.wanted(104.9)
    assert not frames.wanted(105.0)


def test_a_picture_that_is_being_read_elsewhere_is_passed_over(frames, bundle):
    holder = "import fcntl, sys; fcntl.lockf(int(sys.argv[1]), fcntl.LOCK_SH, 1, 0); print('held', flush=True); input()"
    command = [sys.executable, "-c", holder, str(frames.handle)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    writer = LiveWriter(frames, [("yard", "")], lambda: bundle, RATES)
    frames.want(0.0)
    with subprocess.Popen(command, pass_fds=[frames.handle], **pipes) as child:
        assert child.stdout.readline() == b"held\n"
        began = time.monotonic()
        writer.judged([judged_view((0, 0, 255))], 0, 1.0)
        assert time.monotonic() - began < 5  # nobody waits
        child.communicate(b"\n", timeout=60)
    assert frames.read(0) is None
    writer.judged([judged_view((0, 0, 255))], 0, 1.0)  # it is due at once
    assert frames.read(0).number == 1


@pytest.mark.parametrize(("height", "width"), [(1080, 1920), (480, 640), (700, 650), (2160, 3840), (10, 5000)])
def test_a_live_picture_is_small_and_keeps_its_shape(height, width):
    small = shrunk(np.zeros((height, width, 3), np.uint8))
    assert max(small.shape[:2]) <= MAX_SIDE
    assert small.shape[1] / small.shape[0] == pytest.approx(width / height, rel=0.02) or min(small.shape[:2]) == 1


def test_views_are_regions_or_the_whole_frame():
    cameras = [
        CameraSettings("yard", url="usb:0", regions=((0, 0, 0.5, 1), (0.5, 0, 0.5, 1))),
        CameraSettings("gate", "usb:1"),
    ]
    assert views_of(cameras) == [("yard", "region-1"), ("yard", "region-2"), ("gate", "")]


def test_closing_gives_the_descriptor_back():
    frames = LiveFrames(1)
    frames.close()
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(frames.handle)


def test_a_healthy_picture_shows_the_fault_of_the_equipment_that_is_seen():
    """Its kind is as probable for all equipment: without that, any tile would name the first label of all."""
    decision = spot_bundle.RULE.decide(np.array([-3.0, 3.0, -4.0]))
    assert (decision.label, decision.group) == ("pole_fine", "pole")
    assert shown_label(decision, spot_bundle.RULE) == "pole_hot"


def test_a_model_that_knows_no_fault_shows_the_label_that_it_gives(frames, bundle):
    view = scored_view(DecisionRule(("fine", "dog"), ()), [0.0, 2.0], 1.0)
    LiveWriter(frames, [("yard", "")], lambda: bundle, RATES).judged([view], 0, 1.0)
    about = frames.read(0).about
    assert (about["label"], about["flagged"], about["threshold"]) == ("dog", False, 1.0)
