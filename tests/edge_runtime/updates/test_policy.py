"""What a new bundle may not change without a person, and what of a station's decisions does not survive it."""

from dataclasses import replace
from pathlib import Path

import pytest

from edge_runtime.alerts.settings import DecisionSection, Overrides
from edge_runtime.bundle.decision import DecisionRule
from edge_runtime.bundle.radiometric import RadiometricRule
from edge_runtime.bundle.store import Bundle, open_bundle
from edge_runtime.updates.errors import Reason, UpdateRefused
from edge_runtime.updates.policy import check_policy
from edge_runtime.updates.settings import UpdatesSection
from tests.support import spot_bundle

CAMERAS = ("yard", "gate")


@pytest.fixture(scope="module")
def serving(packed: Path) -> Bundle:
    return open_bundle(packed)


def with_labels(serving: Bundle, labels: tuple[str, ...], faults: tuple[str, ...]) -> Bundle:
    rule = DecisionRule(labels, faults, thresholds=dict.fromkeys(faults, 0.4))
    return replace(serving, manifest=replace(serving.manifest, decision=rule))


def sentences(new: Bundle, serving: Bundle | None, decision: DecisionSection | None = None) -> list[str]:
    return check_policy(new, serving, UpdatesSection(), decision or DecisionSection(), CAMERAS)


def refusal(new: Bundle, serving: Bundle, decision: DecisionSection, updates: UpdatesSection | None = None) -> str:
    with pytest.raises(UpdateRefused) as caught:
        check_policy(new, serving, updates or UpdatesSection(), decision, CAMERAS)
    assert caught.value.reason is Reason.POLICY
    return caught.value.detail


def test_the_same_bundle_and_a_first_one_change_nothing(serving: Bundle) -> None:
    assert sentences(serving, serving) == []
    assert sentences(serving, None) == []


def test_a_threshold_for_a_label_that_is_gone_stops_the_update_and_names_the_camera(serving: Bundle) -> None:
    new = with_labels(serving, ("normal", "leak"), ("leak",))
    decision = DecisionSection(camera={"gate": Overrides(thresholds={"rust": 0.6})})
    assert "decision of gate: there is a threshold for 'rust', which is no fault" in refusal(new, serving, decision)


def test_labels_that_come_and_go_are_told_with_their_votes(serving: Bundle) -> None:
    new = with_labels(serving, ("normal", "leak", "crack"), ("leak", "crack"))
    assert sentences(new, serving) == [
        "no longer told, and their alarms end: rust",
        "told from now on, by the bundle's own thresholds: crack",
        "votes for these kinds of fault are lost: rust",
        "the threshold of leak is the bundle's own and goes from 0.9 to 0.4",
    ]


def test_a_stations_own_threshold_stays_and_is_named(serving: Bundle) -> None:
    new = with_labels(serving, serving.manifest.labels, serving.manifest.fault_labels)
    told = sentences(new, serving, DecisionSection(thresholds={"leak": 0.7}))
    assert told == [
        "the station's own thresholds stay and were set for the bundle before; look at their alarms again: leak"
    ]


def test_a_threshold_of_one_camera_leaves_the_others_to_the_bundle(serving: Bundle) -> None:
    new = with_labels(serving, serving.manifest.labels, serving.manifest.fault_labels)
    told = sentences(new, serving, DecisionSection(camera={"gate": Overrides(thresholds={"leak": 0.7})}))
    assert "the threshold of leak is the bundle's own and goes from 0.9 to 0.4" in told


def test_a_label_that_turns_from_fault_to_healthy_stops_the_update(serving: Bundle) -> None:
    new = with_labels(serving, serving.manifest.labels, ("leak",))
    assert refusal(new, serving, DecisionSection()) == "rust was a fault and is healthy in the new bundle"


def test_a_map_that_is_no_evidence_is_refused_where_evidence_is_required(serving: Bundle, tmp_path: Path) -> None:
    strict = UpdatesSection(require_evidence=True)
    assert "are no evidence" in refusal(serving, serving, DecisionSection(), strict)
    pictures = open_bundle(spot_bundle.make_bundle(tmp_path / "pictures", evidence="pictures"))
    assert "are no evidence" in refusal(pictures, pictures, DecisionSection(), strict)
    boxes = open_bundle(spot_bundle.make_bundle(tmp_path / "boxes"))
    assert check_policy(boxes, boxes, strict, DecisionSection(), CAMERAS) == []


def test_the_end_of_measured_values_is_told(serving: Bundle) -> None:
    spec = replace(serving.manifest.input, radiometric=RadiometricRule.parse("range 0 100"))
    before = replace(serving, manifest=replace(serving.manifest, input=spec))
    assert sentences(serving, before) == [
        "files and frames of measured values are refused from now on: the new bundle has no rule for them"
    ]
