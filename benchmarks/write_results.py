"""Writes docs/RESULTS.md from the results.json files that `rarefault benchmark` leaves.

    python -m benchmarks.write_results [docs/results] [docs/RESULTS.md]

Every figure of the page comes from those files; the words around it stand in docs/results/NAME.md.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from augment.evaluation.tables import METRIC_NAMES, measured, percent, points
from augment.json_objects import from_json
from augment.record_types import ComparisonSummary, FaultSpots, Interval, RecallAt
from benchmarks.write_benchmarks import markdown

HEAD = """# Results

Written by `python -m benchmarks.write_results` from the JSON files in `docs/results/`; do not edit. Values are means
over the draws of the training images, with their 95 % intervals over test images and draws. No figure comes from
full-size BLIP, GPT-2 or Stable Diffusion: the generator is the embedded mini one.

Of tables of spots: AUC is against healthy images of the same equipment. Recall is at thresholds that leave 90 or 95 %
of the healthy held-out training images alone, of all equipment or of the same; in brackets is the share of the healthy
test images that they leave alone. Pointing is the share of maps whose peak lies in a box or within 10 pixels. Painted
AUC is that of the same fault images with their boxes painted over, gap the AUC minus that; kept are faults that are
still found once painted over, control once an equal area elsewhere is. A fault is supported where the gap's interval
lies above zero.
"""
SPOTS = (
    *("AUC", "recall at 90", "recall at 95", "within equipment at 90", "pointing", "painted AUC", "gap"),
    *("kept", "control kept", "supported"),
)


def main(folder: Path = Path("docs/results"), target: Path = Path("docs/RESULTS.md")) -> None:
    """Write `target` from every `folder`/NAME.json and its NAME.md."""
    parts = [HEAD]
    for path in sorted(folder.glob("*.json")):
        words = path.with_suffix(".md").read_text(encoding="utf-8").strip()
        parts.append(f"{words}\n\n{_tables(json.loads(path.read_bytes()))}\n")
    target.write_text("\n".join(parts), encoding="utf-8")


def _tables(results: Mapping[str, Any]) -> str:
    summary = from_json(ComparisonSummary, results)
    metrics = measured(summary)
    arms = [["arm", "real", "generated", *(METRIC_NAMES[metric] for metric in metrics)]]
    for arm, found in summary.arms.items():
        images = results["images"][arm]
        cells = [percent(found.metrics[metric]) for metric in metrics]
        arms.append([arm, str(images["real"]), str(images["synthetic"]), *cells])
    head = [f"minus `{summary.baseline}`", *(METRIC_NAMES[metric] for metric in metrics)]
    changes = [[*head, "p (Holm)", "harmed", "verdict"]]
    for arm, change in summary.differences.items():
        cells = [points(change.metrics[metric]).removesuffix(" points") for metric in metrics]
        harmed = ", ".join(change.harmed) or "none"
        changes.append([arm, *cells, f"{change.mcnemar.p_holm:.2g}", harmed, change.verdict])
    words = (
        f"{summary.test.images} test images, {results['draws']} draws of {results['folds']} runs. Candidate: "
        f"`{summary.candidate}`. Verdicts are on {METRIC_NAMES[summary.metric]}; harmed are classes whose recall fell "
        "beyond its interval."
    )
    parts = [words, markdown(arms), *_even_odds(results), markdown(changes), _classes(summary), *_spots(summary)]
    return "\n\n".join(parts)


def _even_odds(results: Mapping[str, Any]) -> list[str]:
    """Return the table of who is right on fault or not where a fault is what is likelier than not."""
    if not (found := results.get("even_odds")):
        return []
    rows = [["arm", "fault or not, from a probability of one half on"]]
    return [markdown([*rows, *([arm, percent(from_json(Interval, share))] for arm, share in found.items())])]


def _spots(summary: ComparisonSummary) -> list[str]:
    """Return for each fault the table of what its score rests on, and recall by size."""
    parts = []
    for label in summary.fault_labels:
        seen = {arm: found.spots.faults[label] for arm, found in summary.arms.items() if found.spots}
        if not seen:
            continue
        any_arm = next(iter(seen.values()))
        rows = [[f"{label}, {any_arm.images} images, {any_arm.boxed} with boxes", *SPOTS]]
        parts.append(markdown([*rows, *([arm, *_spot_cells(found)] for arm, found in seen.items())]))
        changes = {arm: change.spots[label] for arm, change in summary.differences.items() if change.spots}
        gained = [[arm, _points(found.auc), _points(found.gap)] for arm, found in changes.items()]
        parts.append(markdown([[f"{label}, minus `{summary.baseline}`", "AUC", "gap"], *gained]))
        if any_arm.by_size:
            sizes = [f"{size.low:.0f} to {size.high:.0f} pixels, {size.images} images" for size in any_arm.by_size]
            cells = [[arm, *(_share(size.recall) for size in found.by_size)] for arm, found in seen.items()]
            parts.append(markdown([[f"recall of {label} by size", *sizes], *cells]))
    return parts


def _spot_cells(found: FaultSpots) -> list[str]:
    recalls = (_recall(found.recall_common, 0), _recall(found.recall_common, 1), _recall(found.recall_at, 0))
    seen = (_share(found.pointing), _share(found.painted_auc), _points(found.gap))
    kept = (_share(found.keep), _share(found.control_keep), "yes" if found.supported else "**no**")
    return [_share(found.auc), *recalls, *seen, *kept]


def _recall(found: Sequence[RecallAt], place: int) -> str:
    if len(found) <= place:
        return "-"
    return f"{percent(found[place].recall)} [{100 * found[place].reached.value:.1f}]"


def _points(found: Interval | None) -> str:
    return points(found).removesuffix(" points") if found else "-"


def _share(found: Interval | None) -> str:
    return percent(found) if found else "-"


def _classes(summary: ComparisonSummary) -> str:
    """Return the recall per class of baseline and candidate."""
    baseline, candidate = summary.baseline, summary.candidate
    rows = [["class", "test images", baseline, candidate, "difference"]]
    for label in summary.labels:
        change = summary.differences[candidate].recall[label]
        recalls = [summary.arms[arm].recall[label] for arm in (baseline, candidate)]
        if change:
            name = f"{label} (fault)" if label in summary.fault_labels else label
            images = str(summary.test.per_class[label].images)
            cells = [percent(recall) for recall in recalls if recall]
            rows.append([name, images, *cells, points(change).removesuffix(" points")])
    return markdown(rows)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
