"""The updates of a station without cameras, to be killed at any step: `python -m tests.support.update_rehearsal`.

A `life` is what a station does from a start on: recover, serve, bring the release, let it serve on probation, and
commit it or give it up. The repository is a folder of bundles without signatures, and its trial checks only that files
are whole.
"""

import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from edge_runtime.bundle.files import make_folder, replace_file, sync_folder
from edge_runtime.bundle.store import open_bundle
from edge_runtime.updates.errors import Reason
from edge_runtime.updates.rate_limit import RateLimit
from edge_runtime.updates.slots import Slots, slot_problem
from edge_runtime.updates.state import HANDED_OVER, Stage, UpdateState, load
from edge_runtime.updates.trusted_repository import Release
from edge_runtime.updates.update_process import (
    Trial,
    commit,
    fail,
    recover,
    run_update,
    start_probation,
    start_shadow,
    usable_slot,
)

GROUP = "all"
RELEASE = "release.json"  # in the folder of the repository: {"number": N, "bundle": folder's name}


class PlainRepository:
    """A repository of the shape that an update asks for: a folder that holds a bundle in a folder of its digest."""

    def __init__(self, folder: Path, reached: Callable[[str], None] = lambda step: None) -> None:
        self.folder, self.reached = folder, reached

    def refresh(self) -> None:
        self.reached("refreshed")

    def release(self, group: str) -> Release:
        return Release(**json.loads((self.folder / RELEASE).read_text()), name="colours", version="1", group=group)

    def fetch_bundle(
        self, digest: str, into: Path, limiter: RateLimit, stop: threading.Event, have: Sequence[Path] = ()
    ) -> None:
        bundle = self.folder / digest
        for name in sorted(path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()):
            make_folder((into / name).parent)
            replace_file(into / name, (self.folder / digest / name).read_bytes())
            self.reached(f"fetched {name}")

    def offer(self, number: int, bundle: Path) -> str:
        """Make `bundle` the release of this number and return its digest."""
        digest = open_bundle(bundle).digest
        if not (self.folder / digest).exists():
            shutil.copytree(bundle, self.folder / digest)
        replace_file(self.folder / RELEASE, json.dumps({"number": number, "bundle": digest}).encode())
        return digest


TRIAL = Trial(content=open_bundle, fits=lambda bundle, serving: [], prove=lambda bundle, serving: None)


def bring(slots: Slots, folder: Path, trial: Trial = TRIAL, again: bool = False) -> UpdateState:
    """Run the update process once with the repository in `folder`."""
    repository = PlainRepository(folder, slots.reached)
    return run_update(slots, GROUP, lambda: repository, trial, RateLimit(), threading.Event(), again)


def life(slots: Slots, folder: Path, good: bool) -> UpdateState:
    """Live with the repository in `folder`."""
    return live(slots, lambda: bring(slots, folder), good)


def live(slots: Slots, update: Callable[[], UpdateState], good: bool) -> UpdateState:
    """Start, take what `update` brings, and end with it committed or given up; return the state."""
    recover(slots, boot=True)
    usable_slot(slots)
    state = load(slots.state_dir)
    if state.stage not in HANDED_OVER:
        state = update()
    if state.stage is Stage.GOLDEN_OK:
        state = start_shadow(slots)
    if state.stage is Stage.SHADOW:
        state = start_probation(slots)
    if state.stage is Stage.PROBATION:
        state = commit(slots) if good else fail(slots, Reason.PROBATION_NAN, "it gave an answer that is no number")
    return state


def first_life(state_dir: Path, bundle: Path) -> str:
    """Make the state of a station that serves `bundle` from a slot; return its digest."""
    slots = Slots(state_dir)
    digest = open_bundle(bundle).digest
    incoming = state_dir / "updates" / "incoming" / digest
    make_folder(incoming.parent)
    shutil.copytree(bundle, incoming)
    slots.install(incoming, digest)
    slots.activate(digest)
    for folder in (incoming.parent, incoming.parent.parent, state_dir):
        sync_folder(folder)
    return digest


def wrong_with(slots: Slots, old: str, new: str) -> str:
    """Return what is wrong with the disk: anything but one whole bundle that may serve; reads only."""
    active = slots.current()
    state = load(slots.state_dir)
    if problem := slot_problem(active):
        return problem
    if active.name not in (old, new):
        return f"{active.name} serves"
    if active.name == new and state.stage not in (Stage.PROBATION, Stage.COMMITTED, Stage.FAILED):
        return f"the candidate serves at {state.stage.value}"
    return ""


def refuse_link(target: str, path: Path) -> None:
    """Refuse to make a link, as Windows does for most users."""
    raise OSError(1314, f"a required privilege is not held: {target} {path}")


def ending_at(count: int) -> Callable[[str], None]:
    """Return a listener of steps that kills this process at step number `count`; 0: never."""
    left = [count]

    def reached(step: str) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return reached


def in_a_process(work: Callable[[], object]) -> bool:
    """Run `work` in a process of its own; whether it came to its end instead of being killed."""
    if (child := os.fork()) == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise AssertionError("the process ended with an error of its own, see above")
    return os.WIFEXITED(status)


def sweep(base: Path, folder: Path, new: str, good: bool, links: bool) -> tuple[int, int]:
    """Kill a life at every step, and the life after it at every one; return the number of kills, and of second ones.

    `base` is a state folder that `first_life` made. AssertionError where the disk is ever wrong.
    """
    link = os.symlink if links else refuse_link
    old = Slots(base).current().name
    place = base.with_name("killed")
    first, second = 0, 0

    def run(state_dir: Path, kill_at: int) -> bool:
        slots = Slots(state_dir, link=link, reached=ending_at(kill_at))
        ended = in_a_process(lambda: life(slots, folder, good))
        problem = wrong_with(slots, old, new)
        assert not problem, f"killed at {first}, then at {second}: {problem}"
        return ended

    while True:
        first += 1
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(base, place, symlinks=True)
        if run(place, first):
            return first - 1, second
        for again in range(1, 1000):
            copy = place.with_name("killed again")
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(place, copy, symlinks=True)
            if run(copy, again):
                check_end(copy, old, new, good)
                break
            second += 1
            assert run(copy, 0)
            check_end(copy, old, new, good)


def check_end(state_dir: Path, old: str, new: str, good: bool) -> None:
    """AssertionError where a life that nobody killed has not come to a proper end."""
    state = load(state_dir)
    ended = (state.stage, Slots(state_dir).current().name)
    crashed = state.reason == Reason.PROBATION_CRASH.value  # a third start on probation looks like one
    assert ended == ((Stage.COMMITTED, new) if good and not crashed else (Stage.FAILED, old)), ended


def announce(step: str) -> None:
    """Tell whoever reads the standard output which step is on disk."""
    os.write(1, f"{step}\n".encode())


def main() -> None:
    """Run a life, or a sweep, as the arguments say."""
    kind, *rest = sys.argv[1:]
    if kind == "sweep":
        base, folder, new, good, links = rest
        announce("{} {}".format(*sweep(Path(base), Path(folder), new, good == "good", links == "links")))
    else:
        state_dir, folder, good, links = rest
        announce("ready")
        link = os.symlink if links == "links" else refuse_link
        life(Slots(Path(state_dir), link=link, reached=announce), Path(folder), good == "good")


if __name__ == "__main__":
    main()
