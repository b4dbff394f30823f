"""The decision rule on numbers that can be worked out on paper."""

import numpy as np
import pytest

from edge_runtime.bundle.decision import DecisionRule
from edge_runtime.bundle.errors import InputError

RULE = DecisionRule(("normal", "rust", "leak"), ("rust", "leak"), 1.0, {"rust": 0.4, "leak": 0.2})


@pytest.mark.parametrize(
    ("chances", "label", "fault"),
    [
        ((0.9, 0.05, 0.05), "normal", False),
        ((0.55, 0.4, 0.05), "rust", True),  # at its threshold, though normal is more probable
        ((0.61, 0.39, 0.0), "normal", False),  # just below it
        ((0.3, 0.4, 0.3), "rust", True),  # both reach their bars: the more probable one
        ((0.45, 0.3, 0.25), "leak", True),  # rust is more probable, but only leak reaches its own bar
        ((0.4, 0.2, 0.4), "leak", True),
        ((0.2, 0.39, 0.19), "rust", False),  # the most probable label is a fault below its bar: reported, not flagged
    ],
)
def test_a_fault_is_flagged_by_its_own_bar(chances: tuple[float, ...], label: str, fault: bool) -> None:
    decision = RULE.decide(np.array(chances))
    assert (decision.label, decision.fault) == (label, fault)
    assert decision.probability == dict(decision.top)[label]
    assert decision.threshold == RULE.thresholds.get(label)


def test_top_holds_every_label_most_probable_first_and_ties_keep_the_order_of_the_labels() -> None:
    assert RULE.decide(np.array([0.25, 0.25, 0.5])).top == (("leak", 0.5), ("normal", 0.25), ("rust", 0.25))


def test_every_fault_at_its_bar_is_flagged_most_probable_first() -> None:
    assert RULE.decide(np.array([0.1, 0.5, 0.4])).flagged == ("rust", "leak")
    assert RULE.decide(np.array([0.1, 0.39, 0.51])).flagged == ("leak",)
    assert RULE.decide(np.array([0.8, 0.1, 0.1])).flagged == ()


def test_probabilities_are_the_softmax_over_the_temperature() -> None:
    rule = DecisionRule(("a", "b"), (), temperature=2.0)
    logits = np.array([[0.0, 2 * np.log(3.0)]], np.float32)  # over 2: 0 and ln 3, so 1 to 3
    assert rule.probabilities(logits) == pytest.approx(np.array([[0.25, 0.75]]), abs=1e-6)


def test_huge_logits_do_not_overflow() -> None:
    assert DecisionRule(("a", "b"), ()).probabilities(np.array([[1e5, 0.0]])).tolist() == [[1.0, 0.0]]


def test_a_logit_that_is_no_number_is_refused() -> None:
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
