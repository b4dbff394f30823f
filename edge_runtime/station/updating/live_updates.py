"""Takes a new bundle in the running service: shadow, turn, probation, and then its commitment or the way back.

The update process leaves a candidate at GOLDEN_OK; from there on the service owns it (`updates.update_process`). `tick`
runs in the thread of the loop once a second and decides; what waits for a disk or an engine runs in another thread.
"""

import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...alerts.events import JudgedView
from ...bundle.errors import InputError, RarefaultError, UnavailableError
from ...updates import update_process
from ...updates.errors import Reason
from ...updates.settings import UpdatesSection
from ...updates.slots import Slots
from ...updates.state import HANDED_OVER, STATE, UPDATES, Stage, UpdateState, load, update_lock
from .model_switch import Background, LoadedModel, ModelSwitch
from .probation import Finding, Measures, Probation
from .schedule import Schedules
from .shadow import Shadow
from .signed_reports import SignedReports

log = logging.getLogger(__name__)


@dataclass
class LiveUpdates:
    """The updates of one running service; one thread calls it.

    `daily_alarms` returns how many alarms were raised in the last 24 hours, `tell` takes the state at every tick.
    """

    section: UpdatesSection
    slots: Slots
    switch: ModelSwitch
    schedule: Schedules
    daily_alarms: Callable[[], int]
    tell: Callable[[UpdateState], None]
    reports: SignedReports
    state: UpdateState = field(default_factory=UpdateState, init=False)
    _stamp: tuple[int, int] | None = field(default=None, init=False)  # of the file that `state` was read from
    _job: Background[object] | None = field(default=None, init=False)
    _trouble: str = field(default="", init=False)  # of the last job
    _measures: Measures = field(default_factory=Measures, init=False)  # of what serves outside of a probation
    _candidate: LoadedModel | None = field(default=None, init=False)  # what is shadowed, or waits for its turn
    _before: LoadedModel | None = field(default=None, init=False)  # what served before, while it may come back
    _shadow: Shadow | None = field(default=None, init=False)
    _probation: Probation | None = field(default=None, init=False)
    _verdict: Finding | None = field(default=None, init=False)  # why the candidate is given up, until that is on disk
    _unfit: Path | None = field(default=None, init=False)  # the folder whose bundle could not be loaded

    def tick(self, now: float) -> None:
        """Look after the update at `now` (monotonic seconds). Call it about once a second."""
        self._read_state()
        self.tell(self.state)
        self.schedule.tick(now, busy=self.state.stage is Stage.PROBATION)
        if self._job is not None:
            if not self._job.done:
                return
            self._end_job()
        if self._job is None:
            self._next_step(now)

    def _next_step(self, now: float) -> None:
        if self._candidate is not None and self._candidate.bundle.digest != self.state.candidate:
            self._drop_candidate()  # another process has given it up
        current = self._current()
        if self._verdict is not None:
            reason, detail = self._verdict.reason, self._verdict.detail
            self._begin(lambda: update_process.fail(self.slots, reason, detail))
        elif self.state.stage in (Stage.GOLDEN_OK, Stage.SHADOW):
            self._try_candidate()
        elif (
            self.state.stage is Stage.PROBATION and current.name != self.state.candidate
        ):  # the disk refused the switch
            self._begin(lambda: update_process.start_probation(self.slots))
        elif not self._serves(current):
            self._follow(current, now)
        elif self.state.stage is Stage.PROBATION:
            self._watch_probation(now)
        elif self._probation is not None:  # it was stood
            self._measures, self._probation, self._before = self._probation.measures, None, None

    def judged(self, views: Sequence[JudgedView], alarms: int) -> None:
        """Note `views` that the serving model has judged, and how many alarms they raised."""
        (self._probation.measures if self._probation else self._measures).add(views, alarms)
        if self._shadow is not None:
            self._shadow.offer(views)
        if self._probation is not None and self._job is None and (unusable := self._probation.unusable) is not None:
            self._give_up(unusable)  # at once: every further frame would be without a verdict

    def fall_back(self, error: RarefaultError) -> bool:
        """Let the model before serve at once, because the one on probation fails with `error`; False where none is."""
        if self._probation is None or self._before is None:
            return False
        log.error("the new model failed: %s", error)
        self._give_up(Finding(Reason.PROBATION_CRASH, str(error)))
        return True

    def stop(self) -> None:
        """End the comparison that is under way; the next start goes on with it."""
        self._end_shadow()
        self.schedule.stop()

    def note_clean_stop(self) -> None:
        """Note that the service ends because it was told to: then its next start is no sign of a bad model."""
        if self.state.stage not in HANDED_OVER:
            return
        with contextlib.suppress(UnavailableError), update_lock(self.slots.state_dir):
            state = load(self.slots.state_dir)
            if state.stage is self.state.stage and state.boots:
                replace(state, boots=0).save(self.slots.state_dir)

    def heartbeat(self) -> dict[str, Any]:
        """Return what a heartbeat tells of updates: the document, and the report that the station signs."""
        update = self.document()
        return {"update": update, **self.reports.for_heartbeat(self.switch.serving.bundle.identity(), update)}

    def document(self) -> dict[str, Any]:
        """Return what heartbeats and the status tell of the newest update, and the slot that serves."""
        document = {"slot": self.switch.serving.bundle.folder.name, **self.state.summary()}
        watch = self._shadow or self._probation
        if detail := self._trouble or (watch.summary if watch else ""):
            document["detail"] = detail
        return document

    def _read_state(self) -> None:
        """Read the state where another process, or a job, has written it."""
        try:
            found = (self.slots.state_dir / UPDATES / STATE).stat()
            stamp = (found.st_mtime_ns, found.st_ino)
        except OSError:
            stamp = None
        if stamp != self._stamp:
            self._stamp, self.state = stamp, load(self.slots.state_dir)

    def _begin(self, work: Callable[[], object]) -> None:
        self._job = Background(work)

    def _end_job(self) -> None:
        """Take what the job has brought. Where the disk refuses, or the lock is held, the next tick tries again."""
        job, self._job = self._job, None
        try:
            found = job.result() if job else None
        except InputError as error:  # the update is not where it was: another process has changed it
            log.warning("%s", error)
            found = None
        except UnavailableError as error:
            if str(error) != self._trouble:
                log.error("the update waits: %s", error)
            self._trouble = str(error)
            return
        self._trouble = ""
        if isinstance(found, Loaded):
            self._take_loaded(found)
        else:
            self._verdict = None
            self._read_state()

    def _current(self) -> Path:
        """Return the folder that is to serve: what serves already, where nothing on disk says otherwise."""
        try:
            return self.slots.current()
        except InputError:
            return self.switch.serving.bundle.folder

    def _serves(self, folder: Path) -> bool:
        return _is_of(self.switch.serving, folder)

    def _try_candidate(self) -> None:
        """Load the candidate, compare it where that is wanted, and let it serve on probation."""
        if self._candidate is None:
            self._begin(lambda: self._loaded(self.slots.folder / self.state.candidate))
        elif self._shadow is not None and not self._shadow.done:
            return
        elif self._shadow is not None and self._shadow.failure is not None:
            self._give_up(self._shadow.failure)
        else:
            log.info("the candidate goes on probation%s", f": {self._shadow.summary}" if self._shadow else "")
            self._begin(lambda: update_process.start_probation(self.slots))
            self._end_shadow()

    def _loaded(self, folder: Path) -> "Loaded":
        """Load the bundle in `folder`; what is wrong with it comes back as a sentence: no later try would mend it."""
        try:
            return Loaded(folder, self.switch.load(folder), "")
        except RarefaultError as error:
            return Loaded(folder, None, str(error))

    def _take_loaded(self, loaded: "Loaded") -> None:
        if loaded.model is None:
            self._unfit = loaded.folder
            log.error("the bundle in %s cannot serve: %s", loaded.folder, loaded.problem)
            if self.state.stage in HANDED_OVER and loaded.folder.name == self.state.candidate:
                self._give_up(Finding(Reason.ENGINE, loaded.problem))
            return
        self._candidate = loaded.model
        if self.state.stage in (Stage.GOLDEN_OK, Stage.SHADOW) and self.section.shadow_frames:
            self._shadow = Shadow(loaded.model, self.section)
            self._shadow.start()
            if self.state.stage is Stage.GOLDEN_OK:
                self._begin(lambda: update_process.start_shadow(self.slots))

    def _follow(self, folder: Path, now: float) -> None:
        """Let the bundle in `folder`, which `current` names, serve: between two frames, and between two self tests."""
        model = next((m for m in (self._candidate, self._before) if m is not None and _is_of(m, folder)), None)
        if model is None:
            if folder != self._unfit:
                self._begin(lambda: self._loaded(folder))
            return
        if self.switch.self_tests.at_work:
            return
        self._drop_candidate()
        self._before = self.switch.serving
        self.switch.turn_to(model)
        if self.state.stage is Stage.PROBATION:
            self._begin_probation(now)
        else:
            self._probation, self._before, self._measures = None, None, Measures()

    def _begin_probation(self, now: float) -> None:
        self._probation = Probation(self.section, self._measures, self.daily_alarms(), now)

    def _watch_probation(self, now: float) -> None:
        if self._probation is None:  # the service was restarted in the middle
            self._begin_probation(now)
        elif (failure := self._probation.failure(now)) is not None:
            self._give_up(failure)
        elif self._probation.over(now):
            self._begin(lambda: update_process.commit(self.slots))

    def _give_up(self, finding: Finding) -> None:
        """Undo the update: the model before judges the next frame, and the disk follows."""
        log.error("the update is given up (%s): %s", finding.reason.value, finding.detail)
        self._verdict, self._probation = finding, None
        self._drop_candidate()
        if self._before is not None:
            self.switch.turn_to(self._before)
            self._before = None

    def _drop_candidate(self) -> None:
        self._end_shadow()
        self._candidate = None

    def _end_shadow(self) -> None:
        if self._shadow is not None:
            self._shadow.stop()
            self._shadow = None


@dataclass(frozen=True)
class Loaded:
    """What came of loading the bundle in `folder`: the model, or the `problem` with it."""

    folder: Path
    model: LoadedModel | None
    problem: str


def _is_of(model: LoadedModel, folder: Path) -> bool:
    """Whether the model was loaded from `folder`."""
    return model.bundle.folder.resolve() == folder.resolve()
