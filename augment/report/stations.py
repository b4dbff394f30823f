"""The report's section on what a station gets from this run: what it flags, how often wrongly, and how sure that is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from augment import record_types as types
from augment.report.sentences import in_words
from augment.report.spots import smallest
from augment.report.table import Bar, Table

NO_BUNDLE = "No bundle was packed, so nothing of this run reaches a station yet. `rarefault export` packs one."
SURE = "supported"
HALF = 0.5  # of the faults: below, a label is said to be missed mostly


@dataclass(frozen=True)
class ForStations:
    """The packed arm and training, sentences about them, and a table with a row for each fault."""

    arm: str
    seed: str
    sentences: Sequence[str]
    table: Table


def for_stations(
    packed: types.ExportSummary, files: Sequence[types.ExportRecord], summary: types.ComparisonSummary
) -> ForStations:
    """Say what the packed network does on a station, by validation and test images."""
    arm, _, seed = packed.training.rpartition("/seed-")
    spots = summary.arms[arm].spots if arm in summary.arms else None
    return ForStations(arm, seed, _sentences(packed, files, spots), _table(packed.thresholds or {}, spots))


def _sentences(
    packed: types.ExportSummary, files: Sequence[types.ExportRecord], spots: types.Spots | None
) -> list[str]:
    named = packed.network.get("accuracy")
    text = [] if named is None else [f"It gives {100 * named:.0f} of 100 test pictures their right label."]
    found = {label: at.recall for label, at in (packed.thresholds or {}).items() if at.recall is not None}
    poor = {label: recall for label, recall in found.items() if recall < HALF}
    text += [
        f"It misses most of {in_words(label)}: of 100 it finds {100 * recall:.0f}." for label, recall in poor.items()
    ]
    if spots:
        unsure = [in_words(label) for label, seen in spots.faults.items() if not seen.supported]
        sure = [in_words(label) for label, seen in spots.faults.items() if seen.supported]
        if sure:
            text.append(f"An alarm of {_either(sure)} rests on the fault itself, as far as the test pictures show.")
        if unsure:
            text.append(
                f"An alarm of {_either(unsure)} is not shown to rest on the fault: it may know the surroundings. The "
                "station says so beside the alarm; look at the picture before anybody is sent out."
            )
        text.append(_capital(smallest(spots.smallest_fault)))
    agreed = ", ".join(f"{file.id} for {100 * file.agreement:.1f} %" for file in files)
    if agreed:
        text.append(
            "It is packed in files of different number formats; a station takes the fastest that its device can run. "
            f"They give the test pictures the label that the trained network gives: {agreed}."
        )
    text += [f"{precision} was not packed: {why}." for precision, why in packed.refused.items()]
    return text


def _table(thresholds: Mapping[str, types.Threshold], spots: types.Spots | None) -> Table:
    """Return recall and false alarms of each threshold with their bounds; few images make wide ones."""
    rows = []
    for label, found in thresholds.items():
        seen = spots.faults.get(label) if spots else None
        rests = "not measured" if seen is None else SURE if seen.supported else f"not {SURE}"
        alarms = "unknown" if found.false_alarms is None else f"{found.false_alarms:.1f}"
        recall = "unknown" if found.recall is None else f"{100 * found.recall:.0f} %"
        rows.append([
            label,
            Bar(f"{recall} (at least {100 * found.recall_bound:.0f} %)", found.recall or 0, found.recall_bound),
            f"{alarms} (at most {found.false_alarms_bound:.1f})",
            rests,
            f"{found.threshold:.2f}",
            str(found.positives),
        ])  # fmt: skip
    head = ["fault", "found", "false alarms in 100 other pictures", "its score rests on the fault", "flagged from"]
    caption = (
        "What the thresholds do on the validation images that they were chosen on. A station wants several flagged "
        "looks before it raises an alarm."
    )
    return Table(caption, [*head, "validation images"], rows, list(thresholds))


def _either(labels: Sequence[str]) -> str:
    return " or ".join(labels)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
