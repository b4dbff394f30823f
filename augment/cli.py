"""`rarefault`: the central team's commands. Each parses, calls one stage and prints what came of it.

Heavy imports happen inside the commands, so that `rarefault --help` answers at once.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import click

from augment.engines.options import LOCAL, EngineOptions, engine_options
from augment.feedback.commands import COMMANDS as FEEDBACK_COMMANDS
from augment.gpu_check.commands import check_gpu
from augment.labelling.commands import COMMANDS as LABEL_COMMANDS
from augment.pipeline import COMMANDS, run_folder, run_pipeline
from augment.record_types import ComparisonSummary
from augment.records import COMPARISON, EXPORT, STAGES, TRAINING, RunFolder, Stage
from augment.station_demo.commands import station_demo
from augment.updates.commands import COMMANDS as UPDATE_COMMANDS
from augment.updates.fleet_commands import COMMANDS as FLEET_COMMANDS
from edge_runtime.bundle.errors import InputError
from edge_runtime.cli_errors import Group
from edge_runtime.text_files import printable

if TYPE_CHECKING:
    from augment.report.doctor import Section
    from augment.settings import DataSettings, Settings
    from augment.stages.dataset import Examined


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="rarefault")
def main() -> None:
    """Turn few pictures of rare faults into a classifier that finds them, and show what was gained."""


for _command in (*UPDATE_COMMANDS, *FLEET_COMMANDS, *FEEDBACK_COMMANDS, *LABEL_COMMANDS, station_demo, check_gpu):
    main.add_command(_command)

pipeline_argument = click.argument("pipeline", type=click.Path(path_type=Path))
VERDICT_EXIT = {"PASS": 0, "FAIL": 20, "INCONCLUSIVE": 21}  # with --strict
processes_option = click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Let so many processes of this machine share each training of a whole network, each with a GPU of its own, or "
    "a part of the cores.",
)
strict_option = click.option(
    "--strict", is_flag=True, help="Exit with 20 where the verdict is FAIL, with 21 where it is INCONCLUSIVE."
)


def _pairs(given: tuple[str, ...], option: str, expected: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in given:
        name, _, value = pair.partition("=")
        if pair.count("=") != 1 or not name or not value:
            raise click.BadParameter(f"{option} {pair!r}, expected {expected}")
        if name in found:
            raise click.BadParameter(f"{option} names {name} twice, expected one {expected} for it")
        found[name] = value
    return found


def _groups(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Return what --group says in the form of data.groups."""
    pairs = _pairs(given, "--group", "NAME=LABEL,LABEL")
    return {name: tuple(label.strip() for label in labels.split(",")) for name, labels in pairs.items()}


def _whole_path(given: str) -> str:
    """Return an absolute path, so that a run may be started from any folder; what is no path stays as it is."""
    return str(Path(given).resolve()) if given and Path(given).exists() else given


fault_option = click.option("--fault", "faults", multiple=True, help="A label that is a fault; repeat for several.")
group_option = click.option(
    "--group",
    "groups",
    multiple=True,
    metavar="NAME=LABEL,LABEL",
    callback=_groups,
    help="A kind of equipment: its healthy label and its faults; repeat for several.",
)
boxes_option = click.option(
    "--boxes",
    default="",
    help="Boxes around the faults, where they do not lie beside the images: a folder or COCO file.",
)
levels_option = click.option(
    "--levels",
    default="",
    help="What the levels of folders name, where that is unclear, such as class, split/class or site/class/date.",
)


@main.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--data", required=True, help="Folder per class, Oxford-IIIT Pet folder, CSV manifest, or elpv-dataset.")
@click.option(
    "--preset",
    type=click.Choice(["cpu", "sd21", "sd15", "mini"]),
    help="Where to start from: cpu, a laptop and real pictures; sd21 or sd15, Stable Diffusion on a GPU; mini, the "
    "models of the demo. Without it sd21 where torch finds a GPU, else cpu.",
)
@fault_option
@group_option
@boxes_option
@levels_option
def init(
    directory: Path,
    data: str,
    preset: str | None,
    faults: tuple[str, ...],
    groups: dict[str, tuple[str, ...]],
    boxes: str,
    levels: str,
) -> None:
    """Write DIRECTORY/pipeline.toml, commented, for the images in --data."""
    from dataclasses import replace

    from augment.data.layouts.listing import told
    from augment.data.sources import check_source
    from augment.models.model_folders import pick_device
    from augment.presets import PRESETS
    from augment.settings import DataSettings, write_settings

    preset = preset or ("sd21" if pick_device("auto") == "cuda" else "cpu")
    section = DataSettings(
        source=_whole_path(data), levels=levels, faults=faults, groups=groups, boxes=_whole_path(boxes)
    )
    if wrong := section.contradictions():
        raise InputError("; ".join(wrong))
    settings = replace(PRESETS[preset], data=section)  # no preset says anything of the data
    source = check_source(settings)
    target = directory / "pipeline.toml"
    if target.exists():
        raise InputError(f"{target} exists; edit it, or choose another folder")
    directory.mkdir(parents=True, exist_ok=True)
    write_settings(settings, target)
    for sentence in told(source):
        click.echo(printable(sentence))
    click.echo(f"{target} written from the preset {preset}; look through it, then: rarefault run {target}")
    if not faults:
        click.echo("No label is marked as a fault: add them to data.faults, or edge-classify will flag nothing.")


@main.command()
@pipeline_argument
@click.option(
    "--from", "first", type=click.Choice(list(COMMANDS)), help="Start here; earlier results are taken as they are."
)
@click.option("--until", "last", type=click.Choice(list(COMMANDS)), help="Stop after this stage.")
@click.option(
    "--store",
    default="",
    metavar="URL",
    help="Mirror the run folder to a store, such as s3://bucket/runs/north: what is there comes here first, and after "
    "each stage its results go there, so that another machine goes on with the same command.",
)
@strict_option
@processes_option
@engine_options
def run(
    pipeline: Path,
    first: str | None,
    last: str | None,
    strict: bool,
    store: str,
    processes: int,
    **spread: Unpack[EngineOptions],
) -> None:
    """Run all stages, from images to bundle and report; a second call resumes where the first one stopped."""
    names = list(COMMANDS)
    start = names.index(first) if first else 0
    stop = names.index(last) + 1 if last else len(names)
    if start >= stop:
        raise click.UsageError(f"--from {first} comes after --until {last}")
    from augment.stores.run_mirror import mirrored

    here = run_folder(pipeline)
    with mirrored(here.path, store) if store else nullcontext(here) as folder:
        run_pipeline(pipeline, names[start:stop], spread, processes, folder)
    if strict and COMPARISON.command in names[start:stop]:
        _exit_by_verdict(pipeline)


def _help(stage: Stage[Any, Any]) -> str:
    return f"{stage.help} (stage {STAGES.index(stage) + 1} of {len(STAGES)})."


def _stage_command(stage: Stage[Any, Any]) -> Callable[..., None]:
    def command(pipeline: Path, **spread: Unpack[EngineOptions]) -> None:
        run_pipeline(pipeline, [stage.command], spread or LOCAL)

    return pipeline_argument(engine_options(command) if stage.spreads else command)


for _stage in STAGES:
    if _stage not in (TRAINING, COMPARISON, EXPORT):  # these have options of their own
        main.command(_stage.command, help=_help(_stage))(_stage_command(_stage))


@main.command(help=_help(TRAINING))
@pipeline_argument
@processes_option
@engine_options
def train(pipeline: Path, processes: int, **spread: Unpack[EngineOptions]) -> None:
    """Run the stage, whose trainings `processes` share, or several of which the engine has done at a time."""
    run_pipeline(pipeline, [TRAINING.command], spread, processes)


@main.command(help=_help(COMPARISON))
@pipeline_argument
@strict_option
def compare(pipeline: Path, strict: bool) -> None:
    """Run the stage, and leave with the verdict's exit code if `strict`."""
    run_pipeline(pipeline, [COMPARISON.command])
    if strict:
        _exit_by_verdict(pipeline)


@main.command(help=_help(EXPORT))
@pipeline_argument
@click.option("--bench", is_flag=True, help="Then time every engine and precision that runs here.")
def export(pipeline: Path, bench: bool) -> None:
    """Run the stage, and time the bundle's engines if `bench`."""
    run_pipeline(pipeline, [EXPORT.command])
    if bench:
        from edge_runtime.bundle.store import open_bundle
        from edge_runtime.inference.compare_engines import compare_engines

        click.echo(compare_engines(open_bundle(run_folder(pipeline).path / "bundle")))


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
    from augment.report.build import write_report

    click.echo(f"report     {write_report(RunFolder(folder), minutes_per_image)}")


@main.command()
@click.argument("data", metavar="DATA")
@fault_option
@boxes_option
@levels_option
@click.option("--all", "whole", is_flag=True, help="List every file and line, not the first few of each kind.")
@click.option("--format", "shape", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--report", "page", type=click.Path(path_type=Path, dir_okay=False), help="Write a page for others too.")
def doctor(
    data: str, faults: tuple[str, ...], boxes: str, levels: str, whole: bool, shape: str, page: Path | None
) -> None:
    """Look through the images in DATA before anything is run, and tell what is wrong with them.

    Writes nothing but the page that --report names.

    DATA is what --data of `rarefault init` takes, or a run folder or pipeline.toml, whose models are looked at too. The
    exit code is 0 where nothing was found, 3 where there is something to look at, 1 where a run would stop.
    """
    from augment.report import doctor as told
    from augment.settings import DataSettings

    section = DataSettings(source=data, faults=faults, boxes=boxes, levels=levels)
    try:
        settings, examined, found = _look_through(section)
    except InputError as error:
        if shape == "json":
            click.echo(told.as_json(data, None, told.of_refusal(str(error))))
        raise
    if page:
        _write_doctor_page(page, settings.data.source, examined, found)
    if shape == "json":
        click.echo(told.as_json(settings.data.source, examined.summary, found))
    else:
        click.echo(told.page(settings.data.source, examined.summary, examined.records, found, whole))
    raise SystemExit(told.exit_code(found))


def _write_doctor_page(path: Path, source: str, examined: "Examined", found: "list[Section]") -> None:
    from augment.report.doctor_page import doctor_page
    from edge_runtime.bundle.errors import os_errors_as
    from edge_runtime.bundle.files import replace_file

    with os_errors_as(InputError, f"{path} cannot be written", "choose another --report"):
        replace_file(path, doctor_page(source, examined.summary, examined.records, found).encode())


def _look_through(section: "DataSettings") -> "tuple[Settings, Examined, list[Section]]":
    """Return what the doctor finds in the images that `section` names, or in a run and what its models need."""
    from augment.models.preflight import Hub, Machine, preflight
    from augment.report import doctor as told
    from augment.settings import Settings, load_settings
    from augment.stages.dataset import examine

    path = Path(section.source)
    if wrong := section.contradictions():
        raise InputError("; ".join(wrong))
    is_run = path.suffix == ".toml" or (path / "pipeline.toml").is_file()
    settings = load_settings(path) if is_run else Settings(data=section)
    examined, further = examine(settings), []
    if is_run:
        classes = {label: sum(sides.values()) for label, sides in examined.summary.classes.items()}
        ahead = preflight(settings, COMMANDS, classes, Machine.here(settings.device), Hub(), run_folder(path).path)
        further = told.of_preflight(ahead.problems, ahead.estimates)
    return settings, examined, told.sections(examined.summary, examined.checks, settings.data, further)


@main.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("demo"), show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
def demo(out: Path, seed: int) -> None:
    """Run the whole loop on rendered station scenes and the embedded models, then classify unseen images."""
    from augment.demo import classify_unseen, prepare

    pipeline = prepare(out, seed)
    run_pipeline(pipeline, list(COMMANDS))
    classify_unseen(out, seed)


@main.command()
@click.argument("name", type=click.Choice(["scenes", "elpv", "oxford-pets", "images", "spots", "reference"]))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False),
              help="Where the runs lie; of reference benchmark-reference, unless this names another.")  # fmt: skip
@click.option("--draws", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--data", default="", help="For all but scenes: the folder or manifest of the images.")
@fault_option
@click.option("--host", "hosts", multiple=True, metavar="FAULT=SOUND", help="Labels to transplant from and onto.")
@click.option("--preset", default="", help="For photographs: the preset that says what is trained, and on what.")
@group_option
@boxes_option
@click.option("--split", type=click.Choice(["groups", "blocks", "random"]), default="groups", show_default=True,
              help="For spots: what stands on one side; blocks are the harsher split.")  # fmt: skip
@click.option("--size", type=click.IntRange(min=32), default=384, help="For spots: long side of the input in pixels.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Runs of draws and folds worked on at once, a process each; what they say goes to jobs.log there.",
)
@click.option("--models", type=click.Path(path_type=Path, file_okay=False, exists=True),
              help="For reference: a folder with blip, gpt2 and stable-diffusion, in place of the hub.")  # fmt: skip
@click.option("--yes", is_flag=True, help="For reference: start without asking.")
@click.option("--rehearsal", is_flag=True, help="For reference: next to nothing of everything; the figures are void.")
def benchmark(
    name: str, out: Path | None, draws: int, data: str, faults: tuple[str, ...], hosts: tuple[str, ...], preset: str,
    groups: dict[str, tuple[str, ...]], boxes: str, split: str, size: int, jobs: int, models: Path | None,
    yes: bool, rehearsal: bool,
) -> None:  # fmt: skip
    """Compare every way of augmenting on the same test images; a second call resumes where the first one stopped.

    `reference` is the experiment of the published figures, on 37 breeds of Oxford-IIIT Pet, for a machine with a GPU.
    """
    _refuse_options_of_others(name)
    if name == "reference":
        return _reference(out or Path("benchmark-reference"), draws, data, models, yes, rehearsal)
    if out is None:
        raise click.UsageError("Missing option '--out'.")
    from augment.evaluation.tables import table
    from augment.settings import DataSettings
    from augment.study import RESULTS, Ask, pool, prepare

    source = DataSettings(source=_whole_path(data), boxes=_whole_path(boxes), faults=faults, groups=groups)
    pairs = _pairs(hosts, "--host", "FAULT=SOUND")
    if jobs > 1:
        from augment.distributed.processes import check_processes

        check_processes(jobs, "cpu", "--jobs")
    plan = prepare(name, out, draws, Ask(source, pairs, preset, split, size))
    _run_all(plan.pipelines, jobs)
    click.echo(f"\n{table(pool(plan))}\n\n{out / RESULTS} written")


def _run_all(pipelines: Sequence[Path], jobs: int) -> None:
    """Run all up to their comparisons, `jobs` at a time."""
    names = list(COMMANDS)[: STAGES.index(EXPORT)]
    if jobs == 1 or len(pipelines) == 1:
        for pipeline in pipelines:
            run_pipeline(pipeline, names)
        return
    import torch

    from augment.distributed.side_by_side import run_side_by_side

    told = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    gpus = told.split(",") if told else [str(place) for place in range(torch.cuda.device_count())]
    run_side_by_side(pipelines, names[-1], jobs, gpus)


def _refuse_options_of_others(name: str) -> None:
    """Refuse options that this benchmark would overlook: a rehearsal of another one would run for hours."""
    context, of_reference, of_all = (
        click.get_current_context(),
        {"models", "yes", "rehearsal"},
        {"out", "draws", "data"},
    )
    for option in context.command.params:
        given = context.get_parameter_source(str(option.name)) is click.core.ParameterSource.COMMANDLINE
        mine = option.name in of_all or (option.name in of_reference) == (name == "reference")
        if given and isinstance(option, click.Option) and not mine:
            raise click.UsageError(f"benchmark {name} has no option {option.opts[0]}; leave it out")


def _reference(out: Path, draws: int, data: str, models: Path | None, yes: bool, rehearsal: bool) -> None:
    """Run the reference experiment and print its figures beside the published ones."""
    from augment.reference.experiment import Ask, reproduce
    from augment.reference.protocol import REHEARSAL, Sizes
    from augment.reference.results import PAGE
    from augment.study import Plan, pool

    def pooled(pipelines: Sequence[Path], baseline: str) -> ComparisonSummary:
        return pool(Plan(out, [[pipeline] for pipeline in pipelines]), baseline)

    ask = Ask(out, draws, _whole_path(data), models, yes, REHEARSAL if rehearsal else Sizes())
    said = reproduce(ask, run_pipeline, pooled)
    click.echo(f"\n{said}\n\n{out / PAGE} written")


def _exit_by_verdict(pipeline: Path) -> None:
    """Leave with the verdict's exit code."""
    raise SystemExit(VERDICT_EXIT[run_folder(pipeline).require(COMPARISON).summary.verdict])


if __name__ == "__main__":
    main()
