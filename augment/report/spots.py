"""The report's section on whether the score rests on the fault, and which pictures to look at again. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from augment import record_types as types
from augment.evaluation.mending import BOX
from augment.evaluation.tables import percent, points
from augment.report.sentences import in_words
from augment.report.table import Table, bar

NOTHING = "not measured"


def by_arm(summary: types.ComparisonSummary) -> dict[str, types.Spots]:
    """Return what each arm sees of the faults; empty where no arm has a spatial head."""
    return {arm: found.spots for arm, found in summary.arms.items() if found.spots}


def evidence_table(summary: types.ComparisonSummary) -> Table:
    """Return for each fault and arm whether its score rests on the fault."""
    rows = [
        [
            label,
            arm,
            "supported" if seen.supported else "not supported",
            f"{seen.images} ({seen.boxed})",
            bar(seen.auc),
            _share(seen.painted_auc),
            points(seen.gap).removesuffix(" points") if seen.gap else NOTHING,
            _share(seen.twin),
            _share(seen.keep),
            _share(seen.control_keep),
        ]
        for label, arm, seen in _faults(summary)
    ]
    head = [
        "fault",
        "arm",
        "the score rests on the fault",
        "test pictures (with a box)",
        "AUC",
        "AUC painted over",
        "gap",
        "AUC against own painted copy",
    ]
    head += ["still found when painted over", "still found when painted elsewhere"]
    caption = (
        "AUC: how often a fault picture scores above a healthy one of the same equipment; 50 % is guessing. Painted "
        "over: the boxes of the fault are painted from their surroundings, and the gap is what the AUC loses by that."
    )
    return Table(caption, head, rows, summary.fault_labels)


def recall_table(summary: types.ComparisonSummary) -> Table:
    """Return for each fault and arm how many are found at stated false alarms, and where the map points."""
    rows = []
    for label, arm, seen in _faults(summary):
        cells = [f"{percent(at.recall)}; {percent(at.reached)}" for at in (*seen.recall_at, *seen.recall_common)]
        wanted = 2 * max((len(found.recall_at) for _, _, found in _faults(summary)), default=0)
        cells += [NOTHING] * (wanted - len(cells))
        rows.append([label, arm, *cells, _share(seen.pointing), _share(seen.pointing_found)])
    first = next((seen for _, _, seen in _faults(summary)), None)
    asked = [f"{100 * at.specificity:g} %" for at in first.recall_at] if first else []
    head = ["fault", "arm", *(f"at {at} of its equipment" for at in asked), *(f"at {at} of all" for at in asked)]
    caption = (
        "Recall; and the specificity that is reached, the share of healthy test pictures that are not flagged. "
        "Thresholds come from held-out training pictures, of the same equipment or of all. Pointing: the map peaks in "
        "a box or within 10 pixels of one, in all pictures with a box and in those that are found."
    )
    return Table(caption, [*head, "pointing", "pointing, found"], rows, summary.fault_labels)


def size_table(summary: types.ComparisonSummary) -> Table:
    """Return for each fault and arm the recall by the size of the fault."""
    rows, sizes = [], [size for _, _, seen in _faults(summary) for size in seen.by_size]
    ranges = list(dict.fromkeys((size.low, size.high) for size in sizes))
    for label, arm, seen in _faults(summary):
        if seen.by_size:
            cells = [
                f"{_share(size.recall)} of {size.images}" if size.images else "no picture" for size in seen.by_size
            ]
            rows.append([label, arm, *cells])
    caption = "Recall by the shorter side of the largest box, in pixels of the network's input."
    head = ["fault", "arm", *(f"{low:.0f} to {high:.0f} pixels" for low, high in ranges)]
    return Table(caption, head, rows, summary.fault_labels)


def sentences(summary: types.ComparisonSummary) -> list[str]:
    """Say of the baseline and the candidate what their scores rest on, and what is the smallest fault that they see."""
    found = by_arm(summary)
    text = []
    for arm in dict.fromkeys([summary.baseline, summary.candidate]):
        text += [f"{arm}: {seen.why}." for seen in found[arm].faults.values()]
        text.append(f"{arm}: {smallest(found[arm].smallest_fault)}")
    lost = summary.differences[summary.candidate].lost_support
    if lost:
        text.append(
            f"{summary.candidate} loses the support of {', '.join(map(in_words, lost))}, which {summary.baseline} has: "
            "it does not pass, whatever else it gained."
        )
    return text


def smallest(fault: types.SmallestFault | None) -> str:
    """Say how small a fault may be to be seen."""
    if fault is None:
        return (
            "no size of fault is shown to be seen: there are too few boxes, or less than half of the faults are found."
        )
    size = f"about {fault.pixels:.0f} input pixels, {100 * fault.share:.1f} % of the frame's shorter side,"
    found = f"{100 * fault.recall:.0f} % are found, at least {100 * fault.recall_bound:.0f} %"
    return (
        f"faults of {size} and larger are seen; of {fault.images} of about that size {found}. A cell of the map is "
        f"{fault.cell:.0f} pixels."
    )


def mending_table(suspects: Sequence[types.Suspect]) -> Table:
    """List the pictures to look at again."""
    rows = [
        [
            str(place + 1),
            suspect.id,
            suspect.split,
            in_words(suspect.label),
            "its map peaks outside every box" if suspect.doubt == BOX else f"rather {in_words(suspect.likelier)}",
            f"{100 * suspect.own:.0f} % against {100 * suspect.other:.0f} %" if suspect.doubt != BOX else "",
        ]
        for place, suspect in enumerate(suspects)
    ]
    caption = "The most contradicted first, labels and then boxes."
    return Table(
        caption, ["number", "picture", "split", "label", "what the classifier sees", "own label against other"], rows
    )


def _faults(summary: types.ComparisonSummary) -> Iterator[tuple[str, str, types.FaultSpots]]:
    found: Mapping[str, types.Spots] = by_arm(summary)
    for label in summary.fault_labels:
        for arm, spots in found.items():
            if label in spots.faults:
                yield label, arm, spots.faults[label]


def _share(interval: types.Interval | None) -> str:
    return bar(interval) if interval else NOTHING
