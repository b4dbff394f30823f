"""Video: sampled frames, ends that need an explanation, and a decoder that may die."""

import os
import sys

import numpy as np
import pytest

from edge_runtime.bundle.errors import InputError
from edge_runtime.media import video_files
from tests.support.pictures import BLUE, GREEN, RED, mjpeg_avi, picture, raw_avi

SENDS_ONE_FRAME = """
import os, signal, sys
sys.stdout.buffer.write(b'{"number": 0, "seconds": 0.0, "height": 1, "width": 2}\\n' + bytes(range(6)))
sys.stdout.buffer.flush()
"""


def collected(path, code=None, **options):
    """The frames, and the error at the end or None; `code` runs in the place of the decoder."""
    command = [sys.executable, "-c", code] if code else None
    frames = []
    try:
        for frame in video_files.read_video(path, command, **options):
            frames.append(frame)
    except InputError as error:
        return frames, str(error)
    return frames, None


def test_one_frame_per_second_is_sampled(tmp_path):
    frames, error = collected(mjpeg_avi(tmp_path / "v.avi", [RED, GREEN, BLUE]))
    assert error is None
    assert [(frame.number, frame.seconds) for frame in frames] == [(0, 0.0), (10, 1.0), (20, 2.0)]
    for frame, colour in zip(frames, (RED, GREEN, BLUE), strict=True):
        assert np.abs(frame.frame[24, 48].astype(int) - colour).max() < 12


def test_a_cut_off_video_gives_its_frames_and_then_a_reason(tmp_path):
    path = mjpeg_avi(tmp_path / "v.avi", [RED, GREEN, BLUE])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames, error = collected(path)
    assert 1 <= len(frames) < 3
    assert error is not None
    assert "of 30 announced frames" in error


@pytest.mark.parametrize("data", [b"", b"no video", bytes(5000)])
def test_what_is_no_video_has_a_reason(tmp_path, data):
    path = tmp_path / "v.mp4"
    path.write_bytes(data)
    assert collected(path) == (
        [],
        "v.mp4 cannot be opened as a video: damaged, cut off or of an unknown format; copy it again",
    )


def test_a_decoder_that_crashes_costs_only_what_it_had_not_sent(tmp_path):
    frames, error = collected(tmp_path / "v.mp4", SENDS_ONE_FRAME + "os.kill(os.getpid(), signal.SIGSEGV)")
    assert frames[0].frame.tolist() == [[[0, 1, 2], [3, 4, 5]]]
    assert error is not None
    assert "(exit -11) after 1 sampled frames" in error


def test_a_decoder_that_hangs_is_killed(tmp_path):
    frames, error = collected(tmp_path / "v.mp4", SENDS_ONE_FRAME + "signal.pause()", silence_seconds=5.0)
    assert len(frames) == 1
    assert error is not None
    assert "broke or hung the video decoder (exit -9)" in error


def test_an_avi_that_aborts_some_opencv_versions_does_not_abort_us(tmp_path):
    path = tmp_path / "raw.avi"
    path.write_bytes(raw_avi([picture(RED)] * 12))
    frames, error = collected(path)
    assert error is not None or [frame.number for frame in frames] == [0, 5, 10]


def test_leaving_early_ends_the_decoder(tmp_path):
    note = f"import os, pathlib; pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))"
    command = [sys.executable, "-c", note + SENDS_ONE_FRAME + "signal.pause()"]
    frames = video_files.read_video(tmp_path / "v.avi", command)
    next(frames)
    frames.close()
    with pytest.raises(ProcessLookupError):  # it has ended, and its exit status was collected
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.parametrize(
    ("read", "announced", "explained"),
    [
        (100, 100, True),
        (98, 100, True),
        (97, 100, False),
        (1, 3, True),
        (50, -1, True),
        (50, 0, True),
        (68, 444, False),
        (0, 0, False),
    ],
)
def test_which_ends_need_an_explanation(read, announced, explained):
    assert (video_files.unexplained_end(read, announced) is None) == explained
