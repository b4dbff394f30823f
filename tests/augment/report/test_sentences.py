"""Sentences of the report, for a comparison small enough to read."""

from dataclasses import replace

import pytest

from augment.evaluation.metrics import FAIL, INCONCLUSIVE, PASS
from augment.json_objects import as_plain, from_json
from augment.record_types import ComparisonSummary, Evaluation, LearningCurve, TrainingRecord
from augment.report import sentences

LABELS = ["burnt_fuse", "oil_leak", "hail", "sound", "worn"]


def change(value: float, reach: float = 0.1) -> dict[str, float]:
    return {"value": value, "low": value - reach, "high": value + reach}


def recalls(*values: float | None) -> dict[str, dict[str, float] | None]:
    return {label: None if value is None else change(value) for label, value in zip(LABELS, values, strict=True)}


def comparison(verdict: str = PASS, **changed: object) -> ComparisonSummary:
    """Fuses gain, leaks gain a little, hail is not in the test set, sound pictures lose."""
    bins = [{"confidence": 0.55, "accuracy": 0.4, "images": 3}, {"confidence": 0.92, "accuracy": 0.85, "images": 17}]
    matrix = [[9, 0, 0, 1, 0], [0, 7, 0, 3, 0], [0] * 5, [0, 5, 0, 35, 0], [0, 0, 0, 0, 10]]
    arms = {
        "real": {"metrics": {"macro_f1": change(0.5)}, "recall": recalls(0.48, 0.7, None, 0.95, 1.0)},
        "both": {"metrics": {"macro_f1": change(0.624)}, "recall": recalls(0.62, 0.701, None, 0.8, 1.0)},
    }
    difference = {
        "metrics": {"macro_f1": change(0.124)},
        "recall": recalls(0.14, 0.001, None, -0.15, 0.0),
        "harmed": ["sound"],
    }
    content = {
        "baseline": "real",
        "candidate": "both",
        "metric": "macro_f1",
        "confidence": 0.95,
        "labels": LABELS,
        "fault_labels": LABELS[:3],
        "test": {"images": 60, "per_class": dict(zip(LABELS, ({"images": n} for n in (10, 1, 0, 40, 9)), strict=True))},
        "arms": {arm: {**found, "confusion": matrix, "reliability": {"bins": bins}} for arm, found in arms.items()},
        "differences": {"both": difference},
        "verdict": verdict,
    }
    return from_json(ComparisonSummary, {**content, **changed})


def training(arm: str, generated: int, weights: str = "") -> TrainingRecord:
    images = {"real": {"oil_leak": 4, "sound": 20}, "synthetic": {"oil_leak": generated}}
    return from_json(TrainingRecord, {"arm": arm, "sha256": weights or arm, "images": images})


def curve(*says: str) -> LearningCurve:
    content = {
        "shares": [0.25, 0.5, 0.75, 1.0],
        "macro_recall": [0.5, 0.6, 0.65, 0.7],
        "classes": {str(at): {"says": word} for at, word in enumerate(says)},
    }
    return from_json(LearningCurve, {"recall_target": 0.9, **content})


def test_the_answers_say_what_was_tried_what_came_of_it_and_how_sure_that_is():
    trainings = [training("real", 0), training("real", 0), training("both", 16)]
    (_, tried), (_, helped), (_, sure) = sentences.answers(comparison(), trainings)
    assert "called real, learnt from 24 real pictures (2 trainings)" in tried
    assert "called both, learnt from 24 real and 16 generated pictures (1 training)" in tried
    assert "60 test pictures" in tried
    assert "real reaches 50.0 and both 62.4: a change of +12.4 points" in helped
    assert "95 % confidence the change lies between +2.4 and +22.4 points" in sure


@pytest.mark.parametrize(
    ("verdict", "words"), [(PASS, "All of that is above"), (FAIL, "All of that is below"), (INCONCLUSIVE, "Zero lies")]
)
def test_the_verdict_in_words(verdict, words):
    assert words in sentences.answers(comparison(verdict), [training("real", 0), training("both", 1)])[2][1]


def test_faults_and_what_else_lost_are_told_in_pictures_of_a_hundred():
    assert sentences.class_changes(comparison()) == [
        ("Better", "of 100 pictures of burnt fuse (fault) it finds 62 instead of 48, measured on 10 test pictures."),
        ("No clear change", "of 100 pictures of oil leak (fault) it finds 70, as before, measured on 1 test picture."),
        ("Unknown", "the test set holds no picture of hail (fault)."),
        ("Worse", "of 100 pictures of sound (no fault) it finds 80 instead of 95, measured on 40 test pictures."),
    ]


def steps(verdict, packed, difference=sentences.GENERATED):
    return " ".join(sentences.next_steps(comparison(verdict), difference, None, packed))


def test_next_steps_follow_the_verdict_and_warn_of_the_wrong_bundle():
    told = {verdict: steps(verdict, "both") for verdict in (PASS, FAIL, INCONCLUSIVE)}
    assert "(both) may be shipped" in told[PASS]
    assert "worth what sound lost" in told[PASS]
    assert "The bundle holds" not in told[PASS]
    for verdict in (FAIL, INCONCLUSIVE):
        assert "(real)" in told[verdict]
        assert 'set export.arm = "real"' in told[verdict]
        assert "The bundle holds" not in steps(verdict, "real")


def test_what_sets_two_arms_apart_is_told_by_weights_heads_and_pictures():
    before = training("real", 0)
    assert sentences.apart(comparison(), [before, training("both", 16)]) == sentences.GENERATED
    assert sentences.apart(comparison(), [before, training("both", 0)]) == sentences.OTHERWISE
    assert sentences.apart(comparison(), [before, training("both", 0, "real")]) == sentences.NOTHING


def test_one_classifier_in_two_arms_leaves_nothing_to_be_sure_of():
    found = sentences.answers(comparison(INCONCLUSIVE), [training("real", 0), training("both", 0, "real")])
    assert found[2][1] == sentences.NO_CHANGE


@pytest.mark.parametrize(("spatial", "found"), [(True, sentences.OTHERWISE), (False, sentences.GENERATED)])
def test_a_class_head_against_a_spatial_one_is_no_question_of_generated_images(spatial, found):
    spots = {"real+classic": {"spots": {"faults": {}}}} if spatial else {}
    summary = comparison(baseline="real+classic", arms=spots)
    assert sentences.apart(summary, [training("real+classic", 0), training("both", 16)]) == found


def test_nothing_is_said_of_generated_images_where_there_are_none():
    for difference in (sentences.OTHERWISE, sentences.NOTHING):
        for verdict, headline in sentences.HEADLINES[difference].items():
            assert "enerated" not in headline
            assert "these generated images" not in steps(verdict, "both", difference)
    assert "The bundle holds" not in steps(INCONCLUSIVE, "both", sentences.OTHERWISE)
    assert 'set export.arm = "real"' in steps(FAIL, "both", sentences.OTHERWISE)
    assert "Ship either" in steps(INCONCLUSIVE, "both", sentences.NOTHING)
    assert sentences.hours(0, 5) == ""


@pytest.mark.parametrize(("says", "told"), [(["enough"], False), (["enough", "too few"], True)])
def test_photographs_are_asked_for_where_a_class_needs_them(says, told):
    assert (
        "Photograph more" in " ".join(sentences.next_steps(comparison(), sentences.GENERATED, curve(*says), None))
    ) is told


def test_the_gate_is_told_only_where_it_dropped_something():
    assert sentences.gate_sentences(comparison(gate={})) == []
    (sentence,) = sentences.gate_sentences(comparison(gate={"both+gate": ["oil_leak"]}))
    assert "images of oil leak out of both+gate" in sentence


def test_alternative_texts_say_what_the_figures_show():
    summary = comparison()
    assert sentences.recall_intervals(summary).endswith(
        "Largest rise from real to both: burnt fuse, 48 % to 62 %. Largest fall from real to both: sound, 95 % to 80 %."
    )
    assert sentences.confusion_matrix(summary, "real").endswith("sound was called oil leak in 5 of 40 answers.")
    assert "Most answers of real are given 92 % on average, and 85 % of them" in sentences.reliability(
        summary, ["real"]
    )
    assert sentences.learning_curves(curve()).endswith("50 % with 25 % of the images, 70 % with all.")
    history = [from_json(Evaluation, {"validation": {"macro_f1": value}}) for value in (0.2, 0.66)]
    assert sentences.validation_curves({"real": [history, history[:1]]}).endswith("At the end: real 66 %, 20 %.")


def test_alternative_texts_of_figures_with_little_in_them():
    plain = as_plain(comparison())
    plain["arms"]["real"]["confusion"] = [[3, 0], [0, 4]]
    plain["differences"]["both"]["recall"] = {"hail": None, "worn": change(0.0)}
    summary = from_json(ComparisonSummary, plain)
    assert sentences.confusion_matrix(summary, "real").endswith("It made no mistake.")
    assert sentences.recall_intervals(summary) == "Lines of the recall of each class, one for each arm."
    assert sentences.learning_curves(replace(curve(), macro_recall=[None] * 4)).endswith("number of real images.")
