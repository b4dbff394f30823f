"""The edge against the network: `python -m benchmarks.edge_parity RUN`.

Claim: for every test image of a run, `edge-classify` gives the most probable label that torch gives, and probabilities
within 1e-3 (fp32). The reference is the packed checkpoint, loaded in torch and fed through the bundle's preprocessing.
"""

import json
import subprocess
import sys
from pathlib import Path

import click
import numpy as np

from augment.images import ImageStore
from augment.records import RunFolder
from augment.settings import load_settings
from edge_runtime.bundle.store import open_bundle
from export.checkpoint import load_checkpoint
from export.parity import torch_logits

TOLERANCE = 1e-3


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
def main(run: Path) -> None:
    """Compare label and probabilities of every test image."""
    folder = RunFolder(run)
    store = ImageStore(load_settings(run))
    test = [record for record in folder.require("dataset").records if record["split"] == "test"]
    bundle = open_bundle(run / "bundle")
    network, _ = load_checkpoint(run / "training" / folder.require("export").summary["training"])
    frames = np.stack([bundle.manifest.input.apply(store.frame(record)) for record in test])
    expected = bundle.manifest.decision.probabilities(torch_logits(network, frames))
    command = [
        sys.executable,
        "-m",
        "edge_runtime.classify",
        "--bundle",
        str(run / "bundle"),
        "--precision",
        "fp32",
        "-",
    ]
    paths = "\n".join(str(store.path(record)) for record in test)
    done = subprocess.run(command, input=paths, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    labels = bundle.manifest.labels
    agreement = sum(labels[row.argmax()] == line["top"][0]["label"] for row, line in zip(expected, lines, strict=True))
    worst = max(
        abs(row[labels.index(entry["label"])] - entry["probability"])
        for row, line in zip(expected, lines, strict=True)
        for entry in line["top"]
    )
    decided = sum(
        bundle.manifest.decision.decide(p).label == line["label"] for p, line in zip(expected, lines, strict=True)
    )
    click.echo(f"{len(test)} test images: {agreement} with torch's most probable label, {decided} with its decision, ")
    click.echo(f"largest difference of a probability {worst:.1e}")
    sys.exit(not (agreement == decided == len(test) and worst <= TOLERANCE))


if __name__ == "__main__":
    main()
