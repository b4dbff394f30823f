"""Video files, decoded in a child process that may die: a decoder's crash must cost one line, not the whole run.

`python -m edge_runtime.media.video_files FILE OFFSET` is the child. For each sampled frame it writes a JSON line and
the frame's bytes, then one line that says how the stream ended. No last line means that the decoder died.
"""

import json
import os
import re
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
from .decoder_messages import caught_messages, tell_interlaced
from .image_files import EMPTY, MAX_PIXELS
from .iso_boxes import FIRST_BOXES, boxes

SAMPLE_SECONDS = 1.0  # of the video's own clock, between two frames that are looked at
SILENCE_SECONDS = 60.0  # without the next sampled frame; then the decoder counts as hung
MISSING_SHARE = 0.02  # of the announced frames and time may be missing before the end needs an explanation
UNOPENED = "cannot be opened as a video: it is damaged, cut off, sound alone or of an unknown format; copy it again"
INTERLACED = (
    "is interlaced (half pictures, as camcorders record), which is not read; convert it with "
    "ffmpeg -i FILE -vf yadif NEW.mp4"
)
MATROSKA_TRACKS, MATROSKA_CLUSTER, MATROSKA_VIDEO = b"\x16\x54\xae\x6b", b"\x1f\x43\xb6\x75", b"\x83\x81\x01"
TRACK_BYTES = 64 << 20  # at most, of a container's description of its tracks


@dataclass(frozen=True)
class VideoFrame:
    """`frame` uint8 (H, W, 3) BGR, its `number` from 0 and its time in `seconds` from the start."""

    frame: Frame
    number: int
    seconds: float


def read_video(
    path: Path, command: Sequence[str] | None = None, silence_seconds: float = SILENCE_SECONDS, offset: int = 0
) -> Iterator[VideoFrame]:
    """Yield about one frame per second; InputError after the last readable one, where the end is unexplained.

    The video begins `offset` bytes into the file, behind the picture of a motion photo. Of several pictures side by
    side (two lenses) the decoder gives the first alone, and the InputError tells of the others. `command` stands in for
    the decoder process in tests. A decoder that is silent for `silence_seconds` is killed.
    """
    child = start_child(
        command or module_command("edge_runtime.media.video_files", str(path.absolute()), str(offset)),
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


def _decode(path: str, offset: int, out: IO[bytes], messages: IO[bytes]) -> None:
    """Decode `path` and write the sampled frames to `out`: the child process does nothing else.

    The decoder's own messages go to `messages`.
    """
    place = f"subfile,,start,{offset},end,0,,:{path}" if offset else path
    capture = cv2.VideoCapture(place, cv2.CAP_FFMPEG)  # this backend alone: others read numbered files or devices
    width, height = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
    if not capture.isOpened():
        return _send(out, end=UNOPENED if Path(path).stat().st_size else EMPTY)
    if width * height > MAX_PIXELS:
        return _send(out, end=f"is too large: {width:.0f} x {height:.0f} pixels, at most {MAX_PIXELS} are read")
    read, due, longest = 0, 0.0, 0.0
    seconds = 0.0
    while capture.grab():
        before, seconds = seconds, _seconds(capture, read)
        longest = max(longest, seconds - before)
        if seconds >= due:
            done, frame = capture.retrieve()
            if tell_interlaced(messages):
                return _send(out, end=INTERLACED)
            if done:
                _send(out, number=read, seconds=round(seconds, 3), height=frame.shape[0], width=frame.shape[1])
                out.write(frame.tobytes())
                out.flush()  # what has been decoded must survive a crash on the next frame
                due = seconds + SAMPLE_SECONDS
        read += 1
    announced, rate = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
    end = unexplained_end(read, announced, seconds + longest, announced / rate if rate > 0 else 0.0)
    _send(out, end=end or (None if offset else cut_off(Path(path)) or unseen_tracks(Path(path))))
    return None


def _seconds(capture: Any, number: int) -> float:
    """Return the frame's time stamp, or where the container has none, its number over the frame rate."""
    stamp = float(capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
    rate = float(capture.get(cv2.CAP_PROP_FPS))
    return stamp if stamp > 0 else number / (rate if 0 < rate < 1000 else 25.0)


def unexplained_end(read: int, announced: float, seconds: float, announced_seconds: float) -> str | None:
    """Return why the video ends too early, or None.

    A cut-off file ends like a whole one; only what its header announces can tell. The number of frames is an estimate
    in many containers, wrong where the frame rate varies, and so is the time in others: both must fall short. `seconds`
    is where the last frame ends.
    """
    if read == 0:
        return "holds no frame that can be read: damaged or cut off; copy it again"
    few = read + max(2.0, MISSING_SHARE * announced) < announced
    if few and seconds + max(0.5, MISSING_SHARE * announced_seconds) < announced_seconds:
        whole = f"{read} of {announced:.0f} announced frames, {seconds:.1f} of {announced_seconds:.1f} seconds"
        return f"ends after {whole}: damaged or cut off; copy it again"
    return None


def cut_off(path: Path) -> str | None:
    """Return how much of an MP4, MOV or 3GP is missing by the sizes of its parts, or None."""
    size = path.stat().st_size
    with path.open("rb") as file:
        for start, length, _ in boxes(file, size):
            if start + length > size:
                return f"is cut off: {start + length - size} of {start + length} bytes are missing; copy it again"
    return None


def unseen_tracks(path: Path) -> str | None:
    """Return how many pictures the video holds beside the one that is judged, or None."""
    with path.open("rb") as file:
        head = file.read(64 << 10)
        listed = head.partition(MATROSKA_CLUSTER)[0].partition(MATROSKA_TRACKS)[2]
        tracks = len(re.findall(rb"strh....vids", head, re.DOTALL)) + listed.count(MATROSKA_VIDEO)
        if head[4:8] in FIRST_BOXES:
            described = (box for box in boxes(file, path.stat().st_size) if box[2] == b"moov")
            start, length, _ = next(described, (0, 0, b""))
            file.seek(start)
            tracks = len(re.findall(rb"hdlr.{8}vide", file.read(min(length, TRACK_BYTES)), re.DOTALL))
    if tracks < 2:
        return None
    return f"holds {tracks} videos side by side, of which the first was judged; split it with ffmpeg"


def _send(out: IO[bytes], **head: Any) -> None:
    out.write(json.dumps(head).encode() + b"\n")


def _child() -> None:
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "protocol_whitelist;file,subfile"  # a playlist reaches no network
    try:
        with caught_messages() as messages:
            _decode(sys.argv[1], int(sys.argv[2]), sys.stdout.buffer, messages)
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # the parent has lost interest
        os._exit(0)  # skip the interpreter's own flush, which would complain


if __name__ == "__main__":
    _child()
