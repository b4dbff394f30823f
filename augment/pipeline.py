"""Runs stages of a pipeline one after the other, and says what came of each.

Heavy imports happen inside the functions, so that the commands answer at once and torch finds its threads settled.
"""

import importlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from augment.engines.interface import Engine
from augment.engines.options import LOCAL, EngineOptions, open_engine
from augment.engines.settle import settle_process
from augment.record_types import ComparisonSummary
from augment.records import CURATION, EXPORT, STAGES, SYNTHETIC, TRAINING, Document, R, RunFolder, S, Stage
from edge_runtime.bundle.errors import UnavailableError

if TYPE_CHECKING:
    from augment.models.registry import Models
    from augment.settings import Settings
    from edge_runtime.bundle.preprocess import Frame

COMMANDS = {stage.command: stage for stage in STAGES}


def run_folder(pipeline: Path) -> RunFolder:
    """Return the run folder of a pipeline.toml, or the one that `pipeline` itself is."""
    return RunFolder(pipeline.parent if pipeline.suffix == ".toml" or pipeline.is_file() else pipeline)


def run_pipeline(
    pipeline: Path,
    names: Sequence[str],
    spread: EngineOptions = LOCAL,
    processes: int = 1,
    folder: RunFolder | None = None,
) -> None:
    """Run the stages called `names` on the engine that `spread` says, and write the report after the last one.

    So many `processes` share each training; `folder` is the run folder where it is mirrored to a store.
    """
    from augment.data.sources import check_source
    from augment.settings import load_settings
    from augment.training.arms import parse_arms

    settings, folder = load_settings(pipeline), folder or run_folder(pipeline)
    parse_arms(settings.train.arms, settings.generate.methods)  # hours before they are trained
    source = check_source(settings)
    # A second thread takes less of small models' work than its waking costs.
    settle_process(threads=1 if settings.generate.model == "mini" else None)
    from augment.models.registry import Models

    _look_ahead(settings, names, source.classes, folder.path)
    with folder.alone(), open_engine(spread, gpus=settings.device != "cpu") as engine:
        _Run(settings, folder, Models(settings, _render), engine, processes).stages(names)
    if names[-1] == EXPORT.command:
        from augment.report.build import write_report

        click.echo(f"{'report':10} {write_report(folder)}")


def _look_ahead(settings: "Settings", names: Sequence[str], classes: Mapping[str, int], run: Path) -> None:
    """Tell before the first of many stages what they will take, and stop where a model or package cannot be had."""
    from augment.models.preflight import Hub, Machine, preflight
    from augment.progress import say

    found = preflight(settings, names, classes, Machine.here(settings.device), Hub(), run)
    for line in [str(problem) for problem in found.problems if not problem.fatal] + found.estimates:
        say(line)
    if fatal := [str(problem) for problem in found.problems if problem.fatal]:
        raise UnavailableError("\n".join(fatal))


def _render(seed: int, domain: str, label: str, side: int) -> "Frame":
    """Draw a scene, for the methods that use the mini renderer instead of a painter."""
    from augment.mini.scenes import render, sample_scene

    return render(sample_scene(seed, domain, label), side)


@dataclass(frozen=True)
class _Run:
    """What all stages of a run work with."""

    settings: "Settings"
    folder: RunFolder
    models: "Models"
    engine: Engine
    processes: int

    def stages(self, names: Sequence[str]) -> None:
        """Run the stages called `names` in their order."""
        turns = {SYNTHETIC.command, CURATION.command} <= set(names)
        for name in names:
            if turns and name == SYNTHETIC.command:
                self._generate_and_curate()
            elif not (turns and name == CURATION.command):
                self._stage(COMMANDS[name])
            self.models.release()

    def _generate_and_curate(self) -> None:
        """Paint and curate in turns until every class has its quota or the rounds are used up."""
        before = None
        while (synthetic := self._stage(SYNTHETIC, unless=before)).digest != before:
            self._stage(CURATION)
            before = synthetic.digest

    def _stage(self, stage: Stage[R, S], unless: str | None = None) -> Document[R, S]:
        """Run one stage and print its line, unless its document has the digest `unless`."""
        from augment.evaluation.tables import table

        module, started = importlib.import_module(stage.module), time.monotonic()
        models = (self.models,) if stage.needs_models else ()
        spread: dict[str, object] = {"engine": self.engine} if stage.spreads else {}
        if stage is TRAINING:
            spread["processes"] = self.processes
        document: Document[R, S] = module.run(self.settings, self.folder, *models, **spread)
        if document.digest != unless:
            click.echo(f"{stage.command:10} {module.summary_line(document)}  [{time.monotonic() - started:.0f} s]")
        if isinstance(document.summary, ComparisonSummary):
            click.echo(f"\n{table(document.summary)}\n")
        return document
