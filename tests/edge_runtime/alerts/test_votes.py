"""Votes on sequences that can be counted by hand. A frame is the set of labels it flags, or None: no vote."""

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.alerts.votes import Change, VoteRule, Votes, camera_rule
from edge_runtime.bundle.decision import Decision
from edge_runtime.bundle.errors import InputError
from tests.support.colour_bundle import FAULTS, RULE
from tests.support.spot_bundle import RULE as SPATIAL_RULE

R, L, N = {"rust"}, {"leak"}, set[str]()


def seen(flagged: set[str]) -> Decision:
    return Decision(min(flagged, default="normal"), 0.9, bool(flagged), None, (), tuple(sorted(flagged)), {})


def play(rule: VoteRule, frames: list[set[str] | None], seconds: float = 1.0) -> list[tuple[int, str, bool]]:
    """(frame number, label, raised) of every change; one frame every `seconds`, None for one that was not evaluated."""
    votes = Votes(rule, RULE)
    return [
        (number, change.label, change.raised)
        for number, frame in enumerate(frames)
        if frame is not None
        for change in votes.add(seen(frame), number * seconds)
    ]


@pytest.mark.parametrize(
    ("frames", "changes"),
    [
        ([R, N, N, R, N, N, R], []),  # never two of three
        ([R, R], [(1, "rust", True)]),
        ([R, N, R], [(2, "rust", True)]),
        ([R, N, N, R, R], [(4, "rust", True)]),
        ([R, L, R], [(2, "rust", True)]),  # votes are counted per label
        ([R | L, R | L], [(1, "rust", True), (1, "leak", True)]),
        ([R, None, None, None, R], [(4, "rust", True)]),  # no votes: neither for nor against
        ([R, R, None, None, None, None], [(1, "rust", True)]),  # a blind camera ends no alarm
        ([R, R, N, N], [(1, "rust", True)]),  # one vote is left: it stands
        ([R, R, N, N, N], [(1, "rust", True), (4, "rust", False)]),
        ([R, R, N, R, N, R, R], [(1, "rust", True)]),  # flicker is one alarm
    ],
)
def test_two_of_three(frames: list[set[str] | None], changes: list[tuple[int, str, bool]]) -> None:
    assert play(VoteRule(needed=2, window=3, release=0, cooldown=0), frames) == changes


def test_a_higher_release_ends_an_alarm_sooner() -> None:
    assert play(VoteRule(needed=3, window=3, release=1, cooldown=0), [R, R, R, N, N]) == [
        (2, "rust", True),
        (4, "rust", False),
    ]


def test_cool_down_holds_a_second_alarm_back_until_it_is_over_and_then_only_on_a_vote() -> None:
    rule = VoteRule(needed=1, window=1, cooldown=5)
    frames = [R, N, R, N, N, N, R]
    assert play(rule, frames) == [(0, "rust", True), (1, "rust", False), (6, "rust", True)]
    assert play(rule, [R, N, R, R, R, R]) == [(0, "rust", True), (1, "rust", False), (5, "rust", True)]


def test_old_votes_raise_nothing_when_the_cool_down_ends_on_a_frame_without_one() -> None:
    rule = VoteRule(needed=1, window=3, cooldown=5)
    assert play(rule, [R, N, N, N, R, N, N]) == [(0, "rust", True), (3, "rust", False)]


def test_cool_down_of_one_label_does_not_silence_another() -> None:
    rule = VoteRule(needed=1, window=1, cooldown=1000)
    assert [change for change in play(rule, [R, L]) if change[2]] == [(0, "rust", True), (1, "leak", True)]


def test_old_votes_are_forgotten() -> None:
    rule = VoteRule(needed=2, window=3, max_age=10)
    assert play(rule, [R, R], seconds=10) == [(1, "rust", True)]
    assert play(rule, [R, R], seconds=10.1) == []


def test_a_change_tells_its_votes() -> None:
    votes = Votes(VoteRule(needed=2, window=5), RULE)
    changes = [votes.add(seen(frame), at) for at, frame in enumerate([R, N, R])]
    assert changes[2] == (Change("rust", True, votes=2, of=3, needed=2),)
    assert changes[2][0].to_json() == {"votes": 2, "of": 3, "needed": 2}
    assert votes.standing == {"rust"}


@pytest.mark.parametrize(
    ("named", "alarm"),
    [
        ([{"line_hot"}, {"line_hot"}, {"pole_hot"}], "line_hot"),  # what most frames say
        ([N, {"line_hot"}, {"pole_hot"}, N], None),
        ([{"line_hot"}, {"pole_hot"}, {"line_hot"}], "line_hot"),
    ],
)
def test_a_fault_whose_equipment_flickers_keeps_its_alarm_and_takes_the_commonest_name(named, alarm) -> None:
    votes = Votes(VoteRule(needed=3, window=4), SPATIAL_RULE)
    changes = [change for at, frame in enumerate(named) for change in votes.add(seen(frame), at)]
    assert [(change.label, change.votes) for change in changes] == ([(alarm, 3)] if alarm else [])
    assert votes.standing == ({"hot"} if alarm else set())


def test_an_alarm_ends_under_the_name_that_it_was_raised_with() -> None:
    votes = Votes(VoteRule(needed=2, window=2), SPATIAL_RULE)
    frames = [{"pole_hot"}, {"line_hot"}, {"line_hot"}, N, N]
    changes = [change for at, frame in enumerate(frames) for change in votes.add(seen(frame), at)]
    assert [(change.label, change.raised) for change in changes] == [("line_hot", True), ("line_hot", False)]


@given(
    st.lists(st.sampled_from([R, L, N, R | L, None]), max_size=60),
    st.integers(1, 4),
    st.integers(0, 3),
    st.integers(0, 20),
)
def test_changes_alternate_and_alarms_keep_their_distance(
    frames: list[set[str] | None], window: int, spare: int, cooldown: int
) -> None:
    needed = max(1, window - spare)
    changes = play(VoteRule(needed, window, 0, cooldown, max_age=1000), frames)
    for label in FAULTS:
        own = [(at, raised) for at, name, raised in changes if name == label]
        assert [raised for _, raised in own] == [place % 2 == 0 for place in range(len(own))]
        raises = [at for at, raised in own if raised]
        assert all(later - earlier >= cooldown for earlier, later in itertools.pairwise(raises))
        assert all(label in (frames[at] or ()) for at in raises)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"needed": 4}, "needed is 4 and window 3"),
        ({"needed": 0}, "needed is 0"),
        ({"window": 10**9}, "window 1000000000"),
        ({"release": 2}, r"release is 2, expected 0 or more and fewer than needed \(2\)"),
        ({"cooldown": -1}, "cooldown is -1"),
        ({"cooldown": math.nan}, "cooldown is nan"),
        ({"max_age": 0}, "max_age is 0"),
    ],
)
def test_contradictions_are_refused(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        VoteRule(**change)


def test_a_camera_decides_by_its_own_thresholds_and_votes() -> None:
    chances = np.log([0.65, 0.35, 1e-9])
    assert not RULE.decide(chances).fault
    own = camera_rule(RULE, VoteRule(needed=3, cooldown=60), {"rust": 0.3})
    assert own.decision.decide(chances).flagged == ("rust",)
    assert own.decision.thresholds == {"rust": 0.3, "leak": 0.9}
    assert own.votes == VoteRule(needed=3, window=3, cooldown=60)


@pytest.mark.parametrize(
    ("thresholds", "sentence"),
    [
        ({"normal": 0.5}, "'normal', which is no fault of this bundle; its faults are rust, leak"),
        ({"rust": 2}, "from 0 to 1"),
    ],
)
def test_a_threshold_that_means_nothing_is_refused(thresholds: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        camera_rule(RULE, VoteRule(), thresholds)


def renamed(**new: str):
    """The colour rule with faults of other names."""
    names = {"normal": "normal", "rust": "rust", "leak": "leak", **new}
    thresholds = {names[label]: value for label, value in RULE.thresholds.items()}
    labels = tuple(names[label] for label in RULE.labels)
    return replace(RULE, labels=labels, fault_labels=tuple(thresholds), thresholds=thresholds)


def test_votes_alarms_and_cooldowns_go_on_by_another_bundles_rule():
    votes = Votes(VoteRule(needed=2, window=3, cooldown=100), RULE)
    assert not votes.add(seen(R), 0)
    votes = votes.taken_over(VoteRule(needed=2, window=3, cooldown=100), RULE)
    (raised,) = votes.add(seen(R), 1)  # one vote of the model before, one of the new one
    assert (raised.label, raised.raised, raised.votes) == ("rust", True, 2)
    votes = votes.taken_over(VoteRule(needed=2, window=3, cooldown=100), RULE)
    assert votes.standing == {"rust"}
    assert not votes.add(seen(R), 2)  # it stands, and is not raised again
    (ended, *_) = [change for now in (3, 4, 5) for change in votes.add(seen(N), now)]
    assert (ended.label, ended.raised) == ("rust", False)
    votes = votes.taken_over(VoteRule(needed=1, window=1, cooldown=100), RULE)
    assert not votes.add(seen(R), 50)  # it cools down since it was raised
    assert votes.add(seen(R), 102)


def test_what_another_bundle_does_not_know_is_forgotten():
    votes = Votes(VoteRule(needed=2, window=3, cooldown=0), RULE)
    for now in (0, 1):
        votes.add(seen(R | L), now)
    heir = votes.taken_over(VoteRule(needed=2, window=3, cooldown=0), renamed(rust="crack"))
    assert votes.standing == {"rust", "leak"}
    assert heir.standing == {"leak"}
    assert not heir.add(seen({"crack"}), 2)
    assert [change.label for change in heir.add(seen({"crack"}), 3) if change.raised] == ["crack"]
