"""How far an update has come, as one small file: written before what it announces, so that a restart knows what to do.

    IDLE -> FETCHED -> VERIFIED -> STAGED -> GOLDEN_OK [-> SHADOW] -> PROBATION -> COMMITTED; from any of them FAILED

The update process writes the stages up to GOLDEN_OK, the service those after it.
"""

import contextlib
import json
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from ..bundle.errors import UnavailableError, os_errors_as
from ..bundle.files import lock_file, make_folder, replace_file
from ..clock import iso
from .errors import Reason, UpdateDelayed, advice_on
from .trusted_repository import Release

UPDATES = "updates"  # the folder of updates below the state folder
TRUST = "trust"  # below it: what TrustedRepository keeps
STATE = "state.json"
LOCK = "lock"
SCHEMA, VERSION = "rarefault/update-state", 1
MOST_OUTCOMES, MOST_NAMELESS = 10, 3  # that are kept: of bundles, and of refusals before a bundle was named

log = logging.getLogger(__name__)


class Stage(str, Enum):
    """How far the update has come."""

    IDLE = "idle"  # nothing, or `release` is being fetched
    FETCHED = "fetched"  # every file lies in updates/incoming/<digest>, as it was signed
    VERIFIED = "verified"  # the files hold what a bundle may hold
    STAGED = "staged"  # it lies in slots/<digest>
    GOLDEN_OK = "golden_ok"  # this device gives the golden frames' answers, fast enough
    SHADOW = "shadow"  # it sees a share of the frames, and its answers count for nothing
    PROBATION = "probation"  # slots/current names it, and the service watches it
    COMMITTED = "committed"
    FAILED = "failed"  # `reason` says why; the slot before serves


STARTED = (Stage.FETCHED, Stage.VERIFIED, Stage.STAGED)  # the update process goes on from here
WAITING = (Stage.GOLDEN_OK, Stage.SHADOW)  # the candidate does not serve yet; a newer release takes its place
HANDED_OVER = (*WAITING, Stage.PROBATION)  # the service goes on from here


@dataclass(frozen=True)
class Outcome:
    """How an update ended: `stage` is committed or failed, `time` ISO 8601 in UTC."""

    time: str
    stage: Stage
    release: int | None
    bundle: str
    reason: str = ""

    def told(self, before: Sequence["Outcome"]) -> bool:
        """Whether one of those `before` ended in the same way."""
        return any(replace(other, time=self.time) == self for other in before)


@dataclass(frozen=True)
class UpdateState:
    """The update that is on its way, or the last one; and how the last few ended, the newest first.

    `candidate` is the digest of its bundle, `reason` a value of `Reason` and `detail` sentences for a person, `boots`
    how often a process began to try it at this stage, `since` when the stage began (ISO 8601 in UTC).
    """

    stage: Stage = Stage.IDLE
    release: Release | None = None
    candidate: str = ""
    reason: str = ""
    detail: str = ""
    boots: int = 0
    since: str = ""
    history: tuple[Outcome, ...] = ()

    def at(self, stage: Stage) -> "UpdateState":
        """Return this update at `stage`, which begins now."""
        return replace(self, stage=stage, reason="", boots=0, since=iso(time.time()))

    def begun(self, release: Release) -> "UpdateState":
        """Return the state of an update to `release` of which nothing is fetched yet."""
        return UpdateState(release=release, candidate=release.bundle, since=iso(time.time()), history=self.history)

    def committed(self) -> "UpdateState":
        """Return the state of this update after it has stood its probation."""
        return self.at(Stage.COMMITTED)._ended()

    def failed(self, reason: Reason, detail: str) -> "UpdateState":
        """Return the state of this update after it failed."""
        return replace(self.at(Stage.FAILED), reason=reason.value, detail=detail)._ended()

    def _ended(self) -> "UpdateState":
        number = self.release.number if self.release else None
        outcome = Outcome(self.since, self.stage, number, self.candidate, self.reason)
        ended = (outcome, *self.history)
        # A refusal of metadata names no bundle: however many there are, what bundles did is not forgotten.
        named = [place for place, entry in enumerate(ended) if entry.bundle][:MOST_OUTCOMES]
        nameless = [place for place, entry in enumerate(ended) if not entry.bundle][:MOST_NAMELESS]
        return replace(self, history=tuple(ended[place] for place in sorted(named + nameless)))

    def refusal(self) -> str:
        """Return how the update failed: its reason, what was seen, and what to do."""
        return f"refused ({self.reason}): {'; '.join(filter(None, (self.detail, advice_on(self.reason))))}"

    def summary(self) -> dict[str, Any]:
        """Return what heartbeats and the status tell of this update."""
        return {
            "stage": self.stage.value,
            "release": self.release.number if self.release else None,
            "bundle": self.candidate,
            "reason": self.reason,
            "detail": self.detail,
            "since": self.since,
        }

    def save(self, state_dir: Path) -> None:
        """Put the state on disk, durably; UpdateDelayed where the disk takes nothing."""
        folder = state_dir / UPDATES
        document = {"schema": SCHEMA, "schema_version": VERSION, **asdict(self)}
        try:
            make_folder(folder)
            replace_file(folder / STATE, (json.dumps(document, indent=1) + "\n").encode())
        except OSError as error:
            raise UpdateDelayed(Reason.DISK, f"{folder / STATE} cannot be written ({error.strerror})") from error


def load(state_dir: Path) -> UpdateState:
    """Return the state on disk, or that of a station which was never updated.

    A file that cannot be understood is logged and counts as none: a station goes on with the slot that it has.
    """
    path = state_dir / UPDATES / STATE
    try:
        return _parse(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return UpdateState()
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        log.error("%s cannot be understood (%s); the station goes on with the slot that it has", path, error)
        return UpdateState()


def _parse(document: dict[str, Any]) -> UpdateState:
    release = document["release"]
    return UpdateState(
        stage=Stage(document["stage"]),
        release=Release(**release) if release else None,
        candidate=str(document["candidate"]),
        reason=str(document["reason"]),
        detail=str(document["detail"]),
        boots=int(document["boots"]),
        since=str(document["since"]),
        history=tuple(Outcome(**{**entry, "stage": Stage(entry["stage"])}) for entry in document["history"]),
    )


class UpdateRunsError(UnavailableError):
    """Another process works on the updates of this state folder."""


@contextlib.contextmanager
def update_lock(state_dir: Path) -> Iterator[None]:
    """Hold the lock of the updates below `state_dir`, for the block; UpdateRunsError where another process has it."""
    folder = state_dir / UPDATES
    with os_errors_as(UnavailableError, f"{folder} cannot be written", "check its permissions"):
        make_folder(folder)
        file = (folder / LOCK).open("ab")
    with file:
        try:
            lock_file(file)
        except OSError as error:
            raise UpdateRunsError(
                f"another process updates {state_dir}; wait until it has ended, or stop the service, which ends it: "
                "what is fetched is kept"
            ) from error
        yield
