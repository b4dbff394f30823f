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
    metrics = measured(results)
    test, seeds = results["test"], results["draws"]
    arms = [["arm", "real", "generated", *(METRIC_NAMES[metric] for metric in metrics)]]
    for arm, found in results["arms"].items():
        images = results["images"][arm]
        cells = [percent(found["metrics"][metric]) for metric in metrics]
        arms.append([arm, str(images["real"]), str(images["synthetic"]), *cells])
    baseline = results["baseline"]
    changes = [[f"minus `{baseline}`", *(METRIC_NAMES[metric] for metric in metrics), "p (Holm)", "harmed", "verdict"]]
    for arm, found in results["differences"].items():
        cells = [points(found["metrics"][metric]).removesuffix(" points") for metric in metrics]
        harmed = ", ".join(found["harmed"]) or "none"
        changes.append([arm, *cells, f"{found['mcnemar']['p_holm']:.2g}", harmed, found["verdict"]])
    head = (
        f"{test['images']} test images, {seeds} draws of {results['folds']} runs. Candidate: `{results['candidate']}`. "
        f"Verdicts are on {METRIC_NAMES[results['metric']]}; harmed are classes whose recall fell beyond its interval."
    )
    return f"{head}\n\n{_markdown(arms)}\n\n{_markdown(changes)}\n\n{_classes(results)}"


def _classes(results: Mapping[str, Any]) -> str:
    """Recall per class of baseline and candidate."""
    baseline, candidate = results["baseline"], results["candidate"]
    rows = [["class", "test images", baseline, candidate, "difference"]]
    for label in results["labels"]:
        change = results["differences"][candidate]["recall"][label]
        recalls = [results["arms"][arm]["recall"][label] for arm in (baseline, candidate)]
        if change:
            name = f"{label} (fault)" if label in results["fault_labels"] else label
            images = str(results["test"]["per_class"][label]["images"])
            rows.append([name, images, *map(percent, recalls), points(change).removesuffix(" points")])
    return _markdown(rows)


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
