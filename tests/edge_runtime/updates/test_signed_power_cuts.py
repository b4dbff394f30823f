"""A power cut after any call of an update from a signed repository: nothing that was accepted is forgotten.

After each cut those try their luck who offer an older repository, or one made with stolen keys; then the station
begins its next life, which ends with the signed bundle.
"""

import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

pytest.importorskip("tuf", reason="the extra `station` is not installed")
pytest.importorskip("onnx", reason="what checks models is not installed")

from edge_runtime.updates.errors import Reason, UpdateRefused
from edge_runtime.updates.repository.floor_time import utc_now
from edge_runtime.updates.slots import Slots, slot_problem
from edge_runtime.updates.sources import FolderSource
from edge_runtime.updates.state import UPDATES, Stage
from edge_runtime.updates.trusted_repository import ROOT, TrustedRepository, trust_root
from edge_runtime.updates.update_process import INCOMING
from tests.support.colour_bundle import make_bundle
from tests.support.file_server import file_server
from tests.support.power_cuts import STRACE, Call, Disk, Tree, record, write
from tests.support.signed_rehearsal import TRUST, floor_of, padded_bundle, signed_life
from tests.support.tuf_past import Past
from tests.support.tuf_repository import TufRepository
from tests.support.update_rehearsal import GROUP, first_life

pytestmark = pytest.mark.skipif(STRACE is None, reason="strace is not installed")

BELOW = f"{UPDATES}/{TRUST}"
# What a fsync is for: the room below updates/, and the pattern of the paths there whose fsync is left out, as if the
# program had forgotten it.
FORGOTTEN = {
    "of a file that is fetched": (INCOMING, r"/.*\.part$"),
    "of the folder of the files": (INCOMING, r"/[0-9a-f]+(/golden)?$"),
    "of the metadata": (TRUST, r"/metadata/\.spare"),
    "of the metadata's folder": (TRUST, r"/metadata$"),
    "of the roots": (TRUST, r"/metadata/root_history/\.spare"),
    "of the roots' folder": (TRUST, r"/metadata/root_history$"),
    "of the floor": (TRUST, r"/\.spare"),
    "of the folder of trust": (TRUST, r"$"),
}
TRUST_ROOT = """
import os, pathlib, sys
from edge_runtime.updates.trusted_repository import trust_root
trust_root(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]).read_bytes())
os.write(1, b"refreshed")
"""
Check = Callable[[Tree, str], str]


class World:
    """A state that serves the bundle of yesterday's repository, and today's repository."""

    def __init__(self, place: Path) -> None:
        self.place, self.state, self.scratch = place, place / "state", place / "scratch"
        old, new = make_bundle(place / "old", ("fp32",)), padded_bundle(place / "new", 40_000)
        self.past = Past(place, old, new, GROUP)
        first_life(self.state, old)
        trust_root(self.state / BELOW, (self.past.today / "metadata" / "1.root.json").read_bytes())
        yesterday = utc_now() - timedelta(days=1)
        state = signed_life(Slots(self.state), FolderSource(self.past.before), now=lambda: yesterday)
        assert state.stage is Stage.COMMITTED, state
        self.floor = floor_of(self.state / BELOW)
        self.looks: dict[int, str] = {}

    def calls(self, url: str) -> tuple[Path, list[Call]]:
        """A copy of the state as it was, and what one life with the repository at `url` does to it."""
        live = self.place / "live"
        shutil.rmtree(live, ignore_errors=True)
        shutil.copytree(self.state, live, symlinks=True)
        command = [sys.executable, "-m", "tests.support.signed_rehearsal", str(live), url]
        calls = record(command, self.place / "log")
        shutil.rmtree(live)
        shutil.copytree(self.state, live, symlinks=True)
        return live, calls

    def killed(self, before: Path, calls: list[Call]) -> tuple[Disk, list[Call]]:
        """The disk after these calls of a process that was then killed, and what the next life does to it."""
        disk = Disk(before)
        for call in calls:
            disk.apply(call)
        write(next(disk.leftovers(random.Random(0))), before)
        disk.files.clear()
        command = [sys.executable, "-m", "tests.support.signed_rehearsal", str(before), str(self.past.today)]
        return disk, record(command, self.place / "log")

    def first_wrong(self, disk: Disk, calls: list[Call], check: Check, mixtures: int = 0) -> str:
        """What `check` finds wrong after the first cut where it does; each way the disk may look is checked once."""
        chance, told = random.Random(0), ""
        seen: set[int] = set()
        for place, call in enumerate(calls):
            if call.name == "write" and call.rest.startswith("1,"):
                told = call.texts[0].decode() if call.texts[0].startswith(b"refreshed") else told
            elif not disk.apply(call):
                continue
            for tree in disk.leftovers(chance, mixtures):
                if (key := hash((told, frozenset(tree.items())))) in seen:
                    continue
                seen.add(key)
                if problem := check(tree, told):
                    return f"after call {place}, {call.name}, with {told!r} told: {problem}"
        assert len(seen) > 5
        return ""

    def any_wrong(self, tree: Tree, told: str) -> str:
        return self.forgotten(tree, told) or self.end_of_next_life(tree, told)

    def forgotten(self, tree: Tree, told: str) -> str:
        """Which offer of the past is taken, or how far time went back."""
        trust = {name.removeprefix(BELOW + "/"): what for name, what in tree.items() if name.startswith(BELOW + "/")}
        key = hash((told, frozenset(trust.items())))
        if key not in self.looks:
            self.looks[key] = self._forgotten(trust, told)
        return self.looks[key]

    def _forgotten(self, trust: Tree, told: str) -> str:
        write(trust, self.scratch)
        floor = datetime.fromisoformat(told.split()[1]) if told else self.floor
        if (kept := floor_of(self.scratch)) < floor:
            return f"time goes back from {floor} to {kept}"
        past = self.past
        for offer in (past.before, past.between, past.mixed, past.revoked) if told else (past.oldest,):
            write(trust, self.scratch)
            try:
                TrustedRepository(self.scratch, FolderSource(offer)).refresh()
            except UpdateRefused as error:
                if error.reason not in (Reason.ROLLBACK, Reason.SIGNATURE):
                    return f"{offer.name} is refused for another reason: {error}"
            else:
                return f"the repository {offer.name} is taken"
        return ""

    def end_of_next_life(self, tree: Tree, told: str) -> str:
        """What is wrong with the end of a life that nothing disturbs."""
        write(tree, self.scratch)
        slots = Slots(self.scratch)
        state = signed_life(slots, FolderSource(self.past.today))
        if (state.stage, slots.current().name) != (Stage.COMMITTED, self.past.digest):
            return f"it ends at {state.stage.value} with {slots.current().name[:12]}: {state.detail}"
        return slot_problem(slots.current())


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """In memory, where fsync costs nothing."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield World(Path(folder))


def test_a_power_cut_during_an_update_from_a_folder_forgets_nothing_that_was_accepted(world):
    before, calls = world.calls(str(world.past.today))
    assert world.first_wrong(Disk(before), calls, world.any_wrong, mixtures=2) == ""


def test_a_power_cut_during_an_update_over_http_whose_link_is_cut_forgets_nothing_either(world):
    with file_server(world.past.today) as server:
        server.cut_after = 20_000
        before, calls = world.calls(server.url)
        assert [start for name, start in server.asked if name.endswith("model.fp32.onnx")] == [0, 20_000, 40_000]
    assert world.first_wrong(Disk(before), calls, world.any_wrong, mixtures=2) == ""


@pytest.mark.parametrize("name", ["model.fp32.onnx.part", "model.fp32.onnx", "slots/DIGEST", "slots/current"])
def test_what_a_killed_process_left_in_memory_is_durable_before_the_next_one_counts_on_it(world, name):
    before, calls = world.calls(str(world.past.today))
    what, step = name.replace("DIGEST", world.past.digest), "fsync" if name.endswith(".part") else "rename"
    first = next(place for place, call in enumerate(calls) if named(call, what))
    place = next(place for place in range(first, len(calls)) if calls[place].name == step)
    disk, calls = world.killed(before, calls[: place + (step == "rename")])
    assert world.first_wrong(disk, calls, world.end_of_next_life) == ""


def named(call: Call, name: str) -> bool:
    """Whether the call makes this name."""
    made = call.name == "rename" or "O_CREAT" in call.rest
    return made and bool(call.texts) and os.fsdecode(call.texts[-1]).endswith(name)


def test_a_power_cut_while_another_root_is_trusted_leaves_no_way_back(world):
    before = world.place / "live"
    shutil.rmtree(before, ignore_errors=True)
    shutil.copytree(world.state, before, symlinks=True)
    disk = Disk(before)
    old, new = (before / BELOW / ROOT).read_bytes(), TufRepository(world.place / "another").first_root
    (world.place / "new root").write_bytes(new)
    command = [sys.executable, "-c", TRUST_ROOT, str(before / BELOW), str(world.place / "new root")]

    def check(tree: Tree, told: str) -> str:
        root = tree.get(f"{BELOW}/{ROOT}")
        if told or root not in (old, None):
            return "" if root == new else "the new root is gone"
        return world.forgotten(tree, "") if root == old else ""

    assert world.first_wrong(disk, record(command, world.place / "log"), check, mixtures=2) == ""


def test_every_forgotten_fsync_of_the_download_and_of_what_is_trusted_is_found(world):
    before, calls = world.calls(str(world.past.today))
    checks = {INCOMING: world.end_of_next_life, TRUST: world.forgotten}
    found = {
        what: world.first_wrong(Disk(before, rf"^{UPDATES}/{room}{deaf}"), calls, checks[room])
        for what, (room, deaf) in FORGOTTEN.items()
    }
    assert all(found.values()), found
