"""Two self tests of a running station, which together prove the way from a camera to the receivers of alarms.

The frame test asks a camera for a marked copy of its next frame and waits until that has come whole through reader and
shared memory. The fault test shows a known fault, a golden frame of the bundle, to the model: it proves model, votes,
outbox and delivery. Between the two lie the checks of the picture, which withhold a foreign scene by design, so neither
test passes through them. Neither touches a camera's health history, motion reference, samples or counts of events.

Both are asked for by a file in `state_dir/requests`, or come by themselves once in a while, each camera in turn.
"""

import contextlib
import json
import logging
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import cycle
from pathlib import Path

from ..alerts.alarm_rules import AlarmRules
from ..bundle.decision import Rule
from ..bundle.errors import InputError, UnavailableError, os_errors_as
from ..bundle.files import replace_file
from ..bundle.golden import golden_pictures, load_golden
from ..bundle.preprocess import Frame
from ..bundle.store import Bundle
from ..cameras.camera import CameraState
from ..cameras.camera_group import CameraGroup
from ..inference.blank_check import blank_cause, measure

REQUESTS, ANSWER = "requests", ".answer"
FIRST_SECONDS = 60.0  # after the start: whatever ended the last run, the path is proved anew
FRAME_SECONDS = 15.0  # for a marked frame to arrive
FRAME, FAULT = "frame", "fault"

log = logging.getLogger(__name__)


class FaultPictures:
    """The golden frames of a bundle, of which a camera is shown the fault that its rule sees most clearly."""

    def __init__(self, bundle: Bundle) -> None:
        golden, pictures = load_golden(bundle), golden_pictures(bundle)
        spec = bundle.manifest.input
        cut = [spec.placement(*picture.shape[:2]).crop(spec.draw(picture)) for picture in pictures]
        shown = [place for place, part in enumerate(cut) if blank_cause(measure(part), spec.radiometric) is None]
        self._pictures = [pictures[place] for place in shown]
        self._scores = golden.scores[shown]

    def clearest(self, rule: Rule) -> Frame:
        """Return the frame that lies furthest above a fault's threshold; InputError where none reaches one."""
        decisions = [rule.decide(scores) for scores in self._scores]
        above = [max((d.chances[name] - rule.thresholds[name] for name in d.flagged), default=-1.0) for d in decisions]
        if max(above, default=-1.0) < 0:
            raise InputError(
                "no golden frame of the bundle reaches a threshold, so no test alarm can be raised; lower the "
                "thresholds in [decision], or pack the bundle with a clear fault"
            )
        return self._pictures[above.index(max(above))]


class Schedule:
    """Decides when which camera is tested next; times in monotonic seconds."""

    def __init__(self, cameras: Sequence[str], interval: float, first: float) -> None:
        """Test one of `cameras` at `first` and then every `interval` seconds; never where that is 0."""
        self._cameras, self._interval, self._at = cycle(cameras), interval, first

    def due(self, now: float) -> str | None:
        """Return the camera to test now, or None. Asking takes the turn."""
        if not self._interval or now < self._at:
            return None
        self._at = now + self._interval
        return next(self._cameras, None)


@dataclass(frozen=True)
class Outcome:
    """What came of one test or check, in a sentence."""

    passed: bool
    message: str


@dataclass
class _Running:
    """The two tests of one camera under way; `answer` is the file for their outcomes, where a command asked."""

    camera: str
    answer: Path | None
    began: float  # monotonic seconds
    token: int = 0  # of the marked frame
    outcomes: dict[str, Outcome] = field(default_factory=dict)


@dataclass
class SelfTests:
    """Begins the tests that are asked for or due, and reports their outcomes by log, metrics and answer files."""

    pictures: FaultPictures
    alarm_rules: AlarmRules
    schedule: Schedule
    state_dir: Path
    count: Callable[[str, str, bool], None]  # takes the camera, FRAME or FAULT, and whether the test passed
    rests: Callable[[str], bool] = lambda camera: False  # whether the schedule passes a camera over
    _running: list[_Running] = field(default_factory=list, init=False)

    @property
    def at_work(self) -> bool:
        """Whether a test is under way, whose pictures belong to the model that serves now."""
        return bool(self._running)

    def tick(self, cameras: CameraGroup, now: float) -> None:
        """Begin what is asked for or due, and settle the frame tests. Call it about once a second."""
        for camera, answer in take_requests(self.state_dir):
            self._begin(cameras, _Running(camera, answer, now))
        if (due := self.schedule.due(now)) is not None and not self.rests(due):
            self._begin(cameras, _Running(due, None, now))
        states = cameras.states()
        for test in self._running:
            if FRAME not in test.outcomes:
                self._check_frame(test, states[test.camera], now)
        self._finish()

    def judged(self, tested: set[str], raised: set[str]) -> None:
        """Settle the fault tests of cameras whose test frames were judged: `raised` of them raised an alarm."""
        for test in self._running:
            if test.camera in tested and FAULT not in test.outcomes:
                what = "was raised" if test.camera in raised else "was NOT raised; run `edge-station check`"
                self._settle(test, FAULT, test.camera in raised, f"the test alarm of {test.camera} {what}")
        self._finish()

    def _begin(self, cameras: CameraGroup, test: _Running) -> None:
        camera = test.camera
        try:
            test.token = cameras.request_marked_frame(camera)
        except InputError as error:
            log.error("no test alarm: %s", error)
            _write_answer(test.answer, {"problem": str(error)})
            return
        self._running.append(test)
        try:
            picture = self.pictures.clearest(self.alarm_rules.rule(camera))
        except InputError as error:
            self._settle(test, FAULT, False, f"no test alarm of {camera}: {error}")
            return
        self.alarm_rules.end_test(camera)
        for _ in range(self.alarm_rules.rules[camera].votes.needed):
            cameras.inject(camera, picture)

    def _check_frame(self, test: _Running, state: CameraState, now: float) -> None:
        way = f"of {test.camera} came through reader and shared memory"
        if state.marked_frame >= test.token:
            self._settle(test, FRAME, True, f"a marked frame {way}")
        elif now - test.began > FRAME_SECONDS:
            why = f"{state.cause.value}; {state.cause.advice}" if state.cause else "its frames come without the mark"
            self._settle(test, FRAME, False, f"no marked frame {way} within {FRAME_SECONDS:.0f} s: {why}")

    def _settle(self, test: _Running, kind: str, passed: bool, message: str) -> None:
        test.outcomes[kind] = Outcome(passed, message)
        log.log(logging.INFO if passed else logging.ERROR, "%s", message, extra={"fields": {"camera": test.camera}})
        self.count(test.camera, kind, passed)
        _write_answer(test.answer, {kind: asdict(outcome) for kind, outcome in test.outcomes.items()})

    def _finish(self) -> None:
        self._running = [test for test in self._running if len(test.outcomes) < len((FRAME, FAULT))]


def prepare_requests(state_dir: Path) -> None:
    """Make the folder of requests, so that it belongs to the service and not to a user; remove old answers."""
    folder = state_dir / REQUESTS
    with contextlib.suppress(OSError):  # a full disk: the tests of the schedule need no folder
        folder.mkdir(exist_ok=True)
        if not _writable(folder):
            remedy = "give it to the user of the service, or remove it, and restart the service"
            log.warning("%s cannot be written, so no test alarm can be asked for; %s", folder, remedy)
            return
        for path in folder.glob(f"*{ANSWER}"):
            if not path.with_suffix(".json").exists():
                path.unlink()


def _writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK, effective_ids=True)


def ask(state_dir: Path, camera: str) -> Path:
    """Ask the service that works on `state_dir` for a test of `camera`; return the file that holds its answer.

    The file is there at once, without outcomes. Removing it withdraws the wish for an answer, not the test.
    """
    folder, name = state_dir / REQUESTS, str(uuid.uuid4())
    with os_errors_as(UnavailableError, f"{folder} cannot be written", "run this as the service's user, or as root"):
        folder.mkdir(exist_ok=True)
        replace_file(folder / f"{name}{ANSWER}", b"{}")
        replace_file(folder / f"{name}.json", json.dumps({"camera": camera}).encode())
    return folder / f"{name}{ANSWER}"


def read_answer(path: Path) -> dict[str, Outcome]:
    """Return the outcomes so far, by FRAME and FAULT.

    InputError says why the camera cannot be tested.
    """
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}  # a service that has just started removed it
    if "problem" in document:
        raise InputError(document["problem"])
    return {kind: Outcome(**outcome) for kind, outcome in document.items()}


def take_requests(state_dir: Path) -> Iterator[tuple[str, Path]]:
    """Yield the cameras whose test was asked for since the last call, and the files for the answers."""
    folder = state_dir / REQUESTS
    if not _writable(folder):
        return  # `prepare_requests` has said so
    for path in sorted(folder.glob("*.json")):
        try:
            camera = str(json.loads(path.read_bytes())["camera"])
            path.unlink()
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s is no request for a test alarm (%s)", path, error)
            with contextlib.suppress(OSError):
                path.unlink()
        else:
            yield camera, path.with_suffix(ANSWER)


def _write_answer(path: Path | None, document: Mapping[str, object]) -> None:
    if path is None or not path.exists():  # nobody asked, or whoever asked waits no longer
        return
    try:
        replace_file(path, json.dumps(document).encode())
    except OSError as error:
        log.warning("the outcome of a test cannot be written to %s (%s)", path, error.strerror)
