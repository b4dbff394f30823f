"""From frames to records, with the colour bundle on its real engine and a real outbox."""

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.alerts.alarm_rules import AlarmRules
from edge_runtime.alerts.events import ALARM, SAMPLE, JudgedView, Reporter
from edge_runtime.alerts.outbox import Entry, Outbox
from edge_runtime.alerts.outbox_spool import OutboxSpool
from edge_runtime.alerts.sample_selection import SampleSelector
from edge_runtime.alerts.settings import SamplesSection
from edge_runtime.alerts.votes import VoteRule, camera_rule
from edge_runtime.bundle.store import open_bundle
from edge_runtime.clock import Clock
from edge_runtime.inference.engines import open_engine
from edge_runtime.inference.evaluator import Evaluator

RED, GREEN, BLACK = (0, 0, 255), (0, 255, 0), (0, 0, 0)


class Station:
    """Two cameras; `yard` lowers rust's threshold, so a frame that is mostly green is rust to it."""

    def __init__(self, bundle_folder: Path, state: Path) -> None:
        bundle = open_bundle(bundle_folder)
        self.evaluator = Evaluator(bundle, open_engine(bundle, "cpu", "fp32", 1).engine)
        self.outbox = Outbox(state, ["mqtt"])
        rule, votes = bundle.manifest.decision, VoteRule(needed=2, window=3, cooldown=100)
        self.raised: list[tuple[str, str]] = []
        self.ended: list[tuple[str, str]] = []
        self.alarm_rules = AlarmRules(
            {"yard": camera_rule(rule, votes, {"rust": 0.05}), "gate": camera_rule(rule, votes, {})},
            Reporter("north-7", bundle),
            OutboxSpool(self.outbox),
            Clock(),
            SampleSelector(SamplesSection(interval=1e6)),
        )

    def show(
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
        evaluation = self.evaluator.evaluate(frame, self.alarm_rules.rule(camera))
        changes = self.alarm_rules.add(JudgedView(camera, frame, evaluation, now, region, test))
        self.raised += [(camera, change.label) for change in changes if change.raised]
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
        station.show("gate", RED, now)
    (alarm,) = station.alarms()
    assert (alarm.camera, alarm.document["label"], alarm.document["test"]) == ("gate", "rust", False)
    assert alarm.document["votes"] == {"votes": 2, "of": 2, "needed": 2}
    assert station.raised == [("gate", "rust")]
    for now in range(6, 9):
        station.show("gate", GREEN, now)
    assert station.ended == [("gate", "rust")]


def test_a_black_frame_is_no_vote(station):
    for now, colour in enumerate([RED, BLACK, BLACK, BLACK, RED]):
        station.show("gate", colour, now)
    assert len(station.alarms()) == 1


def test_a_cameras_own_threshold_decides_and_the_event_tells_it(station):
    for now in range(3):
        station.show("gate", RED, now, green=0.6)
        station.show("yard", RED, now, green=0.6)
    (alarm,) = station.alarms()
    assert (alarm.camera, alarm.document["threshold"]) == ("yard", 0.05)


def test_a_test_alarm_is_marked_and_leaves_the_camera_as_it_was(station):
    for now in range(3):
        station.show("gate", RED, now, test=True)
    station.alarm_rules.end_test("gate")
    for now in range(3, 6):
        station.show("gate", RED, now, test=True)
    assert [alarm.document["test"] for alarm in station.alarms()] == [True, True]
    assert station.outbox.recent(SAMPLE) == []
    station.show("gate", RED, 6)
    assert len(station.alarms()) == 2  # one real frame after two tests is one vote


def test_a_frame_against_the_votes_is_kept_as_a_sample(station):
    station.show("gate", RED, 0)
    (sample,) = station.outbox.recent(SAMPLE)
    assert (sample.document["reason"], sample.document["label"]) == ("disagreeing", "rust")
    assert sample.pictures["frame"].parent.name == "samples"


def test_alarms_and_samples_bear_what_a_person_asked_for_and_nothing_is_dropped(station):
    asked = {"maintenance": {"until": "2026-11-23T14:00:00.000Z", "by": "anna"}}
    station.alarm_rules.marks = lambda camera, label: asked if (camera, label) == ("gate", "rust") else {}
    for now in range(2):
        station.show("gate", RED, now)
        station.show("yard", RED, now)
    marks = {alarm.camera: alarm.document.get("maintenance") for alarm in station.alarms()}
    assert marks == {"gate": asked["maintenance"], "yard": None}
    assert {sample.camera: sample.document.get("maintenance") for sample in station.outbox.recent(SAMPLE)} == marks


def test_each_region_of_a_camera_votes_for_itself(station):
    station.show("gate", RED, 0, region="clamp")
    station.show("gate", RED, 1, region="bushing")
    assert station.alarms() == []
    station.show("gate", RED, 2, region="clamp")
    (alarm,) = station.alarms()
    assert (alarm.camera, alarm.document["region"]) == ("gate", "clamp")


def test_an_alarm_tells_when_the_frame_that_completed_the_vote_was_captured_not_when_it_was_judged(station):
    captured = time.monotonic() - 90  # the engine took a minute and a half
    station.show("gate", RED, captured - 1)
    station.show("gate", RED, captured)
    (alarm,) = station.alarms()
    told = {name: datetime.fromisoformat(alarm.document[name].replace("Z", "+00:00")) for name in ("time", "recorded")}
    assert 89.9 < (told["recorded"] - told["time"]).total_seconds() < 100
    assert abs(told["recorded"].timestamp() - time.time()) < 10


def test_another_bundles_rules_take_over_with_the_votes_so_far_and_without_those_of_tests(station):
    rules = station.alarm_rules
    station.show("gate", RED, 0)
    station.show("gate", RED, 0, test=True)
    rules.take_over({name: camera_rule(rule.decision, rule.votes, {"rust": 0.9}) for name, rule in rules.rules.items()})
    assert rules.rule("yard").thresholds["rust"] == 0.9
    station.show("gate", RED, 1, test=True)
    assert station.raised == []
    station.show("gate", RED, 1)
    assert station.raised == [("gate", "rust")]
