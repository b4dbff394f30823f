"""The results beside the published figures: OUT/reference.json and the page OUT/index.html."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from augment.evaluation.tables import METRIC_NAMES, aligned, percent, points
from augment.json_objects import as_plain, write_json
from augment.record_types import ComparisonSummary, Floor, Interval
from augment.records import TRAINING, RunFolder
from augment.reference.protocol import COMBINED, PUBLISHED, REAL, REAL_ARMS
from augment.report.pages import render
from augment.report.table import Table, bar
from edge_runtime.bundle.files import replace_file

RESULTS, PAGE, TEMPLATE = "reference.json", "index.html", "reference.html.j2"
NOT_KNOWN = (
    "The published figures have no interval, and their split, number of trainings and initial weights are not known: "
    "whether ours agree with theirs in the strict sense cannot be said. What can be said is whether generated pictures "
    "help here, and by how much."
)


@dataclass(frozen=True)
class Outcome:
    """What came out of the draws that are done.

    `whole` compares every arm with the plain real one, `strict` with `strongest`, the arm of real pictures alone that
    validation finds best: test pictures did not choose it.
    """

    whole: ComparisonSummary
    strict: ComparisonSummary
    validation: Mapping[str, float]  # arm of real pictures alone -> macro F1 on validation, mean of the draws
    draws: int
    wanted: int
    rehearsal: bool
    lock: Mapping[str, Mapping[str, object]]
    floor: Floor | None = None

    @property
    def strongest(self) -> str:
        """The name of that arm."""
        return self.strict.baseline


def strongest_real(folders: Sequence[RunFolder]) -> dict[str, float]:
    """Return the arms of real pictures alone, the best first, with their mean macro F1 on validation."""
    found: dict[str, list[float]] = {arm: [] for arm in REAL_ARMS}
    for folder in folders:
        for record in folder.require(TRAINING).records:
            if record.arm in found:
                found[record.arm].append(record.validation["macro_f1"])
    means = {arm: sum(values) / len(values) for arm, values in found.items() if values}
    return dict(sorted(means.items(), key=lambda entry: -entry[1]))


def write(out: Path, outcome: Outcome) -> str:
    """Write both files; return the lines that the command prints."""
    write_json(
        out / RESULTS,
        {
            "schema": "rarefault/reference",
            "rehearsal": outcome.rehearsal,
            "draws": {"done": outcome.draws, "wanted": outcome.wanted},
            "published": {metric: dict(zip((REAL, COMBINED), pair, strict=True)) for metric, pair in PUBLISHED.items()},
            "strongest_real": {"arm": outcome.strongest, "validation_macro_f1": outcome.validation},
            "against_real": as_plain(outcome.whole),
            "against_strongest_real": as_plain(outcome.strict),
            "floor": as_plain(outcome.floor) if outcome.floor else None,
            "lock": outcome.lock,
        },
    )
    replace_file(out / PAGE, _page(outcome).encode())
    return "\n".join([*aligned(_beside(outcome)), "", _headline(outcome), *_notes(outcome)])


def _beside(outcome: Outcome) -> list[list[str]]:
    """Return the rows of the table with ours beside the published figures, its head first."""
    rows = [["", "published", "ours"]]
    for metric, (real, combined) in PUBLISHED.items():
        name = METRIC_NAMES[metric]
        ours = {arm: found.metrics[metric] for arm, found in outcome.whole.arms.items()}
        rows.append([f"{name}, real", _published(real), _percent(ours.get(REAL))])
        rows.append([f"{name}, real + generated", _published(combined), _percent(ours.get(COMBINED))])
        gain = f"{100 * (combined - real):+.2f} points"
        rows.append([f"{name}, difference", gain, _difference(outcome.whole, metric)])
        against = f"{name}, against the strongest real arm ({outcome.strongest})"
        rows.append([against, "not published", _difference(outcome.strict, metric)])
    return rows


def _published(share: float) -> str:
    """Return a published share in percent, with as many digits as were published."""
    return f"{float(f'{100 * share:.2f}')} %"


def _percent(found: Interval | None) -> str:
    return percent(found) if found else "was not trained"


def _difference(summary: ComparisonSummary, metric: str) -> str:
    found = summary.differences.get(COMBINED)
    return points(found.metrics[metric]) if found else "was not trained"


def _headline(outcome: Outcome) -> str:
    if outcome.rehearsal:
        return "A rehearsal: all parts ran. Its figures mean nothing, since next to nothing was painted and trained."
    found = outcome.strict.differences[COMBINED].metrics["macro_f1"]
    said = {"PASS": "help", "FAIL": "harm"}.get(outcome.strict.verdict, "neither help nor harm beyond chance")
    return (
        f"Generated pictures {said}: {points(found)} of macro F1 against {outcome.strongest}, the strongest arm of "
        f"real pictures alone ({outcome.draws} of {outcome.wanted} draws)."
    )


def _notes(outcome: Outcome) -> list[str]:
    whole = outcome.whole
    notes = [
        f"{whole.test.images} test pictures, {100 * whole.confidence:g} % intervals over pictures and draws",
        f"{outcome.strongest} is the strongest real arm by validation: "
        + ", ".join(f"{arm} {100 * value:.1f} %" for arm, value in outcome.validation.items()),
    ]
    if floor := outcome.floor:
        notes.append(
            f"a linear classifier on ready-made features ({floor.embedder}) reaches {100 * floor.accuracy:.1f} % "
            f"accuracy and {100 * floor.macro_f1:.1f} % macro F1 with the real pictures of the first draw alone"
        )
    if whole.why:
        notes.append(whole.why)
    return [*notes, NOT_KNOWN]


def _page(outcome: Outcome) -> str:
    head, *rows = _beside(outcome)
    metrics = [metric for metric in PUBLISHED if metric in METRIC_NAMES]
    arms = [
        [arm, *(bar(found.metrics[metric]) for metric in metrics), str(found.seeds)]
        for arm, found in outcome.whole.arms.items()
    ]
    models = [
        [part, str(found.get("name") or found.get("source") or found.get("count", "")), _identity(found)]
        for part, found in outcome.lock.items()
    ]
    caption = "Ours beside the published figures; intervals in parentheses."
    if outcome.rehearsal:
        caption = "Of a rehearsal: ours mean nothing."
    content = {
        "title": "rarefault benchmark reference",
        "verdict": "look at it" if outcome.rehearsal else outcome.strict.verdict,
        "headline": _headline(outcome),
        "notes": _notes(outcome),
        "beside": Table(caption, ["measure", *head[1:]], rows),
        "arms": Table("All arms.", ["arm", *(METRIC_NAMES[metric] for metric in metrics), "trainings"], arms),
        "models": Table(
            "What it was made with; every file's digest is in lock.json.", ["part", "name", "identity"], models
        ),
        "contents": [
            ("verdict", "Verdict"),
            ("beside", "Beside the published figures"),
            ("arms", "Arms"),
            ("made", "Made with"),
        ],
    }
    return render(TEMPLATE, content)


def _identity(found: Mapping[str, object]) -> str:
    return str(found.get("revision") or found.get("sha256") or "")
