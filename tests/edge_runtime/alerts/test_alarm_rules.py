"""From frames to records, with the colour bundle on its real engine and a real outbox."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.alerts.alarm_rules import AlarmRules
from edge_runtime.alerts.events import ALARM, SAMPLE, Reporter, View
from edge_runtime.alerts.outbox import Entry, Outbox
from edge_runtime.alerts.outbox_spool import OutboxSpool
from edge_runtime.alerts.sample_selection import SampleSelector
from edge_runtime.alerts.votes import VoteRule, camera_rule
from edge_runtime.bundle.store import open_bundle
from edge_runtime.clock import Clock
from edge_runtime.inference.engines import open_engine
from edge_runtime.inference.evaluator import Evaluator
from edge_runtime.station.settings import SamplesSection

RED, GREEN, BLACK = (0, 0, 255), (0, 255, 0), (0, 0, 0)


class Station:
    """Two cameras; `yard` lowers rust's bar, so a frame that is mostly green is rust to it."""

    def __init__(self, bundle_folder: Path, state: Path) -> None:
        bundle = open_bundle(bundle_folder)
        self.evaluator = Evaluator(bundle, open_engine(bundle, "cpu", "fp32", 1).engine)
        self.outbox = Outbox(state, ["mqtt"])
        rule, votes = bundle.manifest.decision, VoteRule(needed=2, window=3, cooldown=100)
        self.ended: list[tuple[str, str]] = []
        self.decider = AlarmRules(
            {"yard": camera_rule(rule, votes, {"thresholds": {"rust": 0.05}}), "gate": camera_rule(rule, votes, {})},
            Reporter("north-7", bundle),
            OutboxSpool(self.outbox),
            Clock(),
            SampleSelector(SamplesSection(interval=1e6)),
        )

    def see(
        self,
        camera: str,
        colour: tuple[int, int, int],
        now: float,
        green: float = 0.0,
        test: bool = False,
        region: str = "",
    ) -> None:
        frame = np.full((30, 60, 3), colour, np.uint8)
        frame[:, : round(60 * green)] = GREEN
        if colour != BLACK:
            frame[:, 54:] = 90  # some structure: one flat tone would not be evaluated
        evaluation = self.evaluator.evaluate(frame, self.decider.rule(camera))
        changes = self.decider.see(View(camera, frame, region, test), evaluation, now)
        self.ended += [(camera, change.label) for change in changes if not change.raised]

    def alarms(self) -> list[Entry]:
        return self.outbox.recent(ALARM)[::-1]


@pytest.fixture
def station(packed: Path, tmp_path: Path) -> Iterator[Station]:
    made = Station(packed, tmp_path)
    yield made
    made.outbox.close()


def test_votes_become_one_alarm_and_its_end_is_told(station):
    for now in range(6):
        station.see("gate", RED, now)
    (alarm,) = station.alarms()
    assert (alarm.camera, alarm.document["label"], alarm.document["test"]) == ("gate", "rust", False)
    assert alarm.document["votes"] == {"votes": 2, "of": 2, "needed": 2}
    assert station.decider.standing("gate") == {"rust"}
    assert station.decider.standing("yard") == set()
    for now in range(6, 9):
        station.see("gate", GREEN, now)
    assert station.ended == [("gate", "rust")]


def test_a_black_frame_is_no_vote(station):
    for now, colour in enumerate([RED, BLACK, BLACK, BLACK, RED]):
        station.see("gate", colour, now)
    assert len(station.alarms()) == 1


def test_a_cameras_own_threshold_decides_and_the_event_tells_it(station):
    for now in range(3):
        station.see("gate", RED, now, green=0.6)
        station.see("yard", RED, now, green=0.6)
    (alarm,) = station.alarms()
    assert (alarm.camera, alarm.document["threshold"]) == ("yard", 0.05)


def test_a_test_alarm_is_marked_and_leaves_the_camera_as_it_was(station):
    for now in range(3):
        station.see("gate", RED, now, test=True)
    station.decider.end_test("gate")
    for now in range(3, 6):
        station.see("gate", RED, now, test=True)
    assert [alarm.document["test"] for alarm in station.alarms()] == [True, True]
    assert station.decider.standing("gate") == set()
    assert station.outbox.recent(SAMPLE) == []
    station.see("gate", RED, 6)
    assert len(station.alarms()) == 2  # one real frame after two tests is one vote


def test_a_frame_against_the_votes_is_kept_as_a_sample(station):
    station.see("gate", RED, 0)
    (sample,) = station.outbox.recent(SAMPLE)
    assert (sample.document["reason"], sample.document["label"]) == ("disagreeing", "rust")
    assert sample.pictures["frame"].parent.name == "samples"


def test_each_region_of_a_camera_votes_for_itself(station):
    station.see("gate", RED, 0, region="clamp")
    station.see("gate", RED, 1, region="bushing")
    assert station.alarms() == []
    station.see("gate", RED, 2, region="clamp")
    (alarm,) = station.alarms()
    assert (alarm.camera, alarm.document["region"]) == ("gate", "clamp")
