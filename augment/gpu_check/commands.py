"""The command `rarefault check-gpu`."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from augment.progress import say

if TYPE_CHECKING:
    from augment.gpu_check.document import GpuCheck

NO_GPU = 3  # exit code


@click.command("check-gpu")
@click.option(
    "--bundle", type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Whose golden frames the engines answer, such as RUN/bundle; without it a small one is made.",
)  # fmt: skip
@click.option(
    "--pipeline", type=click.Path(path_type=Path, exists=True),
    help="A pipeline.toml whose models are measured; without it the embedded ones.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=Path("gpu-check"), show_default=True,
    help="Where check-gpu.json and check-gpu.html are written.",
)  # fmt: skip
@click.option(
    "--device", type=click.Choice(["auto", "cuda", "cpu"]), default="auto",
    help="cpu measures the same on the processor, which takes minutes; auto and cuda want a GPU.",
)  # fmt: skip
@click.pass_context
def check_gpu(context: click.Context, bundle: Path | None, pipeline: Path | None, out: Path, device: str) -> None:
    """Show whether this machine's GPU does what a run needs of it, and how fast; a page and JSON say all of it.

    Tried are the driver, FP32 and TF32, autocast to FP16, the bundle's network in torch, ONNX Runtime and TensorRT, and
    the speed of each stage in FP32 and FP16. The exit code is 0 where all is as it must be, 1 where something is wrong,
    and 3 where there is no usable GPU, with what is missing.
    """
    from augment.gpu_check.check import check
    from augment.gpu_check.document import failures
    from augment.gpu_check.page import page
    from augment.presets import PRESETS
    from augment.settings import load_settings
    from edge_runtime.bundle.files import replace_file

    settings = load_settings(pipeline) if pipeline else PRESETS["mini"]
    out.mkdir(parents=True, exist_ok=True)
    found = check(replace(settings, device="auto"), bundle, out, "cpu" if device == "cpu" else "cuda", say)
    replace_file(out / "check-gpu.json", (json.dumps(asdict(found), indent=1) + "\n").encode())
    replace_file(out / "check-gpu.html", page(found).encode())
    click.echo(_told(found))
    click.echo(f"{out / 'check-gpu.html'} and check-gpu.json written")
    context.exit(NO_GPU if found.missing and device != "cpu" else 1 if failures(found) else 0)


def _told(found: "GpuCheck") -> str:
    from augment.gpu_check.document import failures

    if found.missing and found.device == "cuda":
        return f"no GPU: {found.missing}"
    wrong = failures(found)
    return "\n".join(wrong) if wrong else f"{found.machine}: everything that was tried is as it must be"
