"""Replays of recorded streams. The alarm rules of the running service are the truth, and small cases are by hand."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.alerts.alarm_rules import AlarmRules
from edge_runtime.alerts.events import ALARM, JudgedView, Reporter
from edge_runtime.alerts.outbox import Outbox
from edge_runtime.alerts.outbox_spool import OutboxSpool
from edge_runtime.alerts.sample_selection import SampleSelector
from edge_runtime.alerts.settings import SamplesSection
from edge_runtime.alerts.votes import CameraRule, VoteRule, Votes
from edge_runtime.bundle.decision import Rule
from edge_runtime.bundle.store import Bundle, open_bundle
from edge_runtime.clock import Clock
from edge_runtime.station.scores.replay import JudgedAlarm, ReplayedAlarm, alarms_at, replay
from edge_runtime.station.scores.score_store import ScoreBlock, ScoreHeader, ScoreWriter, read_scores
from tests.support.colour_bundle import RULE
from tests.support.scored_views import MODEL, scored_view
from tests.support.spot_bundle import RULE as SPATIAL_RULE

VOTES = (
    VoteRule(needed=2, window=3, release=0, cooldown=20.0, max_age=30.0),
    VoteRule(needed=3, window=5, release=2, cooldown=0.0, max_age=4.0),
    VoteRule(needed=1, window=8, release=0, cooldown=200.0, max_age=10.0),
)
Seen = tuple[str, str, str, bool]


class Live:
    """The alarm rules of a service, and what they raised: camera, region, label, and monotonic seconds."""

    def __init__(self, bundle: Bundle, rules: dict[str, CameraRule], state: Path, views: Sequence[tuple[str, str]]):
        self.outbox = Outbox(state / "outbox", [])
        samples = SampleSelector(SamplesSection(interval=1e9))
        self.rules = AlarmRules(rules, Reporter("north", bundle), OutboxSpool(self.outbox), Clock(), samples)
        self.scores = ScoreWriter(state, 1 << 30, MODEL, rules, views)
        self.raised: list[tuple[str, str, str, float]] = []
        self.ended = 0

    def show(self, view: JudgedView) -> None:
        for change in self.rules.add(view):
            if change.raised:
                self.raised.append((view.camera, view.region, change.label, view.captured))
            self.ended += not change.raised
        self.scores.note([view])


def walk(count: int, chance: np.random.Generator) -> np.ndarray:
    """Scores that linger: long healthy and long faulty times, flicker between them."""
    level = np.repeat(chance.choice([-3.0, -0.4, 0.0, 0.4, 3.0], count // 10 + 1), 10)[:count]
    return level + chance.normal(0, 0.3, count)


@pytest.mark.parametrize("rule", [RULE, SPATIAL_RULE], ids=["class", "spatial"])
@pytest.mark.parametrize("votes", VOTES)
def test_at_the_thresholds_in_force_the_alarms_are_those_that_were_raised(packed, tmp_path, rule: Rule, votes):
    chance = np.random.default_rng(3)
    views = [("yard", ""), ("gate", "region-1"), ("gate", "region-2")]
    lower = rule.with_thresholds({rule.fault_labels[0]: 0.3})
    rules = {"yard": CameraRule(rule, votes), "gate": CameraRule(lower, votes)}
    live = Live(open_bundle(packed), rules, tmp_path, views)
    began, count = time.monotonic() - 5000, 360
    scores = {view: np.stack([walk(count, chance) for _ in range(3)], axis=1) for view in views}
    for number in range(count):
        if number == 200:  # another model, whose first fault has a higher threshold
            higher = rule.with_thresholds({rule.fault_labels[0]: 0.6})
            rules = {"yard": CameraRule(higher, votes), "gate": CameraRule(rule, votes)}
            live.rules.take_over(rules)
            live.scores.take_over(MODEL, rules)
        for camera, region in views:
            if chance.random() < 0.9:
                gap = 40 if number > 280 else 0  # once beyond the age of votes
                captured = began + number + gap + float(chance.random() / 2)
                line = scores[camera, region][number]
                live.show(scored_view(rules[camera].decision, line, captured, camera, region))
    live.scores.close()
    blocks = read_scores(tmp_path)
    replayed = replay(blocks)
    times = {float(wall): float(at) for block in blocks for wall, at in zip(block.times, block.captured, strict=True)}
    found = [(alarm.camera, alarm.region, alarm.label, times[alarm.raised]) for alarm in replayed]
    assert len(live.raised) > 3
    assert sorted(found) == sorted(live.raised)
    ends = [alarm for alarm in replayed if alarm.ended < max(times)]
    assert len(ends) >= live.ended - len(views)
    assert len(live.outbox.recent(ALARM, 10_000)) == len(live.raised)
    live.outbox.close()


def night(codes: Sequence[float], votes: VoteRule, run: str = "a", part: int = 0, start: float = 0.0) -> ScoreBlock:
    """One camera, a frame a second, by the chances of rust; the threshold in force is 0.5."""
    header = ScoreHeader(
        MODEL, run, part, ("rust",), ("rust",), (("yard", ""),), {"yard": votes}, {"yard": {"rust": 0.5}}
    )
    times = start + np.arange(len(codes), dtype=np.float64)
    chances = np.array([[1 + round(code * 65534)] for code in codes], np.uint16)
    return ScoreBlock(header, times + 1e9, times, np.zeros(len(codes), np.uint16), chances)


TWO_OF_THREE = VoteRule(2, 3, 0, 0.0, 120.0)
RULES = st.builds(
    lambda window, needed, release, cooldown, age: VoteRule(
        min(needed, window), window, min(release, min(needed, window) - 1), cooldown, age
    ),
    st.integers(1, 5), st.integers(1, 5), st.integers(0, 4), st.sampled_from([0.0, 7.0]), st.sampled_from([1.5, 30.0]),
)  # fmt: skip
ROWS = st.lists(st.tuples(st.sampled_from([0.1, 0.9]), st.integers(1, 20)), min_size=1, max_size=8)


@given(RULES, ROWS)
def test_frames_that_are_passed_over_change_nothing(votes, rows):
    codes = [code for code, times in rows for _ in range(times)]
    counted, truth = Votes(votes, Rust()), []
    for place, code in enumerate(codes):
        for change in counted.count(("rust",) if code > 0.5 else (), float(place)):
            truth.append((change.raised, 1e9 + place))
    replayed = [moment for a in replay([night(codes, votes)]) for moment in ((True, a.raised), (False, a.ended))]
    if len(truth) % 2:  # it stood to the last frame
        truth.append((False, 1e9 + len(codes) - 1))
    assert replayed == truth


class Rust:
    """The only fault of `night`."""

    fault_labels = ("rust",)

    def kind(self, label: str) -> str:
        return label


def test_a_higher_threshold_has_fewer_alarms_and_says_which_judged_ones_would_be_left():
    block = night([0.1, 0.6, 0.6, 0.1, 0.1, 0.1, 0.9, 0.9, 0.9, 0.1, 0.1, 0.1], TWO_OF_THREE)
    judged = [JudgedAlarm("yard", "", "rust", 1e9 + 2, False), JudgedAlarm("yard", "", "rust", 1e9 + 7, True)]
    found = alarms_at([block], "rust", (0.05, 0.5, 0.7, 0.95), judged=judged)
    assert [(at.alarms, at.right, at.wrong) for at in found] == [(1, 1, 1), (2, 1, 1), (1, 1, 0), (0, 0, 0)]
    assert [at.alarms for at in alarms_at([block], "rust", (0.5,), since=1e9 + 5)] == [1]
    assert alarms_at([block], "rust", (0.5,), camera="gate")[0].alarms == 0
    assert alarms_at([block], "leak", (0.5,))[0].alarms == 0


def test_votes_go_on_from_part_to_part_and_begin_anew_with_the_service():
    first, second = night([0.1, 0.9], TWO_OF_THREE), night([0.9, 0.1], TWO_OF_THREE, part=1, start=2.0)
    assert [alarm.raised for alarm in replay([second, first])] == [1e9 + 2]
    assert replay([first, replace(second, header=replace(second.header, run="b"))]) == []


def test_an_alarm_ends_with_its_votes_or_with_the_last_frame():
    ended, standing = night([0.9, 0.9, 0.1, 0.1, 0.1], TWO_OF_THREE), night([0.1, 0.9, 0.9, 0.9], TWO_OF_THREE)
    assert replay([ended]) == [ReplayedAlarm("yard", "", "rust", "rust", 1e9 + 1, 1e9 + 4)]
    assert replay([standing])[0].ended == 1e9 + 3


@pytest.mark.parametrize("threshold", [0.03, 0.5])
def test_a_night_of_sixteen_cameras_is_replayed_in_two_seconds(threshold):
    chance, hours, rate, cameras = np.random.default_rng(5), 12, 1, 16
    count, labels = hours * 3600 * rate, ("rust", "leak", "hot", "bird")
    names = [f"camera-{number}" for number in range(cameras)]
    header = ScoreHeader(
        MODEL, "a", 0, labels, labels, tuple((name, "") for name in names),
        dict.fromkeys(names, VoteRule()), {name: dict.fromkeys(labels, 0.5) for name in names},
    )  # fmt: skip
    order = np.tile(np.arange(cameras, dtype=np.uint16), count)
    times = np.repeat(np.arange(count, dtype=np.float64) / rate, cameras)
    chances = 0.01 * chance.standard_exponential((len(order), len(labels)), np.float32)
    chances[chance.random(chances.shape) < 1e-4] = 0.9
    block = ScoreBlock(header, times + 1e9, times, order, (1 + chances * 65534).astype(np.uint16))
    began = time.process_time()
    alarms_at([block], "rust", [threshold])
    assert time.process_time() - began < 2
    assert len(order) == 691_200


class Known:
    """A rule that knows these labels with their kinds, all at the threshold 0.5."""

    def __init__(self, kinds: dict[str, str]) -> None:
        self.fault_labels, self.kind = tuple(kinds), kinds.__getitem__
        self.thresholds = dict.fromkeys(kinds, 0.5)

    def seen(self, captured: float, camera: str, *flagged: str) -> SimpleNamespace:
        named = {self.kind(label): label for label in (*self.fault_labels, *flagged)}.values()
        chances = {label: 0.9 if label in flagged else 0.1 for label in self.fault_labels}
        decision = SimpleNamespace(chances=chances, named=named)
        return SimpleNamespace(
            camera=camera, region="", captured=captured, test=False, evaluation=SimpleNamespace(decision=decision)
        )


KNOWN = [Known({"leak": "leak", "rust": "rust"}), Known({"rust": "rust"}), Known({"drip": "leak", "pool": "leak"})]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(KNOWN), st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), min_size=1, max_size=8)
        ),
        min_size=2,
        max_size=5,
    )
)
def test_a_model_that_knows_less_makes_the_replay_forget_what_the_votes_forgot(turns):
    votes, began, at = VoteRule(needed=2, window=3, cooldown=20.0), time.monotonic() - 5000, 0
    with TemporaryDirectory() as folder:
        rules = {camera: CameraRule(turns[0][0], votes) for camera in "ab"}
        writer = ScoreWriter(Path(folder), 1 << 30, MODEL, rules, [("a", ""), ("b", "")])
        live = {camera: Votes(votes, turns[0][0]) for camera in "ab"}
        raised = []
        for known, frames in turns:
            writer.take_over(MODEL, {camera: CameraRule(known, votes) for camera in "ab"})
            live = {camera: one.taken_over(votes, known) for camera, one in live.items()}
            for camera, faulty in frames:
                at += 1
                flagged = known.fault_labels[at % len(known.fault_labels) :][:1] if faulty else ()
                writer.note([known.seen(began + at, camera, *flagged)])
                raised += [
                    (camera, change.label) for change in live[camera].count(flagged, began + at) if change.raised
                ]
        writer.close()
        blocks = read_scores(Path(folder))
    assert [(alarm.camera, alarm.label) for alarm in replay(blocks)] == raised
    for label in {label for block in blocks for label in block.labels}:
        assert alarms_at(blocks, label, [0.5])[0].alarms == sum(one == label for _, one in raised)
