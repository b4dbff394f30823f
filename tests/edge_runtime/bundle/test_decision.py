"""The decision rules on numbers that can be worked out on paper."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.bundle.decision import DecisionRule, SpatialRule, rule_from_json
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.heads import Group, SpatialHead

RULE = DecisionRule(("normal", "rust", "leak"), ("rust", "leak"), 1.0, {"rust": 0.4, "leak": 0.2})


def scores(*chances: float) -> np.ndarray:
    """Logits whose softmax is `chances`."""
    return np.log(np.maximum(chances, 1e-300))


@pytest.mark.parametrize(
    ("chances", "label", "fault"),
    [
        ((0.9, 0.05, 0.05), "normal", False),
        ((0.54, 0.41, 0.05), "rust", True),  # above its threshold, though normal is more probable
        ((0.61, 0.39, 0.0), "normal", False),  # just below it
        ((0.29, 0.41, 0.3), "rust", True),  # both reach their bars: the more probable one
        ((0.45, 0.3, 0.25), "leak", True),  # rust is more probable, but only leak reaches its own bar
        ((0.4, 0.2, 0.4), "leak", True),
    ],
)
def test_a_fault_is_flagged_by_its_own_bar(chances: tuple[float, ...], label: str, fault: bool) -> None:
    decision = RULE.decide(scores(*chances))
    assert (decision.label, decision.fault) == (label, fault)
    assert decision.probability == dict(decision.top)[label] == decision.chances[label]
    assert decision.threshold == RULE.thresholds.get(label)


def test_a_fault_below_its_bar_that_is_the_most_probable_label_is_reported_and_not_flagged() -> None:
    decision = RULE.with_thresholds({"rust": 0.6, "leak": 0.6}).decide(scores(0.3, 0.4, 0.3))
    assert (decision.label, decision.fault, decision.threshold) == ("rust", False, 0.6)


def test_top_holds_every_label_most_probable_first_and_ties_keep_the_order_of_the_labels() -> None:
    rule = DecisionRule(("a", "b", "c", "d"), (), 1.0)
    assert rule.decide(np.zeros(4)).top == (("a", 0.25), ("b", 0.25), ("c", 0.25), ("d", 0.25))
    assert [label for label, _ in RULE.decide(scores(0.25, 0.25, 0.5)).top] == ["leak", "normal", "rust"]


def test_a_fault_at_its_threshold_is_flagged() -> None:
    rule = DecisionRule(("a", "b", "c", "d"), ("b",), 1.0, {"b": 0.25})
    assert rule.decide(np.zeros(4)).flagged == ("b",)


def test_every_fault_at_its_bar_is_flagged_most_probable_first() -> None:
    assert RULE.decide(scores(0.1, 0.5, 0.4)).flagged == ("rust", "leak")
    assert RULE.decide(scores(0.1, 0.39, 0.51)).flagged == ("leak",)
    assert RULE.decide(scores(0.8, 0.1, 0.1)).flagged == ()


def test_probabilities_are_the_softmax_over_the_temperature() -> None:
    rule = DecisionRule(("a", "b"), (), temperature=2.0)
    logits = np.array([[0.0, 2 * np.log(3.0)]], np.float32)  # over 2: 0 and ln 3, so 1 to 3
    assert rule.probabilities(logits) == pytest.approx(np.array([[0.25, 0.75]]), abs=1e-6)


def test_huge_logits_do_not_overflow() -> None:
    assert DecisionRule(("a", "b"), ()).probabilities(np.array([[1e5, 0.0]])).tolist() == [[1.0, 0.0]]


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(InputError, match="no finite number"):
        RULE.probabilities(np.array([[0.0, np.nan, 1.0]]))


def test_a_wrong_class_count_is_refused() -> None:
    with pytest.raises(InputError, match=r"shape \(1, 2\), expected \(N, 3\)"):
        RULE.probabilities(np.zeros((1, 2)))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"labels": ("one",)}, "at least two"),
        ({"labels": ("a", "a", "rust", "leak")}, "different names"),
        ({"fault_labels": ("frost",)}, "not among the labels"),
        ({"fault_labels": ("rust", "rust")}, "each name once"),
        ({"temperature": 0.0}, "above 0"),
        ({"temperature": float("nan")}, "above 0"),
        ({"thresholds": {"rust": 0.4}}, r"\['leak'\] have no threshold"),
        ({"thresholds": {"rust": 0.4, "leak": 1.5}}, "from 0 to 1"),
        ({"thresholds": {"rust": 0.4, "leak": 0.2, "frost": 0.1}}, "'frost', which is not among"),
    ],
)
def test_contradictions_are_refused(change: dict[str, object], sentence: str) -> None:
    given: dict[str, object] = {"labels": RULE.labels, "fault_labels": RULE.fault_labels, "thresholds": RULE.thresholds}
    with pytest.raises(InputError, match=sentence):
        DecisionRule(**(given | change))  # type: ignore[arg-type]


LINE = Group("line", "line_normal", {"hot": "line_hotspot"})
SUBSTATION = Group("substation", "substation_normal", {"hot": "substation_hotspot", "leak": "substation_leak"})
HEAD = SpatialHead((LINE, SUBSTATION), ("hot", "leak"))
FAULTS = ("line_hotspot", "substation_hotspot", "substation_leak")
SPATIAL = SpatialRule(
    HEAD,
    labels=("line_hotspot", "line_normal", "substation_hotspot", "substation_leak", "substation_normal"),
    fault_labels=FAULTS,
    group_temperature=1.0,
    scale={"hot": 1.0, "leak": 1.0},
    offset={"hot": 0.0, "leak": 0.0},
    thresholds={"line_hotspot": 0.5, "substation_hotspot": 0.5, "substation_leak": 0.25},
)
THIRD = np.log(1 / 3)  # the sigmoid of it is a quarter
LINES, SUBSTATIONS = (np.log(3.0), 0.0), (0.0, np.log(3.0))  # three quarters sure


@pytest.mark.parametrize(
    ("seen", "label", "probability", "flagged"),
    [
        ((*LINES, -9.0, -9.0), "line_normal", 1 - 1 / (1 + np.exp(9.0)), ()),
        ((*LINES, 0.0, -9.0), "line_hotspot", 0.5, ("line_hotspot",)),  # at its threshold
        ((*SUBSTATIONS, 0.0, -9.0), "substation_hotspot", 0.5, ("substation_hotspot",)),
        ((*LINES, -9.0, 0.0), "substation_leak", 0.5, ("substation_leak",)),  # lines have no leak
        ((*LINES, -1e-9, THIRD - 1e-9), "line_normal", 0.5, ()),  # just below both
        ((*SUBSTATIONS, 0.1, THIRD), "substation_hotspot", 1 / (1 + np.exp(-0.1)), FAULTS[1:]),
        ((*SUBSTATIONS, 0.1, 0.0), "substation_leak", 0.5, FAULTS[:0:-1]),  # thrice its threshold's odds
    ],
)
def test_a_kind_is_flagged_by_its_own_score_and_named_by_the_group(seen, label, probability, flagged) -> None:
    decision = SPATIAL.decide(np.array(seen))
    assert (decision.label, decision.flagged, decision.fault) == (label, flagged, bool(flagged))
    assert decision.probability == pytest.approx(probability)
    assert decision.group == ("line" if seen[0] else "substation")
    assert decision.group_probability == pytest.approx(0.75)
    assert decision.threshold == SPATIAL.thresholds.get(label)


def test_top_holds_the_labels_of_the_named_group_and_what_is_flagged() -> None:
    top = SPATIAL.decide(np.array([*LINES, 0.0, -9.0])).top
    assert [label for label, _ in top] == ["line_hotspot", "line_normal"]
    top = SPATIAL.decide(np.array([*LINES, THIRD, 1.0])).top
    assert [label for label, _ in top] == ["substation_leak", "line_normal", "line_hotspot"]
    assert SPATIAL.decide(np.array([*LINES, THIRD, -9.0])).chances["substation_hotspot"] == pytest.approx(0.25)


def test_a_station_may_set_the_threshold_of_one_label() -> None:
    strict = SPATIAL.with_thresholds({"line_hotspot": 0.9})
    assert strict.decide(np.array([*LINES, 1.0, -9.0])).label == "line_normal"
    assert strict.decide(np.array([*SUBSTATIONS, 1.0, -9.0])).label == "substation_hotspot"
    assert SPATIAL.thresholds["line_hotspot"] == 0.5


def test_probabilities_are_the_joint_ones_with_the_threshold_at_a_half() -> None:
    (row,) = SPATIAL.probabilities(np.array([[*LINES, 0.0, THIRD - 30]]))
    chance = dict(zip(SPATIAL.labels, row, strict=True))
    assert chance["line_hotspot"] == pytest.approx(0.375, abs=1e-5)
    assert chance["line_normal"] == pytest.approx(0.375, abs=1e-5)
    assert chance["line_hotspot"] > chance["line_normal"]  # it is flagged, so it is the largest
    assert chance["substation_hotspot"] == pytest.approx(0.125, abs=1e-5)


score = st.floats(-20, 20)


@given(st.lists(score, min_size=4, max_size=4), st.floats(0, 1), st.floats(0, 1))
def test_the_most_probable_label_is_always_the_reported_one(seen, hot, leak) -> None:
    rule = SPATIAL.with_thresholds({"line_hotspot": hot, "substation_hotspot": hot, "substation_leak": leak})
    rows = np.array([seen])
    probabilities = rule.probabilities(rows)
    assert probabilities.sum() == pytest.approx(1)
    assert rule.labels[int(probabilities[0].argmax())] == rule.decide(rows[0]).label


@given(st.lists(score, min_size=3, max_size=3))
def test_that_holds_where_groups_share_a_fault_label_too(seen) -> None:
    groups = (Group("a", "a", {"rust": "rust"}), Group("b", "b", {"rust": "rust"}))
    one = {"rust": 1.0}
    rule = SpatialRule(
        SpatialHead(groups, ("rust",)), ("a", "b", "rust"), ("rust",), 1.0, one, {"rust": 0}, {"rust": 0.5}
    )
    probabilities = rule.probabilities(np.array([seen]))
    assert rule.labels[int(probabilities[0].argmax())] == rule.decide(np.array(seen)).label


def test_the_map_of_a_label_is_its_kinds_probability_in_each_cell_with_its_threshold_at_a_half() -> None:
    maps = np.array([[[0.0, -50.0]], [[THIRD, 50.0]]])
    cams = SPATIAL.cams(maps)
    assert cams["line_hotspot"] == pytest.approx(np.array([[0.5, 0.0]]))
    assert cams["substation_leak"] == pytest.approx(np.array([[0.5, 1.0]]))  # a quarter is its threshold
    assert cams["line_normal"] == pytest.approx(np.array([[0.5, 1.0]]))  # the highest of all kinds


def test_labels_of_one_kind_are_the_same_fault() -> None:
    assert [SPATIAL.kind(label) for label in FAULTS] == ["hot", "hot", "leak"]
    assert RULE.kind("rust") == "rust"


def test_both_rules_survive_json() -> None:
    for rule in (SPATIAL, RULE):
        assert rule_from_json(rule.to_json(), rule.head, rule.labels, rule.fault_labels) == rule


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"scale": {"hot": 1.0}}, "expected a number for each of"),
        ({"scale": {"hot": 1.0, "leak": -1.0}}, "above 0"),
        ({"offset": {"hot": float("nan"), "leak": 0.0}}, "finite"),
        ({"group_temperature": 0}, "above 0"),
        ({"thresholds": {"line_hotspot": 0.5}}, "have no threshold"),
        ({"fault_labels": ("line_hotspot",)}, "expected the same"),
    ],
)
def test_a_spatial_rule_that_contradicts_its_head_is_refused(change, sentence) -> None:
    with pytest.raises(InputError, match=sentence):
        SpatialRule(**{**vars(SPATIAL), **change})
