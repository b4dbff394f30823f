"""The edge against the network: `python -m benchmarks.edge_parity RUN...`.

Claims, on every test image of a run: FP32 gives torch's label, and probabilities, scores and maps within 1e-3; FP16
gives that label on 99.5 % of the images, on ONNX Runtime and on OpenVINO; INT8 is within the gate that packed it; and
`edge-classify`, as a command on the files themselves, says what FP32 says. The reference is the packed checkpoint in
torch, fed through the bundle's preprocessing; with tiles, one verdict a frame.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from augment.data.image_store import ImageStore
from augment.record_types import DatasetRecord
from augment.records import DATASET, EXPORT, RunFolder
from augment.settings import load_settings
from edge_runtime.bundle.store import Bundle, open_bundle
from edge_runtime.inference.engines import available_engines, load_engine
from export.acceptance import EXACT, measure_accuracy
from export.checkpoint import load_checkpoint
from export.parity import BATCH, Answers, Parity, answers, measure_parity, torch_runner

WORST = 1e-3  # difference of a probability, FP32
AGREEMENT = {"fp32": 1.0, "fp16": 0.995, "int8": 0.0}  # of INT8 the gate asks for accuracy instead
PROCESSORS = ("cpu", "openvino")


@dataclass(frozen=True)
class Run:
    """A run's test images and its bundle."""

    bundle: Bundle
    store: ImageStore
    records: list[DatasetRecord]
    views: np.ndarray  # (N, T, H, W, 3)
    expected: Answers  # by torch

    @property
    def targets(self) -> np.ndarray:
        return np.array([self.bundle.manifest.labels.index(record.label) for record in self.records])


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, file_okay=False))
def main(runs: tuple[Path, ...]) -> None:
    """Compare label and probabilities of every test image, and recall per class."""
    fine = [_check(path) for path in runs]
    sys.exit(not all(fine))


def _check(path: Path) -> bool:
    folder, store = RunFolder(path), ImageStore(load_settings(path))
    bundle = open_bundle(path / "bundle")
    records = [record for record in folder.require(DATASET).records if record.split == "test"]
    network, _ = load_checkpoint(path / "training" / folder.require(EXPORT).summary.training)
    views = np.stack([bundle.manifest.input.views(store.frame(record)) for record in records])
    run = Run(bundle, store, records, views, answers(torch_runner(network), bundle.manifest.head, views))
    click.echo(f"\n{path}: {len(records)} test images; {', '.join(bundle.manifest.metrics['refused'].values())}")
    labels = bundle.manifest.labels
    click.echo(
        f"{'':<16}{'agreement':>10}{'max |dp|':>10}{'score':>10}{'map':>10}{'accuracy':>10}{'ECE':>7}  "
        + "  ".join(labels)
    )
    _row("torch", run, "fp32", run.expected)
    fine = [_compare(run, engine, precision) for precision in bundle.manifest.precisions for engine in PROCESSORS]
    return all([*fine, _edge_classify(run)])


def _compare(run: Run, name: str, precision: str) -> bool:
    if name not in available_engines():
        return True
    engine = load_engine(run.bundle, name, precision)

    def run_in_batches(frames: np.ndarray) -> dict[str, np.ndarray]:
        parts = [engine.run(frames[start : start + BATCH]) for start in range(0, len(frames), BATCH)]
        return {output: np.concatenate([part[output] for part in parts]) for output in parts[0]}

    parity = _row(f"{name} {precision}", run, precision, answers(run_in_batches, run.bundle.manifest.head, run.views))
    exact = parity.worst_probability <= WORST and all(
        worst <= EXACT * max(1.0, np.abs(expected).max())
        for worst, expected in zip((parity.worst_score, parity.worst_map), run.expected, strict=True)
    )
    return parity.agreement >= AGREEMENT[precision] and (precision != "fp32" or exact)


def _row(name: str, run: Run, precision: str, seen: Answers) -> Parity:
    manifest = run.bundle.manifest
    parity = measure_parity(precision, run.expected, seen, manifest.decision)
    accuracy = measure_accuracy(manifest.rule(precision), seen.scores, run.targets)
    click.echo(
        f"{name:<16}{100 * parity.agreement:>9.1f}%{parity.worst_probability:>10.1e}{parity.worst_score:>10.1e}"
        f"{parity.worst_map:>10.1e}{100 * accuracy.accuracy:>9.1f}%"
        f"{100 * accuracy.calibration_error:>6.1f}%  "
        + "  ".join(f"{100 * accuracy.recall[label]:>{len(label)}.1f}" for label in accuracy.recall)
    )
    return parity


def _edge_classify(run: Run) -> bool:
    """The command on the files: label and probabilities of FP32 on the processor."""
    manifest = run.bundle.manifest
    command = [sys.executable, "-m", "edge_runtime.classify", "--bundle", str(run.bundle.folder)]
    command += ["--engine", "cpu", "--precision", "fp32", "-"]
    paths = "\n".join(str(run.store.path(record)) for record in run.records)
    done = subprocess.run(command, input=paths, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    expected = [manifest.decision.decide(row) for row in run.expected.scores]
    worst = max(
        abs(wanted.chances[entry["label"]] - entry["probability"])
        for wanted, line in zip(expected, lines, strict=True)
        for entry in line["top"]
    )
    decided = sum(wanted.label == line["label"] for wanted, line in zip(expected, lines, strict=True))
    click.echo(
        f"edge-classify, fp32: the network's decision on {decided} of {len(lines)}, worst probability {worst:.1e}"
    )
    # A decoder that may read large JPEG files smaller changes pixels, and says so in the manifest.
    return (decided == len(lines) and worst <= WORST) or manifest.input.decode == "reduced"


if __name__ == "__main__":
    main()
