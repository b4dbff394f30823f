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
from augment.record_types import ComparisonSummary

HEAD = """# Results

Written by `python -m benchmarks.write_results` from the JSON files in `docs/results/`; do not edit. Values are means
over the draws of the training images, with their 95 % intervals over test images and draws. No figure comes from
full-size BLIP, GPT-2 or Stable Diffusion: the generator is the embedded mini one.
"""


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
    return f"{words}\n\n{_markdown(arms)}\n\n{_markdown(changes)}\n\n{_classes(summary)}"


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
    return _markdown(rows)


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
