"""`rarefault`: the central team's commands. Each parses, calls one stage and prints what came of it.

Heavy imports happen inside the commands, so that `rarefault --help` answers at once.
"""

import importlib
import logging
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_runtime.bundle.errors import InputError, RarefaultError

if TYPE_CHECKING:
    from augment.records import Document, RunFolder
    from augment.settings import Settings

# Command of each stage, in the order of the pipeline, with the module whose `run` it calls.
STAGES = {
    "dataset": "augment.stages.dataset",
    "caption": "augment.stages.caption",
    "refine": "augment.stages.refine",
    "adapt": "augment.stages.adapt",
    "generate": "augment.stages.generate",
    "curate": "augment.stages.curate",
    "train": "augment.stages.train",
    "compare": "augment.stages.compare",
    "export": "augment.stages.pack",
}


class Group(click.Group):
    """Turns a foreseen failure into one sentence and exit code 1; a bug keeps its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except RarefaultError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="rarefault")
def main() -> None:
    """Turn few pictures of rare faults into a classifier that finds them, and show what was gained."""


pipeline_argument = click.argument("pipeline", type=click.Path(path_type=Path))
VERDICT_EXIT = {"PASS": 0, "FAIL": 20, "INCONCLUSIVE": 21}  # with --strict
strict_option = click.option(
    "--strict", is_flag=True, help="Exit with 20 where the verdict is FAIL, with 21 where it is INCONCLUSIVE."
)


@main.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--data", required=True, help="Folder per class, Oxford-IIIT Pet folder, CSV manifest, or elpv-dataset.")
@click.option("--preset", type=click.Choice(["sd21", "sd15", "mini"]), default="sd21", show_default=True)
@click.option("--fault", "faults", multiple=True, help="A label that is a fault; repeat for several.")
def init(directory: Path, data: str, preset: str, faults: tuple[str, ...]) -> None:
    """Write DIRECTORY/pipeline.toml, commented, for the images in --data."""
    from dataclasses import replace

    from augment.data.sources import check_source
    from augment.presets import PRESETS
    from augment.settings import write_settings

    settings = PRESETS[preset]
    source = str(Path(data).resolve()) if Path(data).exists() else data
    settings = replace(settings, data=replace(settings.data, source=source, faults=faults))
    check_source(settings)
    target = directory / "pipeline.toml"
    if target.exists():
        raise InputError(f"{target} exists; edit it, or choose another folder")
    directory.mkdir(parents=True, exist_ok=True)
    write_settings(settings, target)
    click.echo(f"{target} written; look through it, then: rarefault run {target}")
    if not faults:
        click.echo("No label is marked as a fault: add them to data.faults, or edge-classify will flag nothing.")


@main.command()
@pipeline_argument
@click.option(
    "--from", "first", type=click.Choice(list(STAGES)), help="Start here; earlier results are taken as they are."
)
@click.option("--until", "last", type=click.Choice(list(STAGES)), help="Stop after this stage.")
@strict_option
def run(pipeline: Path, first: str | None, last: str | None, strict: bool) -> None:
    """Run all stages, from images to bundle and report; a second call resumes where the first one stopped."""
    names = list(STAGES)
    start = names.index(first) if first else 0
    stop = names.index(last) + 1 if last else len(names)
    if start >= stop:
        raise click.UsageError(f"--from {first} comes after --until {last}")
    run_pipeline(pipeline, names[start:stop])
    if strict and "compare" in names[start:stop]:
        _exit_by_verdict(pipeline)


def _stage_command(name: str) -> Callable[..., None]:
    @pipeline_argument
    def command(pipeline: Path) -> None:
        run_pipeline(pipeline, [name])

    return command


for _name, _meaning in {
    "dataset": "Read, check, group and split the real images (stage 1 of 9).",
    "caption": "Let BLIP describe every training image (stage 2 of 9).",
    "refine": "Let GPT-2 turn captions into varied prompts (stage 3 of 9).",
    "adapt": "Teach Stable Diffusion the station's look, where a method asks for it (stage 4 of 9).",
    "generate": "Let Stable Diffusion paint what each class lacks (stage 5 of 9).",
    "curate": "Reject generated images that are blank, copies or too near the test set (stage 6 of 9).",
    "train": "Train the classifier on real, synthetic and both (stage 7 of 9).",
}.items():
    main.command(_name, help=_meaning)(_stage_command(_name))


@main.command()
@pipeline_argument
@strict_option
def compare(pipeline: Path, strict: bool) -> None:
    """Measure every arm on the locked test set (stage 8 of 9)."""
    run_pipeline(pipeline, ["compare"])
    if strict:
        _exit_by_verdict(pipeline)


@main.command()
@pipeline_argument
@click.option("--bench", is_flag=True, help="Then time every engine and precision that runs here.")
def export(pipeline: Path, bench: bool) -> None:
    """Pack the chosen classifier as a bundle for the edge (stage 9 of 9)."""
    run_pipeline(pipeline, ["export"])
    if bench:
        from edge_runtime.bundle.store import open_bundle
        from edge_runtime.inference.compare_engines import compare_engines

        folder = pipeline if pipeline.is_dir() else pipeline.parent
        click.echo(compare_engines(open_bundle(folder / "bundle")))


@main.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option(
    "--minutes-per-image",
    type=click.FloatRange(min=0, min_open=True),
    default=5,
    show_default=True,
    help="What finding, taking and labelling one picture is taken to cost.",
)
def report(folder: Path, minutes_per_image: float) -> None:
    """Write RUN/report/index.html, one self-contained page."""
    from augment.records import RunFolder
    from augment.report.build import write_report

    click.echo(f"report     {write_report(RunFolder(folder), minutes_per_image)}")


@main.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("demo"), show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
def demo(out: Path, seed: int) -> None:
    """Run the whole loop on rendered station scenes and the embedded models, then classify unseen images."""
    from augment.demo import classify_unseen, prepare

    pipeline = prepare(out, seed)
    run_pipeline(pipeline, list(STAGES))
    classify_unseen(out, seed)


@main.command()
@click.argument("name", type=click.Choice(["scenes", "elpv", "oxford-pets", "images"]))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Where the runs lie.")
@click.option("--draws", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--data", default="", help="For oxford-pets and images: the folder or manifest.")
@click.option("--fault", "faults", multiple=True, help="A label that is a fault; repeat for several.")
@click.option("--host", "hosts", multiple=True, metavar="FAULT=SOUND", help="Labels to transplant from and onto.")
def benchmark(name: str, out: Path, draws: int, data: str, faults: tuple[str, ...], hosts: tuple[str, ...]) -> None:
    """Compare every way of augmenting on the same test images; a second call resumes where the first one stopped."""
    from augment.evaluation.tables import table
    from augment.study import RESULTS, pool, prepare

    if wrong := [pair for pair in hosts if pair.count("=") != 1]:
        raise click.BadParameter(f"--host {wrong[0]!r}, expected FAULT=SOUND")
    pairs = dict(pair.split("=") for pair in hosts)
    plan = prepare(name, out, draws, str(Path(data).resolve()) if data else "", faults, pairs)
    for pipeline in plan.pipelines:
        run_pipeline(pipeline, list(STAGES)[: list(STAGES).index("export")])
    click.echo(f"\n{table(pool(plan))}\n\n{out / RESULTS} written")


def run_pipeline(pipeline: Path, names: list[str]) -> None:
    """Run the stages called `names`, and write the report after the last one."""
    from augment.data.sources import check_source
    from augment.models.registry import Models
    from augment.records import RunFolder
    from augment.settings import load_settings

    settings = load_settings(pipeline)
    check_source(settings)
    _settle_process(small=settings.generate.model == "mini")
    folder = RunFolder(pipeline if pipeline.is_dir() else pipeline.parent)
    models = Models(settings)
    for name in names:
        if name == "generate" and "curate" in names:
            continue  # the two take turns until the quota is met
        if name == "curate" and "generate" in names:
            _generate_and_curate(settings, folder, models)
        else:
            _run_stage(name, settings, folder, models)
    if names[-1] == "export":
        from augment.report.build import write_report

        click.echo(f"{'report':10} {write_report(folder)}")


def _exit_by_verdict(pipeline: Path) -> None:
    """Leave with the verdict's exit code."""
    from augment.records import RunFolder

    folder = RunFolder(pipeline if pipeline.is_dir() else pipeline.parent)
    raise SystemExit(VERDICT_EXIT[folder.require("comparison").summary["verdict"]])


def _generate_and_curate(settings: "Settings", folder: "RunFolder", models: Any) -> None:
    """Paint and judge in turns until every class has its quota or the rounds are used up."""
    before = None
    while True:
        synthetic = _run_stage("generate", settings, folder, models, unless=before)
        if synthetic.digest == before:
            return
        _run_stage("curate", settings, folder, models)
        before = synthetic.digest


def _run_stage(
    name: str, settings: "Settings", folder: "RunFolder", models: Any, unless: str | None = None
) -> "Document":
    """Run one stage and print its line, unless its document has the digest `unless`."""
    module = importlib.import_module(STAGES[name])
    started = time.monotonic()
    needs_models = name in ("caption", "refine", "adapt", "generate")
    document = module.run(settings, folder, models) if needs_models else module.run(settings, folder)
    if document.digest != unless:
        click.echo(f"{name:10} {module.told(document)}  [{time.monotonic() - started:.0f} s]")
    if name == "compare":
        click.echo(f"\n{module.table(document.summary)}\n")
    return document


def _settle_process(small: bool) -> None:
    """Settings of the whole process, which are the command's to make; before torch is loaded, which reads the first."""
    # Threads that spin while they wait slow each other down where cores are shared. Of small models' work a second
    # thread takes less than its waking costs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if small:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    # What the libraries would log and warn buries the stages' own lines.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning)


if __name__ == "__main__":
    main()
