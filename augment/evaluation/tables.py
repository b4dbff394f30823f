"""Numbers with their intervals as people read them, and the comparison as a plain text table."""

from collections.abc import Sequence

from augment.evaluation.metrics import FAULT_OR_NOT, FAULT_RECALL
from augment.record_types import ComparisonSummary, Interval

METRIC_NAMES = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "macro_recall": "macro recall",
    FAULT_RECALL: "fault recall",
    FAULT_OR_NOT: "fault or not",
}


def measured(summary: ComparisonSummary) -> list[str]:
    """List the metrics that a comparison holds, in the order of METRIC_NAMES."""
    held = next(iter(summary.arms.values())).metrics
    return [metric for metric in METRIC_NAMES if metric in held]


def percent(interval: Interval) -> str:
    """Write an interval as `71.2 % (65.0 to 77.1)`."""
    return f"{100 * interval.value:.1f} % ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def points(interval: Interval) -> str:
    """Write a difference as `+3.1 (-0.4 to +6.6) points`, of a hundred."""
    return f"{100 * interval.value:+.1f} ({100 * interval.low:+.1f} to {100 * interval.high:+.1f}) points"


def table(summary: ComparisonSummary) -> str:
    """Write the comparison as plain text: arms, differences, recall per class; `!` marks fault classes."""
    arms = list(summary.arms)
    test = summary.test
    metrics = measured(summary)
    rows = [["arm", *(METRIC_NAMES[metric] for metric in metrics)]]
    for arm in arms:
        rows.append([arm, *(percent(summary.arms[arm].metrics[metric]) for metric in metrics)])
    for arm, difference in summary.differences.items():
        cells = [points(difference.metrics[metric]).removesuffix(" points") for metric in metrics]
        rows.append([f"{arm} - {summary.baseline}", *cells])
    classes = [["class", "test images", *(f"recall, {arm}" for arm in arms)]]
    for label in summary.labels:
        mark = "!" if label in summary.fault_labels else " "
        recalls = [summary.arms[arm].recall[label] for arm in arms]
        cells = [percent(recall) if recall else "no image" for recall in recalls]
        classes.append([f"{mark} {label}", str(test.per_class[label].images), *cells])
    head = f"{test.images} test images in {test.groups} groups; {100 * summary.confidence:g} % intervals"
    mcnemar = summary.differences[summary.candidate].mcnemar
    tail = f"McNemar p = {mcnemar.p:.3g}; verdict on {METRIC_NAMES[summary.metric]}: {summary.verdict}"
    harmed = [f"{arm} harms {', '.join(found.harmed)}" for arm, found in summary.differences.items() if found.harmed]
    return "\n".join([head, "", *aligned(rows), "", *aligned(classes), "", *_spots(summary), *harmed, tail])


def support(summary: ComparisonSummary) -> str:
    """Say which faults the candidate's score rests on; empty where no arm has a spatial head."""
    spots = summary.arms[summary.candidate].spots
    if not spots:
        return ""
    lost = summary.differences[summary.candidate].lost_support
    parts = []
    for supported, words in ((True, "rests on the fault for"), (False, "is not shown to rest on the fault for")):
        if labels := [label for label, found in spots.faults.items() if found.supported == supported]:
            parts.append(f"its score {words} {', '.join(labels)}")
    if lost:
        parts.append(f"it loses the support of {', '.join(lost)}, so it does not pass")
    return "; ".join(parts)


def _spots(summary: ComparisonSummary) -> list[str]:
    """List for every fault and arm whether its score rests on the fault; empty where no arm has a spatial head."""
    head = ["fault", "arm", "AUC", "painted over", "gap", "kept", "kept, painted elsewhere", "pointing", ""]
    rows = []
    for label in summary.fault_labels:
        for arm, result in summary.arms.items():
            if not result.spots or not (found := result.spots.faults.get(label)):
                continue
            evidence = (found.keep, found.control_keep, found.pointing)
            gap = points(found.gap).removesuffix(" points") if found.gap else "no box"
            cells = [percent(share) if share else "no box" for share in (found.painted_auc, *evidence)]
            cells.insert(1, gap)
            rows.append([label, arm, percent(found.auc), *cells, "supported" if found.supported else "not supported"])
    return [*aligned([head, *rows]), ""] if rows else []


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the rows as lines of a text table, its columns of one width, with a rule below the first row."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [lines[0], "  ".join("-" * width for width in widths), *lines[1:]]
