"""Stored scores: what the model said of every judged view, so that alarms can be counted at other thresholds.

A file of STATE/scores is one JSON line, the header, and then records of one size. Nothing is flushed to the disk and
nothing waits for it: a torn tail is left out when the file is read, and a disk that takes nothing costs scores, never
a verdict. The oldest files go first where the budget or the disk is full.
"""

import json
import logging
import math
import os
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...alerts.events import JudgedView
from ...alerts.votes import CameraRule, VoteRule
from ...bundle.errors import InputError
from ...clock import instant, iso
from ...durable_sqlite import is_full

FOLDER = "scores"
SUFFIX = ".bin"
VERSION = 1  # of the files
STEPS = 65534  # between the chances 0 and 1
FLUSH_SECONDS, FLUSH_BYTES = 5.0, 1 << 16  # what waits in memory at most
PART_SECONDS, PART_BYTES = 6 * 3600.0, 16 << 20  # after which another file begins, so that old ones can go
LEFT_FOR_ALARMS = 64 << 20  # bytes that the disk keeps for alarms
RETRY_SECONDS = 60.0  # after a disk that took nothing
MAX_HEADER = 1 << 20  # bytes

Codes = npt.NDArray[np.uint16]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScoreHeader:
    """What all records of a file have in common.

    `run` is one for all files of one service from its start to its end, whose votes go on from `part` to `part`.
    `labels` are the fault labels and `kinds` their kinds, in the order of the codes. `views` are pairs of camera and
    region; `votes` and `thresholds` (label -> 0..1) by camera are those in force.
    """

    model: Mapping[str, str]
    run: str
    part: int
    labels: tuple[str, ...]
    kinds: tuple[str, ...]
    views: tuple[tuple[str, str], ...]
    votes: Mapping[str, VoteRule]
    thresholds: Mapping[str, Mapping[str, float]]

    def to_line(self) -> bytes:
        """Return the header as the first line of its file."""
        return json.dumps({"schema": "rarefault/scores", "version": VERSION, **asdict(self)}).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "ScoreHeader":
        """Read what `to_line` wrote; InputError where it is another file, or of a later version."""
        try:
            content: dict[str, Any] = json.loads(line)
            if content.pop("schema") != "rarefault/scores" or content.pop("version") > VERSION:
                raise ValueError(f"it is not of version {VERSION}")
            content["labels"], content["kinds"] = tuple(content["labels"]), tuple(content["kinds"])
            content["views"] = tuple((camera, region) for camera, region in content["views"])
            content["votes"] = {camera: VoteRule(**rule) for camera, rule in content["votes"].items()}
            return cls(**content)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"the header is none of stored scores ({error}); delete the file") from None

    @property
    def record(self) -> np.dtype[np.void]:
        """The type of a record: `wall` seconds since 1970, `captured` monotonic seconds, `view`, `codes`."""
        codes = ("codes", "<u2", (len(self.labels),))
        return np.dtype([("wall", "<f8"), ("captured", "<f8"), ("view", "<u2"), codes])


@dataclass(frozen=True)
class ScoreBlock:
    """The records of one file in the order in which they were judged, N of them, of F fault labels.

    `times` (N,) are wall seconds since 1970 and `captured` (N,) monotonic ones, both float64; `view_index` (N,) points
    into `header.views`; `codes` (N, F) are the chances, see `limit`, and 0 where the frame gave this kind of fault the
    name of another label.
    """

    header: ScoreHeader
    times: npt.NDArray[np.float64]
    captured: npt.NDArray[np.float64]
    view_index: npt.NDArray[np.uint16]
    codes: Codes

    @property
    def labels(self) -> tuple[str, ...]:
        """The fault labels, in the order of the chances."""
        return self.header.labels

    @property
    def cameras(self) -> tuple[str, ...]:
        """The cameras of the station."""
        return tuple(dict.fromkeys(camera for camera, _ in self.header.views))

    @property
    def chances(self) -> npt.NDArray[np.float32]:
        """The probability (N, F) of each fault label, within 1/65534; NaN where its kind bore another name."""
        return np.where(self.codes == 0, np.nan, (self.codes.astype(np.float32) - 1) / STEPS)


def limit(threshold: float) -> int:
    """Return the code from which a label is flagged at `threshold` (0..1).

    Stored chances lie on the same side of the threshold that was in force as the true ones, whatever the rounding.
    """
    return 1 + math.ceil(threshold * STEPS)


class ScoreWriter:
    """Writes the scores of a running service, from one thread. A `budget` of 0 bytes keeps none."""

    def __init__(
        self,
        state_dir: Path,
        budget: int,
        model: Mapping[str, str],
        rules: Mapping[str, CameraRule],
        views: Sequence[tuple[str, str]],
    ) -> None:
        """`rules` by camera; `views` are all pairs of camera and region; `model` is the identity of the bundle."""
        self._folder, self._budget = state_dir / FOLDER, budget
        self._views, self._places = tuple(views), {view: place for place, view in enumerate(views)}
        self._run, self._part = uuid.uuid4().hex, 0
        self._file: int | None = None
        self._waiting = bytearray()
        self._flushed_at = self._began = time.monotonic()
        self._retry_at, self._size = -math.inf, 0
        self._trouble = False
        self._turn_to(model, rules)

    def note(self, views: Iterable[JudgedView]) -> None:
        """Keep the scores of the judged `views`; tests and views without a decision have none."""
        if not self._budget:
            return
        for view in views:
            if view.evaluation.decision is not None and not view.test:
                self._waiting += self._record(view)
        now = time.monotonic()
        if now - self._flushed_at >= FLUSH_SECONDS or len(self._waiting) >= FLUSH_BYTES:
            self._flush(now)

    def take_over(self, model: Mapping[str, str], rules: Mapping[str, CameraRule]) -> None:
        """Go on with the scores of another bundle, in another file."""
        self.close()
        self._turn_to(model, rules)

    def close(self) -> None:
        """Write what waits."""
        self._flush(time.monotonic())
        self._close()

    def _turn_to(self, model: Mapping[str, str], rules: Mapping[str, CameraRule]) -> None:
        decision = next(iter(rules.values())).decision if rules else None
        labels = decision.fault_labels if decision else ()
        kinds = tuple(decision.kind(label) for label in labels) if decision else ()
        votes = {camera: rule.votes for camera, rule in rules.items()}
        thresholds = {
            camera: {label: rule.decision.thresholds[label] for label in labels} for camera, rule in rules.items()
        }
        self._header = ScoreHeader(model, self._run, self._part, labels, kinds, self._views, votes, thresholds)

    def _record(self, view: JudgedView) -> bytes:
        decision, header = view.evaluation.decision, self._header
        assert decision is not None
        record = np.zeros((), header.record)
        record["wall"], record["captured"] = instant(view.captured).wall, view.captured
        record["view"] = self._places[view.camera, view.region]
        thresholds = header.thresholds[view.camera]
        record["codes"] = [
            _code(decision.chances[label], thresholds[label]) if label in decision.named else 0
            for label in header.labels
        ]
        return record.tobytes()

    def _flush(self, now: float) -> None:
        waiting, self._waiting, self._flushed_at = bytes(self._waiting), bytearray(), now
        if not waiting or now < self._retry_at:
            return
        try:
            if self._file is not None and (now - self._began >= PART_SECONDS or self._size >= self._part_bytes):
                self._close()
            if self._file is None:
                self._open(now)
            assert self._file is not None
            if os.write(self._file, waiting) != len(waiting):
                raise OSError("the disk took a part of it")  # the next records would stand at odd places
            self._size += len(waiting)
            self._trouble = False
        except OSError as error:
            self._close()
            self._retry_at = now + RETRY_SECONDS
            if not self._trouble:
                log.warning("scores are not kept for now (%s); alarms are not touched by that", error)
            self._trouble = True

    @property
    def _part_bytes(self) -> int:
        return min(PART_BYTES, self._budget // 8)

    def _open(self, now: float) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._make_room()
        header = replace(self._header, part=self._part)
        names = (iso(time.time()).replace(":", ""), header.model["digest"][:8], f"{self._run[:8]}.{self._part:04}")
        path = self._folder / ("-".join(names) + SUFFIX)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self._part, self._began, self._size = self._part + 1, now, 0
        os.write(self._file, header.to_line())

    def _make_room(self) -> None:
        """Delete the oldest files until another part fits into the budget and leaves the disk its reserve."""
        files = score_files(self._folder.parent)
        sizes = [file.stat().st_size for file in files]
        while files and (
            sum(sizes) + self._part_bytes > self._budget or is_full(self._folder, self._part_bytes + LEFT_FOR_ALARMS)
        ):
            files.pop(0).unlink()
            sizes.pop(0)
        if is_full(self._folder, self._part_bytes + LEFT_FOR_ALARMS):
            raise OSError("the disk is almost full")

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def score_files(state_dir: Path) -> list[Path]:
    """Return the files of stored scores, the oldest first."""
    return sorted((state_dir / FOLDER).glob(f"*{SUFFIX}"))


def read_scores(state_dir: Path, since: float = -math.inf, until: float = math.inf) -> list[ScoreBlock]:
    """Return the scores of views captured from `since` until `until` (wall seconds since 1970), a block for each file.

    A running service may write at the same time. A file that is none of stored scores is passed over and logged.
    """
    blocks = []
    for path in score_files(state_dir):
        try:
            if path.stat().st_mtime < since:
                continue
            block = _read(path, since, until)
        except FileNotFoundError:  # the service has deleted it for room
            continue
        except (InputError, OSError) as error:
            log.warning("%s: %s", path, error)
            continue
        if len(block.times):
            blocks.append(block)
    return blocks


def _read(path: Path, since: float, until: float) -> ScoreBlock:
    with path.open("rb") as file:
        header = ScoreHeader.from_line(file.readline(MAX_HEADER))
        data = file.read()
    size = header.record.itemsize
    records = np.frombuffer(data, header.record, count=len(data) // size)
    kept = records[(records["wall"] >= since) & (records["wall"] < until) & (records["view"] < len(header.views))]
    return ScoreBlock(header, kept["wall"], kept["captured"], kept["view"], kept["codes"])


def _code(chance: float, threshold: float) -> int:
    """Return 1 + the rounded `chance` in steps of 1/65534, on the side of `threshold` on which the chance lies."""
    code, bar = 1 + round(chance * STEPS), limit(threshold)
    return max(code, bar) if chance >= threshold else min(code, bar - 1)
