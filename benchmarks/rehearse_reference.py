"""Rehearse `rarefault benchmark reference` whole and offline: a hub on loopback, tiny models of the published layout.

Everything is as on a machine with a GPU and a hub, but for the sizes of the models and of the experiment: the hub's own
client downloads the pinned revisions, `from_pretrained` loads them, all stages run, the page is written, and a second
call finds everything done. The figures mean nothing.

    python -m benchmarks.rehearse_reference --data ../shared/data/pets-37x10 --work DIR

A second call goes on where the first one was stopped.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import click
import torch

from augment.reference.protocol import MODELS
from export.network import build_network
from tests.support import published_layout
from tests.support.model_hub import serve

WRITERS = {
    "blip": published_layout.write_blip,
    "gpt2": published_layout.write_gpt2,
    "stable-diffusion": published_layout.write_stable_diffusion,
}


@click.command()
@click.option("--data", required=True, type=click.Path(path_type=Path, exists=True), help="Pictures, a folder a class.")
@click.option("--work", required=True, type=click.Path(path_type=Path), help="Where everything is written.")
@click.option("--draws", default=1, show_default=True)
def main(data: Path, work: Path, draws: int) -> None:
    """Run the rehearsal twice, and print how long each took."""
    place = work / "hub"
    for model in MODELS:
        if not (place / model.kind).exists():
            (place / model.kind).mkdir(parents=True)
            WRITERS[model.kind](place / model.kind)
    weights = work / "torch" / "hub" / "checkpoints" / "resnet50-11ad3fa6.pth"
    if not weights.exists():  # where torchvision would have left the published ones
        weights.parent.mkdir(parents=True)
        torch.manual_seed(0)
        torch.save(build_network("resnet50", 1000).state_dict(), weights)
    command = [sys.executable, "-m", "augment.cli", "benchmark", "reference", "--rehearsal", "--yes"]
    command += ["--draws", str(draws), "--data", str(data), "--out", str(work / "out")]
    with serve({model.reference: (model.revision, place / model.kind) for model in MODELS}) as address:
        environment = {
            **os.environ, "HF_ENDPOINT": address, "HF_HOME": str(work / "hf"), "TORCH_HOME": str(work / "torch"),
        }  # fmt: skip
        for turn in ("first", "second"):
            wall, before = time.monotonic(), os.times()
            subprocess.run(command, env=environment, check=True)
            used = os.times()
            processor = used.children_user + used.children_system - before.children_user - before.children_system
            click.echo(f"{turn} call: {time.monotonic() - wall:.0f} s, {processor:.0f} s of processor time")


if __name__ == "__main__":
    main()
