"""Sentences about what a run found, for people who know no statistics. Pure: summaries in, sentences out."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from augment.evaluation.floor import below_floor
from augment.evaluation.learning_curve import ENOUGH
from augment.evaluation.metrics import FAIL, INCONCLUSIVE, PASS
from augment.evaluation.tables import METRIC_NAMES
from augment.methods import CLASSIC
from augment.record_types import ComparisonSummary, Evaluation, LearningCurve, TrainingRecord

# What sets candidate and baseline apart: generated images, another way to learn, or nothing at all.
GENERATED, OTHERWISE, NOTHING = "generated", "otherwise", "nothing"
HEADLINES = {
    GENERATED: {
        PASS: "Generated images helped.",
        FAIL: "Generated images did harm.",
        INCONCLUSIVE: "It is not shown that generated images help, nor that they harm.",
    },
    OTHERWISE: {
        PASS: "The classifier under test is better.",
        FAIL: "The classifier under test is worse.",
        INCONCLUSIVE: "It is not shown that the classifier under test is better, nor that it is worse.",
    },
    NOTHING: {INCONCLUSIVE: "Both trainings came to the very same classifier, so there was nothing to compare."},
}
METRIC_MEANINGS = {
    "accuracy": "how many of 100 test pictures get the right label",
    "macro_f1": "a mark from 0 to 100 that counts every class alike; missed faults and false alarms lower it",
    "macro_recall": "how many of 100 pictures of a class are found, as the mean over the classes",
}
CERTAINTY = {
    PASS: "All of that is above zero, so the gain is hardly chance.",
    FAIL: "All of that is below zero, so the harm is hardly chance.",
    INCONCLUSIVE: "Zero lies in that range, so the change may be chance. More test pictures and more trainings would "
    "narrow it.",
}
NO_CHANGE = "The two name every test picture alike."


def apart(summary: ComparisonSummary, trainings: Sequence[TrainingRecord]) -> str:
    """Return what sets the candidate apart from the baseline: GENERATED, OTHERWISE or NOTHING."""
    before, after = (
        [record for record in trainings if record.arm == arm] for arm in (summary.baseline, summary.candidate)
    )
    if [record.sha256 for record in before] == [record.sha256 for record in after]:
        return NOTHING
    classic = [CLASSIC in arm.split("+") for arm in (summary.baseline, summary.candidate)]
    other_head = classic[0] != classic[1] and any(found.spots for found in summary.arms.values())
    generated = any(sum(record.images["synthetic"].values()) for record in after)
    return GENERATED if generated and not other_head else OTHERWISE


def answers(summary: ComparisonSummary, trainings: Sequence[TrainingRecord]) -> list[tuple[str, str]]:
    """Return (question, answer) pairs: what was tried, whether it helped, how sure that is."""
    baseline, candidate, metric = (summary.baseline, summary.candidate, summary.metric)
    before, after = (summary.arms[arm].metrics[metric].value for arm in (baseline, candidate))
    change = summary.differences[candidate].metrics[metric]
    tried = (
        f"Two classifiers were compared. One, called {baseline}, learnt from {_pictures(trainings, baseline)}. The "
        f"other, called {candidate}, learnt from {_pictures(trainings, candidate)}. Both then named "
        f"{summary.test.images} test pictures that no training has seen."
    )
    helped = (
        f"Measured by {METRIC_NAMES[metric]} ({METRIC_MEANINGS[metric]}), {baseline} reaches {100 * before:.1f} and "
        f"{candidate} {100 * after:.1f}: a change of {100 * change.value:+.1f} points."
    )
    sure = (
        f"With {100 * summary.confidence:g} % confidence the change lies between {100 * change.low:+.1f} and "
        f"{100 * change.high:+.1f} points. {CERTAINTY[summary.verdict]}"
    )
    if apart(summary, trainings) == NOTHING:
        sure = NO_CHANGE
    if baseline == candidate:
        tried = f"One classifier, called {baseline}, learnt from {_pictures(trainings, baseline)}."
        helped = f"There is no other one to compare it with. By {METRIC_NAMES[metric]} it reaches {100 * before:.1f}."
    if summary.why:
        tried += f" Less was compared than the settings ask for: {summary.why}."
    return [("What was tried", tried), ("Did it help?", helped), ("How sure is that?", sure)]


def _pictures(trainings: Sequence[TrainingRecord], arm: str) -> str:
    own = [record for record in trainings if record.arm == arm]
    real, generated = (sum(own[0].images[kind].values()) for kind in ("real", "synthetic"))
    parts = [f"{count} {kind}" for count, kind in ((real, "real"), (generated, "generated")) if count]
    return f"{' and '.join(parts)} pictures ({len(own)} training{'s' * (len(own) > 1)})"


def next_steps(
    summary: ComparisonSummary, difference: str, curve: LearningCurve | None, packed: str | None
) -> list[str]:
    """Say what to do now. `difference` is what `apart` found, `packed` the arm of the bundle's network, if any."""
    baseline, candidate, verdict = (summary.baseline, summary.candidate, summary.verdict)
    harmed = ", ".join(map(in_words, summary.differences[candidate].harmed))
    steps = [_ship(baseline, candidate, difference)[verdict]]
    if verdict == PASS and harmed:
        steps.append(f"Before that, decide whether the gain is worth what {harmed} lost.")
    unproven = (FAIL, INCONCLUSIVE) if difference == GENERATED else (FAIL,)
    if packed == candidate and verdict in unproven:
        steps.append(
            f'The bundle holds {packed} all the same: set export.arm = "{baseline}" and run `rarefault export` before '
            "it goes to a station."
        )
    if note := below_floor(summary):
        steps.append(
            f"These classifiers are {note}. Such features are what preset cpu trains on: try `rarefault init --preset "
            "cpu`."
        )
    if curve and any(found.says != ENOUGH for found in curve.classes.values()):
        steps.append("Photograph more: “What to photograph next” below says what, and how many.")
    return steps


def _ship(baseline: str, candidate: str, difference: str) -> dict[str, str]:
    """Return for each verdict which classifier to ship."""
    if baseline == candidate:
        return {INCONCLUSIVE: f"Ship the classifier that there is ({baseline}), if its figures below are good enough."}
    if difference == NOTHING:
        either = (
            f"Ship either, {baseline} or {candidate}. To have something to compare, name the faults (data.faults) and "
        )
        return {INCONCLUSIVE: either + "draw boxes around them, or name a method in generate.methods and train.arms."}
    if difference == OTHERWISE:
        return {
            PASS: f"The classifier under test ({candidate}) may be shipped.",
            FAIL: f"Ship the classifier that it was compared with ({baseline}).",
            INCONCLUSIVE: f"These test pictures do not tell which of {baseline} and {candidate} is better. Add test "
            "pictures or trainings (train.seeds), and run again.",
        }
    return {
        PASS: f"The classifier that learnt from generated images too ({candidate}) may be shipped.",
        FAIL: f"Ship the classifier without these generated images ({baseline}). Look at the contact sheets: a "
        "generator that does not know this equipment paints what harms.",
        INCONCLUSIVE: f"Ship the classifier without these generated images ({baseline}) for now. Add test pictures or "
        "trainings (train.seeds), and run again.",
    }


def class_changes(summary: ComparisonSummary) -> list[tuple[str, str]]:
    """Return (gained, lost or neither; sentence) for every fault class, and for other classes that lost."""
    faults = summary.fault_labels
    return [_change(summary, label, "fault" if label in faults else "no fault") for label in told_classes(summary)]


def told_classes(summary: ComparisonSummary) -> list[str]:
    """Return every fault label, and other labels that lost recall."""
    harmed = summary.differences[summary.candidate].harmed
    return list(dict.fromkeys([*summary.fault_labels, *harmed]))


def _change(summary: ComparisonSummary, label: str, kind: str) -> tuple[str, str]:
    change = summary.differences[summary.candidate].recall[label]
    if change is None:
        return "Unknown", f"the test set holds no picture of {in_words(label)} ({kind})."
    before, after = (100 * recall for recall in _recalls(summary, label))
    word = "Better" if change.low > 0 else "Worse" if change.high < 0 else "No clear change"
    found = f"{after:.0f} instead of {before:.0f}" if f"{after:.0f}" != f"{before:.0f}" else f"{after:.0f}, as before"
    images = summary.test.per_class[label].images
    measured = f"{images} test picture{'s' * (images > 1)}"
    return word, f"of 100 pictures of {in_words(label)} ({kind}) it finds {found}, measured on {measured}."


def gate_sentences(summary: ComparisonSummary) -> list[str]:
    """Say what the gate kept out of each arm."""
    return [
        f"The gate left the generated images of {', '.join(map(in_words, labels))} out of {arm}, because on validation "
        "images they cost another class its recall, or nothing was gained with them."
        for arm, labels in (summary.gate or {}).items()
    ]


def hours(used: int, minutes: float) -> str:
    """Say what as many real pictures would cost, if one takes `minutes`; nothing where none were used."""
    if not used:
        return ""
    return (
        f"The classifier under test learnt from {used} generated images. If finding, taking and labelling one picture "
        f"takes {minutes:g} minutes, as many real ones would take {used * minutes / 60:.1f} hours. The minutes are an "
        "assumption, not a measurement, and a generated picture is worth less than a real one."
    )


def in_words(label: str) -> str:
    """Write a label as a word in a sentence."""
    return label.replace("_", " ")


# What can be seen in the figures, for those who don't see them


def differences(summary: ComparisonSummary) -> str:
    """Say by how many points each arm differs from the baseline."""
    found = {arm: difference.metrics[summary.metric] for arm, difference in summary.differences.items()}
    text = [
        f"{arm} {100 * one.value:+.1f} ({100 * one.low:+.1f} to {100 * one.high:+.1f})" for arm, one in found.items()
    ]
    return f"Lines of the points of {METRIC_NAMES[summary.metric]} that each arm has more: {', '.join(text)}."


def recall_intervals(summary: ComparisonSummary) -> str:
    """Name the classes that moved most between baseline and candidate."""
    baseline, candidate = summary.baseline, summary.candidate
    changes = summary.differences[candidate].recall
    known = sorted((change.value, label) for label, change in changes.items() if change)
    (fall, lowest), (rise, highest) = known[0], known[-1]
    moved = [("rise", highest)] * (rise > 0) + [("fall", lowest)] * (fall < 0)
    text = [f"Largest {word} from {baseline} to {candidate}: {_moved(summary, label)}." for word, label in moved]
    return " ".join(["Lines of the recall of each class, one for each arm.", *text])


def _recalls(summary: ComparisonSummary, label: str) -> tuple[float, float]:
    """Return the recall of a class by the baseline and by the candidate; NaN where the test set has no image of it."""
    found = [summary.arms[arm].recall[label] for arm in (summary.baseline, summary.candidate)]
    before, after = (math.nan if recall is None else recall.value for recall in found)
    return before, after


def _moved(summary: ComparisonSummary, label: str) -> str:
    before, after = _recalls(summary, label)
    return f"{in_words(label)}, {_percent(before)} to {_percent(after)}"


def learning_curves(curve: LearningCurve) -> str:
    """Say where the mean over the classes begins and ends."""
    share, (first, *_, last) = curve.shares[0], curve.macro_recall
    text = "Lines of the recall of each class against its number of real images."
    if first is None or last is None:
        return text
    begins = f"{_percent(first)} with {_percent(share)} of the images"
    return f"{text} The mean over the classes is {begins}, {_percent(last)} with all."


def confusion_matrix(summary: ComparisonSummary, arm: str) -> str:
    """Name the commonest mistake of an arm."""
    labels, counts = summary.labels, np.array(summary.arms[arm].confusion)
    wrong = counts - np.diag(np.diag(counts))
    true, given = np.unravel_index(wrong.argmax(), wrong.shape)
    text = f"Grid of true classes against the labels that {arm} gave."
    if not wrong[true, given]:
        return f"{text} It made no mistake."
    mistake = (
        f"{in_words(labels[true])} was called {in_words(labels[given])} in {wrong[true, given]} of {counts[true].sum()}"
    )
    return f"{text} Commonest mistake: {mistake} answers."


def reliability(summary: ComparisonSummary, arms: Sequence[str]) -> str:
    """Say how often each arm is right in the bin that holds most of its answers."""
    text = ["Lines of how often an answer is right against the probability it was given."]
    for arm in arms:
        fullest = max(summary.arms[arm].reliability.bins, key=lambda found: found.images)
        text.append(
            f"Most answers of {arm} are given {_percent(fullest.confidence)} on average, and "
            f"{_percent(fullest.accuracy)} of them are right."
        )
    return " ".join(text)


def validation_curves(histories: Mapping[str, Sequence[Sequence[Evaluation]]]) -> str:
    """List the last value of every training."""
    text = []
    for arm, trainings in histories.items():
        last = [_percent(evaluations[-1].validation["macro_f1"]) for evaluations in trainings]
        text.append(f"{arm} {', '.join(last)}")
    return f"Lines of macro F1 on the validation images during training. At the end: {'; '.join(text)}."


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
