"""Video files, decoded in a child process that may die: a decoder's crash must cost one line, not the whole run.

`python -m edge_runtime.media.video_files FILE` is the child. For each sampled frame it writes a JSON line and the
frame's bytes, then one line that says how the stream ended. No last line means that the decoder died.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np

from ..bundle.errors import InputError
from ..bundle.preprocess import Frame
from .image_files import MAX_PIXELS

SAMPLE_SECONDS = 1.0  # of the video's own clock, between two frames that are looked at
PATIENCE_SECONDS = 60.0  # for the next sampled frame; then the decoder counts as hung
MISSING_SHARE = 0.02  # of the announced frames may be missing before the end needs an explanation


@dataclass(frozen=True)
class VideoFrame:
    """`frame` uint8 (H, W, 3) BGR, its `number` from 0 and its time in `seconds` from the start."""

    frame: Frame
    number: int
    seconds: float


def read_video(path: Path) -> Iterator[VideoFrame]:
    """Yield about one frame per second; InputError after the last readable one, where the end is unexplained."""
    with subprocess.Popen(
        _decoder(path),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).resolve().parents[2],  # -m looks there first, so nothing in the user's folder is imported
    ) as child:
        try:
            yield from _frames(child, path.name)
        finally:
            child.kill()  # harmless if it has ended; else nobody reads it any more


def _decoder(path: Path) -> list[str]:
    return [sys.executable, "-m", "edge_runtime.media.video_files", str(path.absolute())]


def _frames(child: "subprocess.Popen[bytes]", name: str) -> Iterator[VideoFrame]:
    seen = 0
    while (message := _next_message(child)) is not None:
        head, data = message
        if "end" in head:
            if head["end"] is not None:
                raise InputError(f"{name} {head['end']}")
            return
        seen += 1
        frame = np.frombuffer(data, np.uint8).reshape(head["height"], head["width"], 3)
        yield VideoFrame(frame, head["number"], head["seconds"])
    child.kill()
    raise InputError(
        f"{name} broke or hung the video decoder (exit {child.wait()}) after {seen} sampled frames: damaged, or of a "
        "variant it cannot read; convert it with ffmpeg and try again"
    )


def _next_message(child: "subprocess.Popen[bytes]") -> tuple[dict[str, Any], bytes] | None:
    """Header and frame bytes; None where the child died, or was killed because it kept silent."""
    assert child.stdout is not None  # by construction: stdout=PIPE
    watchdog = threading.Timer(PATIENCE_SECONDS, child.kill)
    watchdog.start()
    try:
        line = child.stdout.readline()
        if not line.endswith(b"\n"):
            return None
        head: dict[str, Any] = json.loads(line)
        size = head.get("height", 0) * head.get("width", 0) * 3
        data = child.stdout.read(size)
        return (head, data) if len(data) == size else None
    finally:
        watchdog.cancel()


def _decode(path: str, out: IO[bytes]) -> None:
    """The child's whole life."""
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG)  # this backend alone: others read numbered files or devices
    width, height = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
    if not capture.isOpened():
        return _say(out, end="cannot be opened as a video: damaged, cut off or of an unknown format; copy it again")
    if width * height > MAX_PIXELS:
        return _say(out, end=f"is too large: {width:.0f} x {height:.0f} pixels, at most {MAX_PIXELS} are read")
    read, due = 0, 0.0
    while capture.grab():
        seconds = _seconds(capture, read)
        if seconds >= due:
            done, frame = capture.retrieve()
            if done:
                _say(out, number=read, seconds=round(seconds, 3), height=frame.shape[0], width=frame.shape[1])
                out.write(frame.tobytes())
                out.flush()  # what has been decoded must survive a crash on the next frame
                due = seconds + SAMPLE_SECONDS
        read += 1
    _say(out, end=_unexplained(read, capture.get(cv2.CAP_PROP_FRAME_COUNT)))
    return None


def _seconds(capture: Any, number: int) -> float:
    """The frame's time stamp, or where the container has none, its number over the frame rate."""
    stamp = float(capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
    rate = float(capture.get(cv2.CAP_PROP_FPS))
    return stamp if stamp > 0 else number / (rate if 0 < rate < 1000 else 25.0)


def _unexplained(read: int, announced: float) -> str | None:
    """A cut-off file ends like a whole one; only the announced count can tell, and containers lie, so with a margin."""
    if read == 0:
        return "holds no frame that can be read: damaged or cut off; copy it again"
    if read + max(2.0, MISSING_SHARE * announced) < announced:
        return f"ends after {read} of {announced:.0f} announced frames: damaged or cut off; copy it again"
    return None


def _say(out: IO[bytes], **head: Any) -> None:
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
