"""Video files, decoded in a child process that may die: a decoder's crash must cost one line, not the whole run.

`python -m edge_runtime.media.video_files FILE` is the child. For each sampled frame it writes a JSON line and the
frame's bytes, then one line that says how the stream ended. No last line means that the decoder died.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import cv2
import numpy as np

from ..bundle.errors import InputError
from ..bundle.preprocess import Frame
from ..child_process import end_child, module_command, start_child
from .file_kinds import VIDEO_SUFFIXES as VIDEO_SUFFIXES
from .image_files import MAX_PIXELS

SAMPLE_SECONDS = 1.0  # of the video's own clock, between two frames that are looked at
SILENCE_SECONDS = 60.0  # without the next sampled frame; then the decoder counts as hung
MISSING_SHARE = 0.02  # of the announced frames may be missing before the end needs an explanation


@dataclass(frozen=True)
class VideoFrame:
    """`frame` uint8 (H, W, 3) BGR, its `number` from 0 and its time in `seconds` from the start."""

    frame: Frame
    number: int
    seconds: float


def read_video(
    path: Path, command: Sequence[str] | None = None, silence_seconds: float = SILENCE_SECONDS
) -> Iterator[VideoFrame]:
    """Yield about one frame per second; InputError after the last readable one, where the end is unexplained.

    `command` stands in for the decoder process in tests. A decoder that is silent for `silence_seconds` is killed.
    """
    child = start_child(
        command or module_command("edge_runtime.media.video_files", str(path.absolute())),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield from _frames(child, path.name, silence_seconds)
    finally:
        end_child(child)  # if it has not ended, nobody reads it any more


def _frames(child: "subprocess.Popen[bytes]", name: str, silence_seconds: float) -> Iterator[VideoFrame]:
    seen = 0
    while (message := _next_message(child, silence_seconds)) is not None:
        head, data = message
        if "end" in head:
            if head["end"] is not None:
                raise InputError(f"{name} {head['end']}")
            return
        seen += 1
        frame = np.frombuffer(data, np.uint8).reshape(head["height"], head["width"], 3)
        yield VideoFrame(frame, head["number"], head["seconds"])
    raise InputError(
        f"{name} broke or hung the video decoder (exit {end_child(child)}) after {seen} sampled frames: damaged, or "
        "of a variant it cannot read; convert it with ffmpeg and try again"
    )


def _next_message(child: "subprocess.Popen[bytes]", silence_seconds: float) -> tuple[dict[str, Any], bytes] | None:
    """Return header and frame bytes; None where the child died, or was killed because it kept silent."""
    stream = cast(IO[bytes], child.stdout)  # opened with PIPE
    watchdog = threading.Timer(silence_seconds, child.kill)
    watchdog.start()
    try:
        line = stream.readline()
        if not line.endswith(b"\n"):
            return None
        head: dict[str, Any] = json.loads(line)
        size = head.get("height", 0) * head.get("width", 0) * 3
        data = stream.read(size)
        return (head, data) if len(data) == size else None
    finally:
        watchdog.cancel()


def _decode(path: str, out: IO[bytes]) -> None:
    """Decode `path` and write the sampled frames to `out`: the child process does nothing else."""
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG)  # this backend alone: others read numbered files or devices
    width, height = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
    if not capture.isOpened():
        return _send(out, end="cannot be opened as a video: damaged, cut off or of an unknown format; copy it again")
    if width * height > MAX_PIXELS:
        return _send(out, end=f"is too large: {width:.0f} x {height:.0f} pixels, at most {MAX_PIXELS} are read")
    read, due = 0, 0.0
    while capture.grab():
        seconds = _seconds(capture, read)
        if seconds >= due:
            done, frame = capture.retrieve()
            if done:
                _send(out, number=read, seconds=round(seconds, 3), height=frame.shape[0], width=frame.shape[1])
                out.write(frame.tobytes())
                out.flush()  # what has been decoded must survive a crash on the next frame
                due = seconds + SAMPLE_SECONDS
        read += 1
    _send(out, end=unexplained_end(read, capture.get(cv2.CAP_PROP_FRAME_COUNT)))
    return None


def _seconds(capture: Any, number: int) -> float:
    """Return the frame's time stamp, or where the container has none, its number over the frame rate."""
    stamp = float(capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
    rate = float(capture.get(cv2.CAP_PROP_FPS))
    return stamp if stamp > 0 else number / (rate if 0 < rate < 1000 else 25.0)


def unexplained_end(read: int, announced: float) -> str | None:
    """Return why the video ends too early, or None.

    A cut-off file ends like a whole one; only the announced count can tell, and containers lie, so with a margin.
    """
    if read == 0:
        return "holds no frame that can be read: damaged or cut off; copy it again"
    if read + max(2.0, MISSING_SHARE * announced) < announced:
        return f"ends after {read} of {announced:.0f} announced frames: damaged or cut off; copy it again"
    return None


def _send(out: IO[bytes], **head: Any) -> None:
    out.write(json.dumps(head).encode() + b"\n")


def _child() -> None:
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "protocol_whitelist;file"  # a playlist must not reach the network
    try:
        _decode(sys.argv[1], sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # the parent has lost interest
        os._exit(0)  # skip the interpreter's own flush, which would complain


if __name__ == "__main__":
    _child()
