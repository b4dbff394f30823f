"""The experiment from its first question to its page: what it takes, what it needs, a run for every draw, the results.

Every step looks first whether it is done, so a second call goes on where the first one was stopped.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from augment.data.sources import list_candidates
from augment.models.preflight import Hub, Machine, Remote, preflight
from augment.progress import say
from augment.record_types import ComparisonSummary
from augment.records import COMPARISON, STAGES, RunFolder
from augment.reference import lock, results
from augment.reference.cost import cost_of, require_disk, sentences
from augment.reference.pictures import FOLDER, LICENCE, deal, obtain, write_manifest
from augment.reference.protocol import NAME, Sizes, settings_of
from augment.settings import DataSettings, write_once
from edge_runtime.bundle.errors import InputError, UnavailableError

BREEDS = 37
OFFLINE = (
    f"benchmark {NAME} has no settings to name them in: put what is missing into one folder, as `blip`, `gpt2`, "
    "`stable-diffusion` and `resnet50-11ad3fa6.pth`, and give it by --models"
)


@dataclass(frozen=True)
class Ask:
    """What the command line asks for; `models` is a folder that has what would come from the hub."""

    out: Path
    draws: int
    data: str = ""
    models: Path | None = None
    yes: bool = False
    sizes: Sizes = Sizes()

    @property
    def is_rehearsal(self) -> bool:
        """Whether the figures mean nothing, since there is less of everything than the experiment asks for."""
        return self.sizes != Sizes()


Run = Callable[[Path, list[str]], None]  # pipeline.toml, names of stages
Pool = Callable[[Sequence[Path], str], ComparisonSummary]  # a pipeline for each draw, arm to compare with or ""


def reproduce(ask: Ask, run: Run, pool: Pool, remote: Remote | None = None) -> str:
    """Run what is left of the experiment; write the page after every draw, and return the lines of the last one."""
    try:
        ask.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {ask.out} cannot be made ({error}); name a folder that may be written") from None
    _look_ahead(ask, remote or Hub())
    source = obtain(ask.out, ask.data)
    licence = LICENCE if source.layout == "oxford-pets" else ""
    pipelines = []
    for draw in range(ask.draws):
        manifest = ask.out / f"draw-{draw}.csv"
        write_manifest(manifest, source, deal(source, draw, ask.sizes))
        data = DataSettings(source=str(manifest.resolve()), licence=licence)
        settings = settings_of(data, ask.out / "cache", draw, ask.sizes, ask.models)
        pipelines.append(ask.out / f"draw-{draw}" / "pipeline.toml")
        write_once(settings, pipelines[-1], "this experiment")
        if draw == 0:
            parts = lock.found(settings, ask.out / FOLDER, len(source.classes))
            lock.hold(ask.out / lock.FILE, parts)
    said = ""
    for done, pipeline in enumerate(pipelines, 1):
        say(f"draw {done} of {len(pipelines)}: {pipeline.parent}")
        run(pipeline, _stages())
        said = results.write(ask.out, _outcome(ask, pipelines[:done], parts, pool))
        if done < len(pipelines):
            say(f"\n{said}\n")
    return said


def _stages() -> list[str]:
    return [stage.command for stage in STAGES[: STAGES.index(COMPARISON) + 1]]  # nothing is packed for the edge


def _look_ahead(ask: Ask, remote: Remote) -> None:
    """Tell what it takes before anything is fetched; stop where something is missing, or nobody agrees."""
    here = bool(ask.data) or (ask.out / FOLDER).is_dir()
    classes = list_candidates(DataSettings(source=ask.data)).classes if ask.data else dict.fromkeys(range(BREEDS), 1)
    settings = settings_of(DataSettings(source="x"), ask.out / "cache", 0, ask.sizes, ask.models)
    machine = Machine.here(settings.device)
    found = preflight(settings, _stages(), dict.fromkeys(map(str, classes), 1), machine, remote, ask.out)
    cost = cost_of(ask.sizes, len(classes), ask.draws, machine, not here)
    models = [line for line in found.estimates if line.startswith("models:")]
    for line in [
        *models,
        *sentences(cost, ask.draws, machine, ask.is_rehearsal),
        *(str(p) for p in found.problems if not p.fatal),
    ]:
        click.echo(line)
    if fatal := [str(problem) for problem in found.problems if problem.fatal]:
        raise UnavailableError("\n".join([*fatal, *([] if ask.models else [OFFLINE])]))
    require_disk(cost, machine.free(ask.out), ask.out)
    if ask.yes or (ask.out / lock.FILE).exists():
        return
    if not sys.stdin.isatty():
        raise InputError(f"nobody can be asked here whether benchmark {NAME} shall start; add --yes")
    click.confirm("Start?", abort=True)


def _outcome(ask: Ask, pipelines: Sequence[Path], parts: lock.Locked, pool: Pool) -> results.Outcome:
    folders = [RunFolder(pipeline.parent) for pipeline in pipelines]
    validation = results.strongest_real(folders)
    whole = pool(pipelines, "")
    strongest = next(iter(validation))
    strict = whole if strongest == whole.baseline else pool(pipelines, strongest)
    floor = folders[0].require(COMPARISON).summary.floor
    return results.Outcome(whole, strict, validation, len(pipelines), ask.draws, ask.is_rehearsal, parts, floor)
