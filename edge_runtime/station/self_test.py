"""Test alarms: a known fault is shown to a camera's whole path, so that silence means health.

A test is asked for by a file in `state_dir/requests`, or comes by itself once in a while, each camera in turn.
"""

import json
import logging
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..alerts.votes import CameraRule
from ..bundle.decision import DecisionRule
from ..bundle.errors import InputError, UnavailableError
from ..bundle.files import replace_file
from ..bundle.golden import golden_pictures, load_golden
from ..bundle.preprocess import Frame
from ..bundle.store import Bundle
from ..inference.blank_check import blank_cause, measure

REQUESTS = "requests"
FIRST_SECONDS = 60.0  # after the start: whatever ended the last run, the path is proved anew

log = logging.getLogger(__name__)


class FaultPictures:
    """The golden frames of a bundle, to show a camera the fault that it sees most clearly."""

    def __init__(self, bundle: Bundle) -> None:
        golden, pictures = load_golden(bundle), golden_pictures(bundle)
        shown = [place for place, frame in enumerate(golden.frames) if blank_cause(measure(frame)) is None]
        self._pictures = [pictures[place] for place in shown]
        self._logits = golden.logits[shown]

    def clearest(self, rule: DecisionRule) -> Frame:
        """The frame that lies furthest above a fault's threshold; InputError where none reaches one."""
        chances = rule.probabilities(self._logits)
        columns = [rule.labels.index(label) for label in rule.fault_labels]
        above = chances[:, columns] - np.array([rule.thresholds[label] for label in rule.fault_labels])
        if not above.size or above.max() < 0:
            raise InputError(
                "no golden frame of the bundle reaches a threshold, so no test alarm can be raised; lower the "
                "thresholds in [decision], or pack the bundle with a clear fault"
            )
        return self._pictures[int(above.max(axis=1).argmax())]


class Schedule:
    """When which camera is tested next; times in monotonic seconds."""

    def __init__(self, cameras: Sequence[str], interval: float, now: float) -> None:
        """Every `interval` seconds one of `cameras`; never where that is 0."""
        self._cameras, self._interval = cameras, interval
        self._at = now + FIRST_SECONDS
        self._turn = 0

    def due(self, now: float) -> str | None:
        """The camera to test now, or None. Asking takes the turn."""
        if not self._interval or not self._cameras or now < self._at:
            return None
        self._at = now + self._interval
        self._turn += 1
        return self._cameras[(self._turn - 1) % len(self._cameras)]


def frames_for(pictures: FaultPictures, rules: Mapping[str, CameraRule], camera: str) -> list[Frame]:
    """As many frames of a fault as this camera needs for an alarm; InputError where that cannot be."""
    if camera not in rules:
        raise InputError(f"no camera is named {camera}; known are {', '.join(sorted(rules))}")
    return [pictures.clearest(rules[camera].decision)] * rules[camera].votes.needed


def ask(state_dir: Path, camera: str) -> None:
    """Ask the service that works on `state_dir` for a test of `camera`."""
    folder = state_dir / REQUESTS
    try:
        folder.mkdir(exist_ok=True)
        replace_file(folder / f"{uuid.uuid4()}.json", json.dumps({"camera": camera}).encode())
    except OSError as error:
        raise UnavailableError(
            f"{folder} cannot be written ({error.strerror}); run this as the service's user, or as root"
        ) from error


def take_requests(state_dir: Path) -> list[str]:
    """Cameras whose test was asked for since the last call."""
    asked = []
    for path in sorted((state_dir / REQUESTS).glob("*.json")):
        try:
            asked.append(str(json.loads(path.read_bytes())["camera"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s is no request for a test alarm (%s)", path, error)
        path.unlink(missing_ok=True)
    return asked
