"""The report's section on what persons at the stations said of alarms: how many were right, where, and when. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from augment.data.feedback import Disagreement, FeedbackSummary, JudgedPrecision
from augment.report.sentences import in_words
from augment.report.table import Bar, Table
from edge_runtime.judgements.precision import wilson

MOST_WEEKS = 8  # the newest of them have a column each
WORDS = {"right": "right", "wrong": "wrong", "other": "of another class"}


@dataclass(frozen=True)
class Feedback:
    """Sentences, and tables of which each may have no row."""

    sentences: Sequence[str]
    precision: Table
    corrected: Table
    disagreements: Table
    left_out: Sequence[str]


def feedback(summary: FeedbackSummary) -> Feedback:
    """Say what has come from the stations."""
    return Feedback(
        _sentences(summary),
        _precision(summary.precision),
        _corrected(summary),
        _disagreements(summary.disagreements),
        [f"{entry.path}: {entry.reason}" for entry in summary.left_out],
    )


def _sentences(summary: FeedbackSummary) -> list[str]:
    said = ", ".join(f"{count} {WORDS.get(verdict, verdict)}" for verdict, count in summary.verdicts.items())
    archives = f"{summary.archives} archive{'s' * (summary.archives != 1)}"
    text = [f"{summary.judged} judged alarms came in {archives} from the stations: {said or 'none with a verdict'}."]
    right, judged = _sum(summary.precision)
    if judged:
        low, high = wilson(right, judged)
        text.append(
            f"Of 100 alarms that were judged, {100 * right / judged:.0f} were right ({100 * low:.0f} to "
            f"{100 * high:.0f}). Alarms that nobody judged may be otherwise."
        )
    if learnt := sum(summary.labels.values()):
        text.append(
            f"{learnt} of these pictures can be learnt from; they stand on the training side, never in the test."
        )
    if summary.unlabelled:
        text.append(
            f"{summary.unlabelled} hard examples were judged by nobody yet: `rarefault label` shows them first."
        )
    return text


def _precision(found: Sequence[JudgedPrecision]) -> Table:
    """Return a row for each camera and label: the share that was right, over all weeks and in each of the last."""
    weeks = sorted({one.week for one in found})[-MOST_WEEKS:]
    rows = []
    for place in sorted({(one.station, one.camera, one.label) for one in found}):
        own = [one for one in found if (one.station, one.camera, one.label) == place]
        cells = [_share(own), *(_share(one for one in own if one.week == week) for week in weeks)]
        rows.append([f"{place[0]} {place[1]}", in_words(place[2]), *cells])
    caption = "Alarms that were right, of those judged; the other shade in a bar is Wilson's 95 % interval."
    return Table(caption, ["camera", "alarm", "all weeks", *weeks], rows)


def _share(found: Iterable[JudgedPrecision]) -> str:
    right, judged = _sum(found)
    if not judged:
        return "none"
    return Bar(f"{100 * right / judged:.0f} % ({right} of {judged})", right / judged, *wilson(right, judged))


def _sum(found: Iterable[JudgedPrecision]) -> tuple[int, int]:
    """Return how many alarms were right, and how many were judged."""
    counts = [(one.right, one.right + one.wrong) for one in found]
    return sum(right for right, _ in counts), sum(judged for _, judged in counts)


def _corrected(summary: FeedbackSummary) -> Table:
    rows = [
        [in_words(label), in_words(said), str(count)]
        for label, others in summary.corrected.items()
        for said, count in sorted(others.items(), key=lambda entry: -entry[1])
    ]
    return Table("Where persons corrected the model.", ["the model said", "persons said", "alarms"], rows)


def _disagreements(found: Sequence[Disagreement]) -> Table:
    rows = [
        [
            f"{one.station} {one.camera}",
            one.event,
            in_words(one.label),
            "; ".join(f"{judge}: {in_words(what)}" for judge, what in one.said.items()),
        ]
        for one in found
    ]
    caption = "Alarms on which persons do not agree. They are not learnt from until they do."
    return Table(caption, ["camera", "event", "the model said", "persons said"], rows)
