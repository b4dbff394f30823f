"""An update whose disk runs full at each of its steps: a small tmpfs under the state folder."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("tuf", reason="the extra `station` is not installed")
pytest.importorskip("onnx", reason="what checks models is not installed")

from edge_runtime.alerts.outbox import Outbox
from edge_runtime.updates.errors import Reason, UpdateDelayed
from edge_runtime.updates.rate_limit import RateLimit
from edge_runtime.updates.repository.download import RESERVE
from edge_runtime.updates.slots import Slots, slot_problem
from edge_runtime.updates.sources import FolderSource
from edge_runtime.updates.state import UPDATES, Stage, load
from edge_runtime.updates.trusted_repository import trust_root
from edge_runtime.updates.update_process import INCOMING
from tests.support.colour_bundle import make_bundle
from tests.support.outbox_disks import fill, small_disk
from tests.support.sample_events import record
from tests.support.signed_rehearsal import TRIAL, TRUST, padded_bundle, signed_life
from tests.support.tuf_repository import TufRepository
from tests.support.update_rehearsal import GROUP, first_life, refuse_link

MEGABYTES = (RESERVE >> 20) + 8  # of the disk
PICTURES = 50_000  # bytes of an alarm's
SIZE = 400_000  # bytes of the new model


class SmallStation:
    """A station that serves `old` from a small disk, where a repository elsewhere offers `new`."""

    def __init__(self, place: Path, disk: Path) -> None:
        self.disk, self.state_dir = disk, disk / "state"
        self.repository = TufRepository(place / "repository")
        trust_root(self.state_dir / UPDATES / TRUST, self.repository.first_root)
        self.old = first_life(self.state_dir, make_bundle(place / "old", ("fp32",)))
        self.new = self.repository.put_folder(padded_bundle(place / "new", SIZE))
        self.repository.put_release(GROUP, self.new)
        self.repository.publish(("targets", f"group-{GROUP}"))
        self.outbox = Outbox(self.state_dir, ["mqtt"])
        self.alarms = 0
        self.alarm()

    def alarm(self) -> None:
        self.outbox.commit(record(self.alarms, size=PICTURES))
        self.alarms += 1

    def fill(self) -> None:
        if not (self.disk / "ballast").exists():
            fill(self.disk)

    def live(self, full_at: str = ""):
        """One life; the disk runs full at the step, or stage, of this name."""

        def reached(step: str) -> None:
            if step == full_at:
                self.fill()

        def fetching() -> bool:
            parts = (self.state_dir / UPDATES / INCOMING).rglob("*.part")
            if full_at == "fetching" and any(part.stat().st_size > SIZE // 2 for part in parts):
                self.fill()
            return False

        def content(folder: Path):
            reached("content")
            return TRIAL.content(folder)

        slots = Slots(self.state_dir, link=refuse_link, reached=reached)
        trial = replace(TRIAL, content=content)
        return signed_life(slots, FolderSource(self.repository.folder), limiter=RateLimit(quiet=fetching), trial=trial)


@pytest.fixture
def station(tmp_path: Path) -> Iterator[SmallStation]:
    with small_disk(tmp_path / "small", MEGABYTES) as disk:
        made = SmallStation(tmp_path, disk)
        yield made
        made.outbox.close()


STEPS = "fetching,content,verified,installed,staged,golden_ok,shadow,probation,previous switched,current switched"


@pytest.mark.parametrize("step", STEPS.split(","))
def test_a_disk_that_runs_full_delays_an_update_until_there_is_room(station, step):
    with pytest.raises(UpdateDelayed) as delayed:
        station.live(full_at=step)
    assert delayed.value.reason is Reason.DISK
    for _ in range(3):  # the schedule goes on
        with pytest.raises(UpdateDelayed):
            station.live()
        assert Slots(station.state_dir).is_current(station.new if step == "current switched" else station.old)
        assert slot_problem(Slots(station.state_dir).current()) == ""
    (station.disk / "ballast").unlink()
    station.alarm()
    assert station.live().stage is Stage.COMMITTED
    assert Slots(station.state_dir).is_current(station.new)
    assert station.outbox.pending("mqtt") == station.alarms


@pytest.mark.parametrize("step", ["fetching", "content"])
def test_what_was_fetched_makes_way_for_an_alarm(station, step):
    with pytest.raises(UpdateDelayed):
        station.live(full_at=step)
    station.alarm()
    assert station.outbox.pending("mqtt") == station.alarms


def test_an_update_leaves_room_for_alarms(station):
    (station.disk / "ballast").write_bytes(bytes(8 << 20))
    with pytest.raises(UpdateDelayed, match="have to stay free"):
        station.live()
    assert load(station.state_dir).reason == Reason.DISK.value
    station.alarm()
    (station.disk / "ballast").unlink()
    assert station.live().stage is Stage.COMMITTED
