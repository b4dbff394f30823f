"""The films of `night_watch`: one H.264 file per camera, each camera before one photograph of a run's test images.

What they are: a healthy camera looks at one photograph of healthy equipment all the time. A hot camera's lens is closed
(black) but for ten seconds from a drawn moment on, when it opens on one photograph of a fault. All photographs are as
they were taken, and whole; sensor noise and a slow drift of the light are added, and H.264 takes its share.

What they are not: nothing in a picture moves or heats up. Photographs taken by hand hold no two pictures from one
standpoint, one healthy and one hot, and the station rightly withholds a view that is suddenly another. So a camera on
healthy equipment is one sample however long it runs: its false alarm comes in the first seconds or hardly ever. And the
black before a fault makes the station look at once and often: an onset in a running view may be missed where this is
found.
"""

import math
import random
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from augment.data.image_store import ImageStore
from augment.record_types import DatasetRecord
from edge_runtime.bundle.preprocess import Frame
from tests.support.night_clips import sensed

RATE = 5  # frames per second
SOUND_SECONDS = 60  # of film before it begins again, without a seam
HOT_SECONDS = 10  # that a fault is seen
FIRST, LAST = 30, 30  # seconds at the beginning and the end of the watch in which no lens opens
DRIFT = 0.05  # of the light
SPARE_SECONDS = 180  # of film, because not all cameras begin at once
CODEC = ["-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-crf", "23", "-g", str(2 * RATE)]
FFMPEG = ["ffmpeg", "-loglevel", "error", "-y"]


@dataclass(frozen=True)
class View:
    """What `camera` looks at: `frame` uint8 (H, W, 3) BGR. `boxes` around its faults: x, y, width, height in pixels.

    `opens`: seconds of film until the lens opens on a fault; None for healthy equipment, which is always seen.
    """

    camera: str
    label: str
    frame: Frame
    boxes: tuple[tuple[float, ...], ...] = ()
    opens: int | None = None


def choose_views(
    records: Sequence[DatasetRecord], faults: Sequence[str], store: ImageStore, healthy: int, seconds: int, seed: int
) -> list[View]:
    """All `records` of faults, each with the moment at which its lens opens, and about `healthy` of the others.

    As many of each healthy label, and no two of one burst, as far as there are such.
    """
    moments, draw = random.Random(f"moments {seed}"), random.Random(f"sound {seed}")
    hot = sorted((record for record in records if record.label in faults), key=lambda record: record.path)
    chosen: list[tuple[DatasetRecord, int | None]] = [
        (record, moments.randint(FIRST, seconds - HOT_SECONDS - LAST)) for record in hot
    ]
    labels = sorted({record.label for record in records} - set(faults))
    for label in labels:
        chosen += [(record, None) for record in _one_of_each_burst(records, label, draw)[: healthy // len(labels)]]
    named = ((f"{record.label}-{number:02}", record, opens) for number, (record, opens) in enumerate(chosen, 1))
    return [_view(name, record, opens, store) for name, record, opens in named]


def _one_of_each_burst(records: Sequence[DatasetRecord], label: str, chance: random.Random) -> list[DatasetRecord]:
    mine = sorted((record for record in records if record.label == label), key=lambda record: record.path)
    chance.shuffle(mine)
    return list({record.group: record for record in mine}.values())


def _view(camera: str, record: DatasetRecord, opens: int | None, store: ImageStore) -> View:
    frame = store.frame(record)
    even = frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2]  # H.264 halves the colours' resolution
    return View(camera, record.label, even, tuple(tuple(box) for box in record.boxes), opens)


def make_films(views: Iterable[View], folder: Path, seconds: int) -> None:
    """One `<camera>.mp4` for each of `views`, of `seconds` and some to spare."""
    for view in views:
        clips = folder / view.camera
        clips.mkdir(parents=True)
        if view.opens is None:
            _encode(clips / "seen.mp4", _seen(view.frame, SOUND_SECONDS))
            names = ["seen"] * math.ceil((seconds + SPARE_SECONDS) / SOUND_SECONDS)
        else:
            _encode(clips / "seen.mp4", _seen(view.frame, HOT_SECONDS))
            _encode(clips / "closed.mp4", _seen(np.zeros_like(view.frame), 1))
            after = seconds + SPARE_SECONDS - view.opens - HOT_SECONDS
            names = [*["closed"] * view.opens, "seen", *["closed"] * after]
        script = clips / "clips.txt"
        script.write_text("".join(f"file '{name}.mp4'\n" for name in names))
        joined = folder / f"{view.camera}.mp4"
        subprocess.run([*FFMPEG, "-f", "concat", "-i", str(script), "-c", "copy", str(joined)], check=True)


def _seen(picture: Frame, seconds: int) -> Iterator[Frame]:
    """`picture` as a camera sees it: with noise, in light that swings once."""
    count = seconds * RATE
    return (sensed(picture, 1 + DRIFT * math.sin(2 * math.pi * number / count)) for number in range(count))


def _encode(path: Path, frames: Iterator[Frame]) -> None:
    first = next(frames)
    size = f"{first.shape[1]}x{first.shape[0]}"
    command = [*FFMPEG, "-f", "rawvideo", "-pix_fmt", "bgr24", "-s", size, "-r", str(RATE), "-i", "-"]
    command += [*CODEC, "-pix_fmt", "yuv420p", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as encoder:
        assert encoder.stdin is not None
        encoder.stdin.write(first.tobytes())
        for frame in frames:
            encoder.stdin.write(frame.tobytes())
    if encoder.returncode:
        raise SystemExit(f"ffmpeg did not make {path}")
