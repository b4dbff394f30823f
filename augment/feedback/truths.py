"""What judged pictures show, by what persons said of them: records to learn from, and why others are none. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timezone
from typing import Any

from augment.data.fault_groups import FaultGroups
from augment.data.feedback import Disagreement, FeedbackRecord, JudgedPrecision
from edge_runtime.clock import from_iso
from edge_runtime.judgements.precision import precisions
from edge_runtime.judgements.records import Judgement, Verdict, disagree, drawn_boxes

BURST_SECONDS = 600.0  # frames of one camera within this are one burst


@dataclass(frozen=True)
class Truth:
    """What became of one judged event: the record, or why there is none."""

    station: str
    event: str
    record: FeedbackRecord | None = None
    reason: str = ""


class Labels:
    """Which label a judgement means, by the labels of a run's data set and their groups (None: it has no faults)."""

    def __init__(self, labels: Sequence[str], groups: FaultGroups | None) -> None:
        self._labels, self._groups = frozenset(labels), groups

    def meant(self, judgement: Judgement, example: Mapping[str, Any]) -> tuple[str, str]:
        """Return the label, or "" and why there is none."""
        if judgement.verdict is Verdict.UNSURE:
            return "", "nobody can tell what it shows"
        if judgement.verdict is Verdict.WRONG:
            return self._healthy(judgement.label, example)
        label = judgement.true_label or judgement.label
        if label not in self._labels:
            return "", f"it shows {label}, which is no class of this run"
        return label, ""

    def _healthy(self, fault: str, example: Mapping[str, Any]) -> tuple[str, str]:
        """Return the healthy label of the only group that the fault may befall, or of the one that the model saw."""
        groups = [group for group in self._groups.groups if fault in group.faults.values()] if self._groups else []
        if len(groups) > 1:
            seen = example.get("group")
            name = seen.get("label") if isinstance(seen, dict) else None
            groups = [group for group in groups if name in (group.name, group.healthy)]
        if len(groups) == 1:
            return groups[0].healthy, ""
        return "", f"there is no {fault}, and which healthy class it shows is unclear; set data.groups"


def truths(
    judgements: Mapping[str, Sequence[Judgement]], examples: Mapping[str, Mapping[str, Any]], labels: Labels
) -> list[Truth]:
    """Return what became of every judged event; keys are a station and an event with a blank between them."""
    bursts = _bursts(examples)
    return [_truth(key, said, examples.get(key), labels, bursts) for key, said in judgements.items()]


def _truth(
    key: str,
    said: Sequence[Judgement],
    example: Mapping[str, Any] | None,
    labels: Labels,
    bursts: Mapping[str, str],
) -> Truth:
    station, _, event = key.partition(" ")
    newest = said[-1]
    if disagree(said):
        return Truth(station, event, reason=f"judges disagree: {_told(said)}")
    if example is None:
        return Truth(station, event, reason="its picture has not come, or was gone when it was judged")
    label, reason = labels.meant(newest, example)
    if not label:
        return Truth(station, event, reason=reason)
    record = FeedbackRecord(
        id=key,
        path=f"feedback/{example['file'].rpartition('/')[2]}",
        label=label,
        boxes=(drawn_boxes(said) or None) if newest.verdict is not Verdict.WRONG else None,
        group=bursts[key],
        station=station,
        camera=newest.camera,
        event=event,
        captured=newest.captured,
        judges=sorted(judgement.judge for judgement in said),
        verdict=newest.verdict.value,
        model=newest.model,
        model_label=newest.label,
        probability=newest.probability,
    )
    return Truth(station, event, record)


def _bursts(examples: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Name the burst of every example: frames of one camera, each within BURST_SECONDS of the one before."""
    found: dict[str, str] = {}
    last: dict[tuple[str, str], tuple[float, str]] = {}
    times = {key: _moment(str(example.get("time", ""))) for key, example in examples.items()}
    for key in sorted(examples, key=lambda key: (times[key] or 0.0, key)):
        example, at = examples[key], times[key]
        camera, name = (example["station"], example.get("camera", "")), f"feedback {key}"
        if at is None:
            found[key] = name
            continue
        before = last.get(camera)
        if before is not None and at - before[0] <= BURST_SECONDS:
            name = before[1]
        found[key], last[camera] = name, (at, name)
    return found


def _moment(text: str) -> float | None:
    """Return an ISO 8601 time in seconds since 1970, without a zone as UTC; None where the text is none."""
    try:
        at = from_iso(text)
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=timezone.utc)).timestamp()


def disagreements(judgements: Mapping[str, Sequence[Judgement]]) -> list[Disagreement]:
    """Return the events on which judges say different things."""
    return [
        Disagreement(
            station=key.partition(" ")[0],
            event=said[0].event,
            camera=said[0].camera,
            label=said[0].label,
            said={judgement.judge: judgement.true_label or judgement.verdict.value for judgement in said},
        )
        for key, said in judgements.items()
        if disagree(said)
    ]


def verdict_counts(judgements: Mapping[str, Sequence[Judgement]]) -> dict[str, int]:
    """Count the verdicts of the events on which all judges agree."""
    agreed = [said[-1].verdict.value for said in judgements.values() if not disagree(said)]
    return dict(sorted(Counter(agreed).items()))


def corrected(records: Iterable[FeedbackRecord]) -> dict[str, dict[str, int]]:
    """Count by the model's label what the judges say instead."""
    found: dict[str, dict[str, int]] = {}
    for record in records:
        if record.label != record.model_label:
            counts = found.setdefault(record.model_label, {})
            counts[record.label] = counts.get(record.label, 0) + 1
    return {label: dict(sorted(counts.items())) for label, counts in sorted(found.items())}


def judged_precision(judgements: Mapping[str, Sequence[Judgement]]) -> list[JudgedPrecision]:
    """Return the precision of alarms by station, camera, label and week; the newest judgement of an event counts."""
    by_station: dict[str, list[Judgement]] = {}
    for key, said in judgements.items():
        by_station.setdefault(key.partition(" ")[0], []).append(said[-1])
    return [
        JudgedPrecision(
            station=station,
            camera=one.camera,
            label=one.label,
            week=one.week,
            right=one.right,
            wrong=one.wrong,
            value=round(one.value, 6),
            low=round(one.interval[0], 6),
            high=round(one.interval[1], 6),
        )
        for station, judged in sorted(by_station.items())
        for one in precisions(judged)
    ]


def _told(said: Sequence[Judgement]) -> str:
    return ", ".join(f"{one.judge} says {one.true_label or one.verdict.value}" for one in said)
