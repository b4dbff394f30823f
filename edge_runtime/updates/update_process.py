"""An update from one stage to the next, each on disk before the next begins: whatever ends the process, it goes on.

The state is written before the pointers are switched, and the pointers follow it: `recover` makes them agree after a
crash. So a station that fell back says so, and one that says PROBATION has a slot that passed every check.

    `run_update`                                     the update process, up to GOLDEN_OK
    `start_shadow`, `start_probation`, `commit`, `fail`, `roll_back_by_hand`    the service, or who acts in its place
    `recover`, `usable_slot`                         the service at its start
"""

import contextlib
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from ..bundle.errors import InputError
from ..bundle.files import make_folder
from ..bundle.store import Bundle, open_bundle
from .errors import Reason, UpdateDelayed, UpdateRefused
from .rate_limit import RateLimit
from .slots import Slots, slot_problem
from .state import (
    HANDED_OVER,
    STARTED,
    UPDATES,
    WAITING,
    Outcome,
    Stage,
    UpdateRunsError,
    UpdateState,
    load,
    update_lock,
)
from .trusted_repository import Release

INCOMING = "incoming"  # below updates/: a folder for each bundle that is being fetched
MOST_BOOTS = 2  # starts of the service on probation; one more, and the model is taken for what ends it
MOST_TRIES = 5  # starts of the update process at one stage after the download
LOCK_SECONDS = 10.0  # that the service waits for an update process, which has nothing to do at the service's stages
# The copy is bad or the disk, not the release: the same one is fetched again by itself.
TRIED_AGAIN = (Reason.HASH, Reason.SIZE, Reason.TAMPERED_SLOT)

log = logging.getLogger(__name__)


class Repository(Protocol):
    """What an update asks of `TrustedRepository`."""

    def refresh(self) -> None:
        """Fetch and verify the metadata."""

    def release(self, group: str) -> Release:
        """Return what the group is to run."""

    def fetch_bundle(
        self, digest: str, into: Path, limiter: RateLimit, stop: threading.Event, have: Sequence[Path] = ()
    ) -> None:
        """Put every file of a bundle into a folder, durably."""


@dataclass(frozen=True)
class Trial:
    """What a bundle has to pass on this device; each raises UpdateRefused. The second argument is the serving bundle.

    `content` looks at the files of a folder before anything reads them, `fits` returns sentences about what of the
    station's settings the bundle does not keep, `prove` runs the golden frames.
    """

    content: Callable[[Path], Bundle]
    fits: Callable[[Bundle, Bundle | None], Sequence[str]]
    prove: Callable[[Bundle, Bundle | None], object]


@dataclass
class _Attempt:
    """One attempt of an update and its state, under the lock."""

    slots: Slots
    trial: Trial
    state: UpdateState

    def save(self, state: UpdateState) -> None:
        """Put the state on disk; from here on it counts."""
        _save(self.slots, state)
        self.state = state

    @property
    def incoming(self) -> Path:
        return self.slots.state_dir / UPDATES / INCOMING / self.state.candidate

    @property
    def slot(self) -> Path:
        return self.slots.folder / self.state.candidate


def run_update(
    slots: Slots,
    group: str,
    open_repository: Callable[[], Repository],
    trial: Trial,
    limiter: RateLimit,
    stop: threading.Event,
    again: bool = False,
) -> UpdateState:
    """Bring the release of this `group` up to GOLDEN_OK, from where the last attempt ended, and return the state.

    FAILED where the release or the repository is refused; the same release is then only tried `again`. There is nothing
    to do while a candidate is on probation; one that waits to serve makes way for a newer release. UpdateDelayed
    without a link, without room, in quiet hours and when `stop` is set; UpdateRunsError where another process updates.
    """
    with update_lock(slots.state_dir):
        attempt = _Attempt(slots, trial, _agree(slots, load(slots.state_dir)))
        if attempt.state.stage is Stage.PROBATION:
            return attempt.state
        try:
            with _no_room_waits(slots.state_dir):
                repository = _look(attempt, group, open_repository, again)
                if attempt.state.stage in (Stage.IDLE, *STARTED):
                    _go_on(attempt, repository, limiter, stop)
        except UpdateRefused as error:
            _refuse(attempt, error.reason, error.detail)
        except UpdateDelayed as error:
            _note_wait(attempt, error)
            raise
        return attempt.state


def _look(attempt: _Attempt, group: str, open_repository: Callable[[], Repository], again: bool) -> Repository | None:
    """Ask the repository what there is; None where it cannot be asked, but the last attempt has fetched everything."""
    try:
        repository = open_repository()
        repository.refresh()
        release = repository.release(group)
    except UpdateRefused as error:
        # Whoever holds the link must not be able to make the station refuse a release, or drop what waits to serve.
        if attempt.state.stage in WAITING:
            log.warning("release %s goes on waiting to serve: %s", attempt.state.release, error)
            return None
        attempt.state = UpdateState(history=attempt.state.history)
        raise
    except UpdateDelayed as error:
        if attempt.state.stage not in STARTED:
            raise
        log.warning("the update to release %s goes on with what is fetched: %s", attempt.state.release, error)
        return None
    if attempt.slots.is_current(release.bundle) and _stands(attempt.state, release.bundle):
        if problem := slot_problem(attempt.slots.folder / release.bundle):  # while the service has it in memory
            attempt.state = attempt.state.begun(release)
            raise UpdateRefused(Reason.TAMPERED_SLOT, problem)
        if attempt.state.release != release or attempt.state.stage is not Stage.COMMITTED:
            attempt.save(attempt.state.begun(release).committed())
    elif _is_new(attempt.state, release) or (again and attempt.state.stage is Stage.FAILED):
        attempt.save(attempt.state.begun(release))
    elif attempt.state.release != release:
        attempt.save(_refused_before(attempt.state, release))
    return repository


def _refused_before(state: UpdateState, release: Release) -> UpdateState:
    """Return the state of a release that failed here before something else did; it is told no second time."""
    ended = next(entry for entry in _failures(state, release) if entry.reason not in TRIED_AGAIN)
    failed = replace(state.begun(release).at(Stage.FAILED), reason=ended.reason, since=ended.time)
    return replace(failed, detail=f"it failed here on {ended.time[:10]}")


def _stands(state: UpdateState, bundle: str) -> bool:
    """Whether the newest update to the bundle did not fail: a failed one may serve for want of another."""
    ended = [outcome.stage for outcome in state.history if outcome.bundle == bundle]
    return not ended or ended[0] is Stage.COMMITTED


def _is_new(state: UpdateState, release: Release) -> bool:
    """Whether nothing has begun with the release, or what ended it may be over."""
    if state.release == release and state.stage is not Stage.FAILED:
        return False
    return all(outcome.reason in TRIED_AGAIN for outcome in _failures(state, release))


def _failures(state: UpdateState, release: Release) -> list[Outcome]:
    """Return how this release failed here, the newest first."""
    named = (release.number, release.bundle)
    return [entry for entry in state.history if entry.stage is Stage.FAILED and (entry.release, entry.bundle) == named]


def _go_on(attempt: _Attempt, repository: Repository | None, limiter: RateLimit, stop: threading.Event) -> None:
    """Take the stages that are left, up to GOLDEN_OK."""
    if not _is_there(attempt):
        attempt.save(attempt.state.at(Stage.IDLE))
    if attempt.state.stage is Stage.IDLE:
        if attempt.state.release is None:
            return
        if repository is None:
            raise UpdateDelayed(Reason.LINK, "what was fetched is damaged, and the repository cannot be reached")
        _fetch(attempt, repository, limiter, stop)
    _count_try(attempt)
    if attempt.state.stage is Stage.FETCHED:
        digest = attempt.trial.content(attempt.incoming).digest
        if digest != attempt.state.candidate:
            raise UpdateRefused(Reason.CONTENT, f"{attempt.incoming} holds the bundle {digest}")
        attempt.save(attempt.state.at(Stage.VERIFIED))
    if attempt.state.stage is Stage.VERIFIED:
        attempt.slots.install(attempt.incoming, attempt.state.candidate)
        attempt.save(attempt.state.at(Stage.STAGED))
    _prove(attempt)


def _is_there(attempt: _Attempt) -> bool:
    """Whether the disk still holds what the stage says."""
    if attempt.state.stage is Stage.FETCHED:
        return attempt.incoming.is_dir()
    if attempt.state.stage is Stage.VERIFIED and attempt.incoming.is_dir():
        return not slot_problem(attempt.incoming)
    return attempt.state.stage is Stage.IDLE or not slot_problem(attempt.slot)


def _fetch(attempt: _Attempt, repository: Repository, limiter: RateLimit, stop: threading.Event) -> None:
    digest = attempt.state.candidate
    _clean(attempt.slots, digest)
    make_folder(attempt.incoming)
    repository.fetch_bundle(digest, attempt.incoming, limiter, stop, attempt.slots.bundles())
    attempt.save(attempt.state.at(Stage.FETCHED))


def _count_try(attempt: _Attempt) -> None:
    """Give up on a bundle that ends the process again and again where it is tried."""
    if attempt.state.boots >= MOST_TRIES:
        raise UpdateRefused(Reason.ENGINE, f"this process ended {MOST_TRIES} times while it tried the bundle")
    attempt.save(replace(attempt.state, boots=attempt.state.boots + 1))


def _prove(attempt: _Attempt) -> None:
    bundle = open_bundle(attempt.slot)
    serving = None
    with contextlib.suppress(InputError):  # none serves, or it is damaged: then there is nothing to compare with
        serving = open_bundle(attempt.slots.current())
    notes = attempt.trial.fits(bundle, serving)
    attempt.trial.prove(bundle, serving)
    attempt.save(replace(attempt.state.at(Stage.GOLDEN_OK), detail="; ".join(notes)))


def _refuse(attempt: _Attempt, reason: Reason, detail: str) -> None:
    failed = attempt.state.failed(reason, detail)
    latest = load(attempt.slots.state_dir)
    if (latest.stage, latest.release, latest.reason, latest.detail) == (
        Stage.FAILED,
        failed.release,
        failed.reason,
        failed.detail,
    ):
        attempt.state = latest  # nothing new: it has been told once
        return
    if reason in TRIED_AGAIN and failed.history[0].told(failed.history[1:2]):
        failed = replace(failed, history=attempt.state.history)
    attempt.save(failed)
    if failed.candidate and reason not in TRIED_AGAIN:
        _clean(attempt.slots, "")


def _note_wait(attempt: _Attempt, error: UpdateDelayed) -> None:
    if error.reason is Reason.DISK:  # alarms need the room more
        shutil.rmtree(attempt.incoming, ignore_errors=True)
    if attempt.state.stage in (Stage.IDLE, *STARTED) and attempt.state.release is not None:
        with contextlib.suppress(UpdateDelayed):
            attempt.save(replace(attempt.state, reason=error.reason.value, detail=error.detail))


@contextlib.contextmanager
def _no_room_waits(state_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UpdateDelayed(Reason.DISK, f"{state_dir} cannot be read or written ({error})") from error


def _clean(slots: Slots, candidate: str) -> None:
    """Remove what neither serves nor is needed for the candidate; what cannot be removed stays until the next time."""
    incoming = slots.state_dir / UPDATES / INCOMING
    with contextlib.suppress(OSError):
        slots.collect_garbage(candidate)
        for folder in sorted(incoming.iterdir()):
            if folder.name != candidate:
                shutil.rmtree(folder, ignore_errors=True)


def _save(slots: Slots, state: UpdateState) -> None:
    state.save(slots.state_dir)
    slots.reached(state.stage.value)


def start_shadow(slots: Slots) -> UpdateState:
    """Note that the candidate sees a share of the frames from now on."""
    return _from_stage(slots, (Stage.GOLDEN_OK, Stage.SHADOW), lambda state: state.at(Stage.SHADOW))


def start_probation(slots: Slots) -> UpdateState:
    """Let the candidate serve on probation; whoever runs the model then changes to `slots.current()`.

    Once more where the disk took the state alone the last time: then the switch is made up for.
    """
    return _from_stage(slots, HANDED_OVER, lambda state: state.at(Stage.PROBATION))


def commit(slots: Slots) -> UpdateState:
    """Keep the candidate, which has stood its probation."""
    state = _from_stage(slots, (Stage.PROBATION,), UpdateState.committed)
    _clean(slots, "")
    return state


def fail(slots: Slots, reason: Reason, detail: str) -> UpdateState:
    """Give the candidate up; where it serves, the previous slot serves again when this returns."""

    def given_up(state: UpdateState) -> UpdateState:
        alone = slots.is_current(state.candidate) and slots.previous() is None
        return state.failed(reason, f"{detail}; there is no other model to go back to" if alone else detail)

    state = _from_stage(slots, HANDED_OVER, given_up)
    _clean(slots, "")
    return state


def roll_back_by_hand(slots: Slots) -> UpdateState:
    """Let the previous slot serve again because a person wants it; InputError where there is none to go back to."""
    if slots.previous() is None:
        raise InputError(f"{slots.folder} has no slot to go back to; nothing is changed")
    serving = slots.current().name

    def given_up(state: UpdateState) -> UpdateState:
        named = state if state.candidate == serving else replace(state, release=None, candidate=serving)
        return named.failed(Reason.ROLLED_BACK, f"a person went back from {serving}")

    return _from_stage(slots, tuple(Stage), given_up)


def _from_stage(slots: Slots, stages: Sequence[Stage], change: Callable[[UpdateState], UpdateState]) -> UpdateState:
    """Write the changed state, then let the slots follow; InputError where the update is at none of the `stages`."""
    with _patient_lock(slots.state_dir):
        state = _agree(slots, load(slots.state_dir))
        if state.stage not in stages:
            expected = ", ".join(stages)
            raise InputError(f"the update is at {state.stage.value}, expected one of {expected}; see the status")
        state = change(state)
        _save(slots, state)
        return _agree(slots, state)


@contextlib.contextmanager
def _patient_lock(state_dir: Path) -> Iterator[None]:
    """Hold the lock; wait for an update process that is about to find out that it has nothing to do."""
    deadline = time.monotonic() + LOCK_SECONDS
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(update_lock(state_dir))
                break
            except UpdateRunsError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        yield


def recover(slots: Slots, boot: bool = False) -> UpdateState:
    """Finish what a crash has left undone, and return the state; at every start of the service with `boot`.

    As long as the service tries a model, each boot is counted before it is loaded; with one too many, it is given up.
    """
    state = load(slots.state_dir)
    if state.stage not in (*HANDED_OVER, Stage.FAILED):
        return state
    try:
        with _patient_lock(slots.state_dir):
            state = load(slots.state_dir)
            if boot and state.stage in HANDED_OVER:
                state = _booted(slots, state)
            return _agree(slots, state)
    except (UpdateRunsError, UpdateDelayed) as error:  # a station watches its cameras nevertheless
        log.error("what a crash has left undone waits for the next start: %s", error)
        return state


def _booted(slots: Slots, state: UpdateState) -> UpdateState:
    state = replace(state, boots=state.boots + 1)
    if state.boots > MOST_BOOTS:
        state = state.failed(Reason.PROBATION_CRASH, f"the service started {state.boots} times with it")
    _save(slots, state)
    return state


def _agree(slots: Slots, state: UpdateState) -> UpdateState:
    """Make the pointers agree with the state, which was written first."""
    if state.stage is Stage.PROBATION:
        try:
            slots.activate(state.candidate)
        except UpdateRefused as error:
            state = state.failed(error.reason, error.detail)
            _save(slots, state)
    elif state.stage is Stage.FAILED and state.candidate and slots.is_current(state.candidate):
        try:
            slots.roll_back()
        except InputError as error:
            log.error("the failed bundle goes on serving, since there is no other: %s", error)
    return state


def usable_slot(slots: Slots) -> tuple[Path, list[str]]:
    """Return the folder of the bundle to serve, verified, and a sentence about each slot before it that is damaged.

    A damaged current slot makes way for the previous one, else for the factory bundle, and its update counts as failed.
    InputError where none can serve.
    """
    problems: list[str] = []
    while problem := slot_problem(slots.current()):
        log.error("a slot cannot serve: %s", problem)
        problems.append(problem)
        try:
            _give_up_damaged(slots, problem)
        except InputError as error:
            raise InputError("; ".join((*problems, str(error)))) from None
    return slots.current(), problems


def _give_up_damaged(slots: Slots, problem: str) -> None:
    state = load(slots.state_dir)
    if state.candidate and slots.is_current(state.candidate):
        _save(slots, state.failed(Reason.TAMPERED_SLOT, problem))
    slots.roll_back()
