"""Video: sampled frames, ends that need an explanation, and a decoder that may die."""

import os
import struct
import sys

import numpy as np
import pytest

from edge_runtime.bundle.errors import InputError
from edge_runtime.media import video_files
from tests.support.pictures import BLUE, GREEN, RED, interlaced_video, mjpeg_avi, picture, raw_avi

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


@pytest.mark.parametrize("data", [b"no video", bytes(5000)])
def test_what_is_no_video_has_a_reason(tmp_path, data):
    path = tmp_path / "v.mp4"
    path.write_bytes(data)
    assert collected(path) == (
        [],
        "v.mp4 cannot be opened as a video: it is damaged, cut off, sound alone or of an unknown format; copy it again",
    )


@pytest.mark.parametrize("diverted", [{}, {"OPENCV_FFMPEG_LOGLEVEL": "-8"}, {"OPENCV_FFMPEG_DEBUG": "1"}])
def test_an_interlaced_video_is_never_judged_by_what_the_memory_held(tmp_path, monkeypatch, diverted):
    for name, value in diverted.items():
        monkeypatch.setenv(name, value)
    frames, error = collected(interlaced_video(tmp_path / "v.mpg"))
    assert all(abs(frame.frame.mean() - picture(GREEN).mean()) < 20 for frame in frames)  # where OpenCV reads it
    assert frames or "is interlaced" in str(error)


def test_an_empty_video_is_told_as_empty(tmp_path):
    (tmp_path / "v.mp4").touch()
    assert "is empty (0 bytes)" in str(collected(tmp_path / "v.mp4")[1])


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
    ("read", "announced", "seconds", "announced_seconds", "explained"),
    [
        (100, 100, 10, 10, True),
        (98, 100, 9.8, 10, True),
        (90, 100, 9, 10, False),
        (1, 3, 0.1, 0.3, True),
        (50, -1, 5, 0, True),
        (50, 0, 5, 0, True),
        (68, 444, 6.8, 44.4, False),
        (100, 1231, 41, 41, True),  # the frame rate varies, so the count was an estimate
        (100, 100, 10, 40, True),  # every frame is there
        (0, 0, 0, 0, False),
    ],
)
def test_which_ends_need_an_explanation(read, announced, seconds, announced_seconds, explained):
    assert (video_files.unexplained_end(read, announced, seconds, announced_seconds) is None) == explained


def avi_header(tracks: int) -> bytes:
    return b"RIFF\0\0\0\0AVI " + b"strh\x38\0\0\0vids".ljust(64, b"\0") * tracks


def iso_file(*boxes: tuple[bytes, bytes], missing: int = 0) -> bytes:
    data = b"".join(struct.pack(">I4s", 8 + len(body), kind) + body for kind, body in boxes)
    return data[: len(data) - missing]


VIDEO_TRACK = b"hdlr" + bytes(8) + b"vide"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (avi_header(1), None),
        (avi_header(2), "holds 2 videos side by side"),
        (iso_file((b"ftyp", b"isom"), (b"mdat", bytes(99)), (b"moov", VIDEO_TRACK)), None),
        (iso_file((b"ftyp", b"isom"), (b"mdat", bytes(99)), (b"moov", VIDEO_TRACK * 2)), "holds 2 videos side by side"),
        (b"\x1aE\xdf\xa3\x16\x54\xae\x6b" + b"\x83\x81\x01" * 3 + b"\x1f\x43\xb6\x75\x83\x81\x01", "holds 3 videos"),
        (b"", None),
    ],
)
def test_what_the_decoder_does_not_show_is_told(tmp_path, data, told):
    (tmp_path / "v").write_bytes(data)
    found = video_files.unseen_tracks(tmp_path / "v")
    assert (found or "").startswith(told or "")
    assert (found is None) == (told is None)


def test_a_file_whose_parts_are_not_all_there_is_cut_off(tmp_path):
    boxes = ((b"ftyp", b"isom"), (b"moov", VIDEO_TRACK), (b"mdat", bytes(100)))
    for missing, told in ((0, None), (30, "is cut off: 30 of 144 bytes are missing; copy it again")):
        (tmp_path / "v.mp4").write_bytes(iso_file(*boxes, missing=missing))
        assert video_files.cut_off(tmp_path / "v.mp4") == told


def test_a_video_behind_a_picture_is_read_from_its_place(tmp_path):
    film = mjpeg_avi(tmp_path / "v.avi", [RED, GREEN]).read_bytes()
    (tmp_path / "moving.jpg").write_bytes(b"\xff\xd8\xff picture" + film)
    frames = list(video_files.read_video(tmp_path / "moving.jpg", offset=11))
    assert [frame.seconds for frame in frames] == [0.0, 1.0]
