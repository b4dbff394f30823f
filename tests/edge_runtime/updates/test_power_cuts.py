"""A power cut after any call of an update leaves a whole bundle that serves, and nothing that was told is forgotten."""

import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_runtime.updates.slots import Slots, slot_problem
from edge_runtime.updates.state import UPDATES, Stage, load
from edge_runtime.updates.update_process import INCOMING, recover, usable_slot
from tests.support.colour_bundle import make_bundle
from tests.support.power_cuts import STRACE, Call, Disk, Tree, record, write
from tests.support.update_rehearsal import PlainRepository, first_life

pytestmark = pytest.mark.skipif(STRACE is None, reason="strace is not installed")

ORDER = list(Stage)[:-1]  # as an update takes them


@pytest.fixture(scope="module")
def places() -> Iterator[dict[str, Path]]:
    """A state that serves one bundle, and a repository that offers another; in memory, where fsync costs nothing."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        place = Path(folder)
        make_bundle(place / "old", ("fp32",))
        make_bundle(place / "new")
        (place / "state").mkdir()
        first_life(place / "state", place / "old")
        (place / "repository").mkdir()
        PlainRepository(place / "repository").offer(1, place / "new")
        yield {name: place / name for name in ("state", "repository", "replayed", "log")}


def calls_of(places: dict[str, Path], verdict: str, links: str) -> tuple[Path, list[Call]]:
    """A copy of the state as it was before, and what one life did to it."""
    live = places["state"].with_name(f"{verdict}-{links}")
    shutil.copytree(places["state"], live, symlinks=True)
    rehearsal = [sys.executable, "-m", "tests.support.update_rehearsal", "life"]
    calls = record([*rehearsal, str(live), str(places["repository"]), verdict, links], places["log"])
    shutil.rmtree(live)
    shutil.copytree(places["state"], live, symlinks=True)
    return live, calls


def first_wrong(before: Path, calls: list[Call], replayed: Path, deaf: str = "") -> str:
    """What is wrong after a cut at some place, or an empty text; and each way the disk may look is looked at once."""
    disk, chance = Disk(before, deaf), random.Random(0)
    told = "idle"
    seen: set[int] = set()
    for place, call in enumerate(calls):
        if call.name == "write" and call.rest.startswith("1,"):
            told = call.texts[0].decode().strip()
        elif not disk.apply(call):
            continue
        for tree in disk.leftovers(chance):
            if (key := hash((told, frozenset(tree.items())))) in seen:
                continue
            seen.add(key)
            if problem := wrong_after(tree, told, replayed):
                return f"after call {place}, {call.name}, with {told!r} told: {problem}"
    assert len(seen) > 50
    return ""


def wrong_after(tree: Tree, told: str, place: Path) -> str:
    write(tree, place)
    slots = Slots(place)
    state = load(place)
    if (problem := forgotten(state.stage, told)) or (problem := missing(state.stage, state.candidate, slots)):
        return problem
    state = recover(slots)
    folder, problems = usable_slot(slots)
    if problems:
        return f"a damaged slot was to serve: {problems}"
    candidate_serves = folder.name == state.candidate
    if state.stage is not Stage.IDLE and candidate_serves != (state.stage in (Stage.PROBATION, Stage.COMMITTED)):
        return f"{folder.name} serves at {state.stage.value}"
    return ""


def forgotten(stage: Stage, told: str) -> str:
    """Whether the state is older than what was told."""
    if told not in [stage.value for stage in Stage] or stage is Stage.FAILED:
        return ""
    told_stage = Stage(told)
    if told_stage is Stage.FAILED or ORDER.index(stage) < ORDER.index(told_stage):
        return f"the disk says {stage.value}"
    return ""


def missing(stage: Stage, candidate: str, slots: Slots) -> str:
    """What the disk lacks of what its state says."""
    incoming = slots.state_dir / UPDATES / INCOMING / candidate
    if stage is Stage.FETCHED or (stage is Stage.VERIFIED and incoming.exists()):
        return slot_problem(incoming)
    if stage in (Stage.VERIFIED, Stage.STAGED, Stage.GOLDEN_OK, Stage.SHADOW, Stage.PROBATION, Stage.COMMITTED):
        return slot_problem(slots.folder / candidate)
    return ""


@pytest.mark.parametrize(("verdict", "links"), [("good", "links"), ("bad", "files")])
def test_a_power_cut_after_any_call_leaves_one_whole_bundle_and_forgets_nothing(places, verdict, links):
    before, calls = calls_of(places, verdict, links)
    assert first_wrong(before, calls, places["replayed"]) == ""


def test_every_forgotten_fsync_is_found(places):
    before, calls = calls_of(places, "good", "links-again")
    forgotten_calls = {
        "of the bundle's files": rf"{INCOMING}/.*\w\.\w+$|{INCOMING}/.*\.spare",
        "of the bundle's folders": rf"{INCOMING}/[0-9a-f]+(/golden)?$",
        "of the state": rf"^{UPDATES}/\.spare",
        "of the state's folder": rf"^{UPDATES}$",
        "of the slots' folder": "^slots$",
    }
    found = {what: first_wrong(before, calls, places["replayed"], deaf) for what, deaf in forgotten_calls.items()}
    assert all(found.values()), found
