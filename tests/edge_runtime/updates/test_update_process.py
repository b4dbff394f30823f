import errno
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.store import open_bundle
from edge_runtime.updates.errors import Reason, UpdateDelayed, UpdateRefused
from edge_runtime.updates.rate_limit import RateLimit
from edge_runtime.updates.slots import Slots, slot_problem
from edge_runtime.updates.state import Stage, load
from edge_runtime.updates.update_process import (
    MOST_BOOTS,
    MOST_TRIES,
    commit,
    fail,
    recover,
    roll_back_by_hand,
    run_update,
    start_probation,
    start_shadow,
    usable_slot,
)
from tests.support import ROOT
from tests.support.colour_bundle import make_bundle
from tests.support.update_rehearsal import (
    GROUP,
    TRIAL,
    PlainRepository,
    bring,
    ending_at,
    first_life,
    in_a_process,
    life,
)


@pytest.fixture
def station(tmp_path):
    return Rehearsal(tmp_path)


class Rehearsal:
    """A station that serves the bundle `old`, and a repository that offers `new` as release 1."""

    def __init__(self, place):
        self.place, self.folder = place, place / "repository"
        self.folder.mkdir()
        self.factory = make_bundle(place / "factory", ("fp16",))
        self.state_dir = place / "state"
        self.old = first_life(self.state_dir, make_bundle(place / "old", ("fp32",)))
        self.slots = Slots(self.state_dir, self.factory)
        self.new = PlainRepository(self.folder).offer(1, make_bundle(place / "new"))

    def bring(self, again=False, **trial):
        return bring(self.slots, self.folder, replace(TRIAL, **trial), again)

    @property
    def serving(self):
        return self.slots.current().name


def refusing(reason):
    def refuse(*_):
        raise UpdateRefused(reason, "it was seen here")

    return refuse


def test_a_good_release_serves_on_probation_and_then_for_good(station):
    state = station.bring()
    assert (state.stage, state.candidate, station.serving) == (Stage.GOLDEN_OK, station.new, station.old)
    assert start_probation(station.slots).stage is Stage.PROBATION
    assert (station.serving, station.slots.previous().name) == (station.new, station.old)
    assert commit(station.slots).stage is Stage.COMMITTED
    assert station.bring() == load(station.state_dir)
    assert [(outcome.release, outcome.stage) for outcome in station.bring().history] == [(1, Stage.COMMITTED)]


@pytest.mark.parametrize(
    ("check", "reason"), [("content", Reason.CONTENT), ("fits", Reason.POLICY), ("prove", Reason.GOLDEN)]
)
def test_a_refused_release_is_told_once_and_not_tried_again_by_itself(station, check, reason):
    state = station.bring(**{check: refusing(reason)})
    assert (state.stage, state.reason, station.serving) == (Stage.FAILED, reason.value, station.old)
    assert not (station.slots.folder / station.new).exists()
    assert station.bring() == state
    assert station.bring(again=True).stage is Stage.GOLDEN_OK


def test_a_refused_release_makes_way_for_the_next_one(station):
    station.bring(prove=refusing(Reason.GOLDEN))
    PlainRepository(station.folder).offer(2, station.place / "new")
    assert station.bring().stage is Stage.GOLDEN_OK


def test_sentences_about_settings_that_do_not_survive_stay_with_the_update(station):
    station.bring(fits=lambda bundle, serving: ["the threshold of leak is another"])
    start_probation(station.slots)
    assert commit(station.slots).detail == "the threshold of leak is another"


def test_a_model_that_fails_on_probation_makes_way_and_is_not_brought_again(station):
    station.bring()
    start_probation(station.slots)
    state = fail(station.slots, Reason.PROBATION_NAN, "a score is no number")
    assert (state.stage, station.serving) == (Stage.FAILED, station.old)
    assert station.bring() == state


def test_a_forged_repository_neither_drops_nor_refuses_a_release_that_is_under_way(station):
    with pytest.raises(UpdateDelayed):
        station.bring(prove=no_device)

    class Forged(PlainRepository):
        def refresh(self):
            raise UpdateRefused(Reason.SIGNATURE, "nobody signed it")

    def attack():
        return run_update(station.slots, GROUP, lambda: Forged(station.folder), TRIAL, None, None)

    state = attack()
    assert (state.stage, state.reason, state.release) == (Stage.FAILED, "signature", None)
    assert len(attack().history) == 1  # told once
    assert station.serving == station.old
    assert station.bring().stage is Stage.GOLDEN_OK


def test_a_source_that_is_damaged_again_and_again_is_told_once_and_then_serves(station):
    class Damaged(PlainRepository):
        def fetch_bundle(self, *_, **__):
            raise UpdateRefused(Reason.HASH, "a file is another")

    for _ in range(2):
        state = run_update(station.slots, GROUP, lambda: Damaged(station.folder), TRIAL, None, None)
    assert (state.stage, state.reason, len(state.history)) == (Stage.FAILED, "hash", 1)
    assert station.bring().stage is Stage.GOLDEN_OK


def test_after_a_forged_repository_the_release_that_failed_before_is_told_as_failed(station):
    station.bring(prove=refusing(Reason.GOLDEN))

    class Forged(PlainRepository):
        def refresh(self):
            raise UpdateRefused(Reason.SIGNATURE, "nobody signed it")

    run_update(station.slots, GROUP, lambda: Forged(station.folder), TRIAL, None, None)
    state = station.bring()
    assert (state.stage, state.reason, state.candidate) == (Stage.FAILED, "golden", station.new)
    assert [outcome.reason for outcome in state.history] == ["signature", "golden"]


def no_device(bundle, serving):
    raise UpdateDelayed(Reason.STOPPED, "the device is busy")


def test_what_is_fetched_is_tried_without_a_link(station):
    with pytest.raises(UpdateDelayed):
        station.bring(prove=no_device)
    assert (load(station.state_dir).stage, load(station.state_dir).reason) == (Stage.STAGED, "stopped")

    def unreachable():
        raise UpdateDelayed(Reason.LINK, "no route")

    state = run_update(station.slots, GROUP, unreachable, TRIAL, None, None)
    assert state.stage is Stage.GOLDEN_OK


def test_a_full_disk_delays_an_update_and_gives_the_room_back_to_alarms(station):
    class FullDisk(PlainRepository):
        def fetch_bundle(self, digest, into, *_):
            (into / "manifest.json.part").write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(UpdateDelayed) as delayed:
        run_update(station.slots, GROUP, lambda: FullDisk(station.folder), TRIAL, None, None)
    assert delayed.value.reason is Reason.DISK
    assert list((station.state_dir / "updates" / "incoming").iterdir()) == []
    assert (load(station.state_dir).reason, station.serving) == ("disk", station.old)
    assert station.bring().stage is Stage.GOLDEN_OK


def test_a_model_that_ends_the_service_again_and_again_makes_way(station):
    station.bring()
    start_probation(station.slots)
    for _ in range(MOST_BOOTS):
        assert recover(station.slots, boot=True).stage is Stage.PROBATION
        assert station.serving == station.new
    state = recover(station.slots, boot=True)
    assert (state.stage, state.reason, station.serving) == (Stage.FAILED, "probation_crash", station.old)


def test_a_model_that_ends_the_update_process_again_and_again_is_given_up(station):
    def killed(bundle, serving):
        ending_at(1)("prove")

    for _ in range(MOST_TRIES + 1):
        assert not in_a_process(lambda: station.bring(prove=killed))
    state = station.bring(prove=killed)
    assert (state.stage, state.reason, station.serving) == (Stage.FAILED, "engine", station.old)


def test_a_tampered_slot_makes_way_for_the_one_before_and_then_for_the_factory_bundle(station):
    life(station.slots, station.folder, good=True)
    (station.slots.folder / station.new / "golden.json").write_text("{}")
    folder, problems = usable_slot(station.slots)
    assert (folder.name, len(problems)) == (station.old, 1)
    assert load(station.state_dir).reason == "tampered_slot"
    (station.slots.folder / station.old / "model.fp32.onnx").write_bytes(b"another model")
    assert usable_slot(station.slots)[0] == station.factory
    (station.factory / "golden.json").unlink()
    with pytest.raises(InputError, match=r"golden\.json is missing"):
        usable_slot(station.slots)


def test_a_slot_that_was_tampered_with_is_fetched_again_by_itself(station):
    life(station.slots, station.folder, good=True)
    (station.slots.folder / station.new / "golden.json").write_text("{}")
    usable_slot(station.slots)
    assert station.bring().stage is Stage.GOLDEN_OK
    assert slot_problem(station.slots.folder / station.new) == ""


def test_a_slot_that_is_tampered_with_at_work_is_told_at_the_next_look_and_fetched_again(station):
    life(station.slots, station.folder, good=True)
    (station.slots.folder / station.new / "golden.json").write_text("{}")
    state = station.bring()
    assert (state.stage, state.reason) == (Stage.FAILED, "tampered_slot")
    assert "golden.json" in state.detail
    assert station.bring().stage is Stage.GOLDEN_OK
    assert station.serving == station.old  # until the candidate is on probation
    assert slot_problem(station.slots.folder / station.new) == ""


def test_a_person_goes_back_and_the_release_stays_away(station):
    life(station.slots, station.folder, good=True)
    state = roll_back_by_hand(station.slots)
    assert (state.reason, station.serving) == ("rolled_back", station.old)
    assert station.bring() == state
    assert roll_back_by_hand(station.slots).stage is Stage.FAILED
    assert station.slots.current() == station.factory
    with pytest.raises(InputError, match="no slot to go back to"):
        roll_back_by_hand(station.slots)


def test_an_update_at_another_stage_is_not_committed(station):
    station.bring()
    with pytest.raises(InputError, match="golden_ok, expected one of probation"):
        commit(station.slots)


def test_the_first_bundle_of_a_station_needs_none_before_it(station):
    slots = Slots(station.place / "empty")
    assert bring(slots, station.folder).stage is Stage.GOLDEN_OK
    start_probation(slots)
    assert (slots.current().name, slots.previous()) == (station.new, None)
    assert fail(slots, Reason.PROBATION_ALARMS, "six alarms an hour").stage is Stage.FAILED
    assert slots.current().name == station.new  # a bad model rather than none


def test_a_release_that_serves_already_is_committed_without_being_fetched(station):
    shutil.copytree(station.slots.current(), station.folder / station.old)
    PlainRepository(station.folder).offer(2, station.folder / station.old)
    state = station.bring(content=open_bundle, prove=refusing(Reason.GOLDEN))
    assert (state.stage, state.release.number, station.serving) == (Stage.COMMITTED, 2, station.old)


@pytest.mark.parametrize(("verdict", "links"), [("good", "links"), ("bad", "files")])
def test_killed_at_every_step_and_again_at_every_step_after_it_exactly_one_whole_model_serves(verdict, links):
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        place = Path(folder)
        first_life(place / "base", make_bundle(place / "old", ("fp32",)))
        (place / "repository").mkdir()
        new = PlainRepository(place / "repository").offer(1, make_bundle(place / "new", ("fp16",)))
        rehearsal = [sys.executable, "-m", "tests.support.update_rehearsal", "sweep"]
        command = [*rehearsal, str(place / "base"), str(place / "repository"), new, verdict, links]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    first, second = map(int, done.stdout.split())
    assert first > 15
    assert second > 10 * first


@pytest.mark.parametrize("shadowed", [False, True])
def test_a_candidate_that_does_not_serve_yet_makes_way_for_a_newer_release(station, shadowed):
    station.bring()
    if shadowed:
        start_shadow(station.slots)
    assert station.bring().candidate == station.new  # the same release: nothing is begun anew
    newer = PlainRepository(station.folder).offer(2, make_bundle(station.place / "newer", ("fp32", "fp16", "int8")))
    state = station.bring()
    assert (state.stage, state.candidate, state.release.number) == (Stage.GOLDEN_OK, newer, 2)
    assert station.serving == station.old


def test_a_repository_that_is_refused_does_not_drop_what_waits_to_serve(station):
    waiting = station.bring()

    def forged():
        raise UpdateRefused(Reason.SIGNATURE, "it was seen here")

    state = run_update(station.slots, GROUP, forged, TRIAL, RateLimit(), threading.Event())
    assert state == waiting == load(station.state_dir)
