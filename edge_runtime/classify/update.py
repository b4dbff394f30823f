"""`edge-classify --update`: a laptop takes its bundle from the same signed repository or stick as a station.

No service watches the new model here, so it serves as soon as it has passed every check on this device.
"""

import os
import sys
import threading
from functools import partial
from pathlib import Path

from ..bundle.errors import InputError, UnavailableError, os_errors_as
from ..bundle.files import make_folder, replace_file
from ..bundle.store import CURRENT_SLOT, STATE_DIR, read_pointer
from ..updates.rate_limit import RateLimit
from ..updates.slots import Slots
from ..updates.sources import open_source
from ..updates.state import TRUST, UPDATES, Stage, UpdateState
from ..updates.trusted_repository import ROOT, TrustedRepository, trust_root
from ..updates.update_process import Trial, commit, recover, run_update, start_probation, usable_slot

REMEMBERED = "source"  # below `updates`: the address or folder of the last update
GROUP = "all"  # the last step of every release


def user_state_dir() -> Path:
    """Return where this user's bundles lie: RAREFAULT_STATE, else where the system keeps a program's data."""
    if given := os.environ.get("RAREFAULT_STATE"):
        return Path(given)
    try:
        if sys.platform == "win32":
            return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "rarefault"
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Application Support" / "rarefault"
        return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "rarefault"
    except RuntimeError as error:  # as in a container whose user the system does not know
        raise InputError("this user has no home folder; give --bundle DIR, or set RAREFAULT_STATE") from error


def serving_bundle() -> tuple[Path, list[str]]:
    """Return the folder of the bundle to use, and a sentence about each slot that was damaged.

    That is the station's current one on a station, else the one that this user's last update has put in place.
    InputError where there is none.
    """
    remedy = "give --bundle DIR, set RAREFAULT_BUNDLE, or fetch one with --update"
    state_dir = STATE_DIR if read_pointer(STATE_DIR / CURRENT_SLOT) else user_state_dir()
    slots = Slots(state_dir)
    try:
        folder = slots.current()
    except InputError:
        raise InputError(f"no bundle: {remedy} (no update has put one below {STATE_DIR} or {state_dir})") from None
    if state_dir == STATE_DIR:
        return folder, []  # the service looks after it
    recover(slots)
    return usable_slot(slots)


def bring_update(source: str, root: Path | None) -> str:
    """Fetch, verify and try what the repository `source` offers, let it serve, and return a sentence about it.

    An empty `source` is that of the last time. `root` is the first root file, needed once. RarefaultError says what is
    wrong or missing; the bundle before serves on then.
    """
    if read_pointer(STATE_DIR / CURRENT_SLOT):
        raise InputError(f"a station works on {STATE_DIR}; use edge-station update or import-update here")
    state_dir = user_state_dir()
    slots, place = Slots(state_dir), _place(state_dir, source)
    with os_errors_as(
        UnavailableError, f"{state_dir} cannot be written", "check its permissions, or set RAREFAULT_STATE"
    ):
        make_folder(state_dir / UPDATES)
    try:
        state = _run(slots, place, root)
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"updates need the package {error.name}; install rarefault with the extra field"
        ) from error
    replace_file(state_dir / UPDATES / REMEMBERED, place.encode())
    if state.stage is Stage.FAILED:
        raise InputError(f"the update is {state.refusal()}")
    assert state.release  # GOLDEN_OK or COMMITTED
    return f"release {state.release.number}, {state.release.name} {state.release.version}, serves"


def _place(state_dir: Path, source: str) -> str:
    """Return the address, or the absolute folder, of the repository."""
    if not source:
        try:
            return (state_dir / UPDATES / REMEMBERED).read_text("utf-8")
        except (OSError, ValueError):
            raise InputError("no update was made here before; give --update=URL, or the folder of a stick") from None
    return source if "://" in source else str(Path(source).absolute())


def _run(slots: Slots, place: str, root: Path | None) -> UpdateState:
    trusted = slots.state_dir / UPDATES / TRUST
    if root is not None:
        with os_errors_as(InputError, f"{root} cannot be read", "give the root file of the central team"):
            trust_root(trusted, root.read_bytes())
    if not (trusted / ROOT).exists():
        raise InputError(
            "no repository is trusted here; give the central team's first root file once: --trust ROOT.json"
        )
    limiter, stop = RateLimit(), threading.Event()
    repository = partial(TrustedRepository, trusted, open_source(place), limiter=limiter, stop=stop)
    recover(slots)
    # A person has asked for it: what has failed here before is tried again.
    state = run_update(slots, GROUP, repository, _trial(), limiter, stop, again=True)
    if state.stage in (Stage.GOLDEN_OK, Stage.SHADOW):
        start_probation(slots)
    return commit(slots) if state.stage in (Stage.GOLDEN_OK, Stage.SHADOW, Stage.PROBATION) else state


def _trial() -> Trial:
    """Return what a bundle has to pass; policies are for stations and their cameras."""
    from ..updates.content_check import check_content
    from ..updates.proof import prove

    return Trial(content=check_content, fits=lambda bundle, serving: (), prove=lambda new, old: prove(new, old))
