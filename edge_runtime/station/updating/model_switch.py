"""Puts another model to work in the running service, between two frames: no camera and no vote is lost.

Loading takes seconds and happens in a thread. The turn itself changes a few references in the thread of the loop.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from ...alerts.votes import CameraRule
from ...bundle.errors import RarefaultError
from ...bundle.store import Bundle, open_bundle
from ...cameras.camera_group import CameraGroup
from ...inference.engines import open_engine
from ...inference.evaluator import Evaluator
from ..camera_watch import CameraWatch
from ..self_test import FaultPictures, SelfTests
from ..settings import StationSection, StationSettings

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class LoadedModel:
    """A bundle on a proven engine, with the rules of the cameras and the pictures of self tests that go with it."""

    evaluator: Evaluator
    rules: Mapping[str, CameraRule]  # by camera
    pictures: FaultPictures

    @property
    def bundle(self) -> Bundle:
        """The bundle that the model is of."""
        return self.evaluator.bundle


def open_evaluator(folder: Path, station: StationSection) -> Evaluator:
    """Open the bundle in `folder` and prove an engine on it. RarefaultError says what is wrong with either."""
    bundle = open_bundle(folder)
    opened = open_engine(bundle, station.engine, station.precision, callers=1, threads=station.cores)
    for reason in opened.skipped:
        log.info("passed over %s", reason)
    manifest, engine = bundle.manifest, opened.engine
    model = (manifest.name, manifest.version, bundle.digest[:12])
    log.info("%s %s (%s) on %s %s", *model, engine.name, engine.precision)
    return Evaluator(bundle, engine)


def fit_model(settings: StationSettings, cameras: Iterable[str], evaluator: Evaluator) -> LoadedModel:
    """Return the model with what the settings decide by; InputError where they do not fit the bundle."""
    rule = evaluator.bundle.manifest.rule(evaluator.engine.precision)
    rules = {name: settings.decision.rule(name, rule) for name in cameras}
    return LoadedModel(evaluator, rules, FaultPictures(evaluator.bundle))


@dataclass
class ModelSwitch:
    """Loads models for a running service and lets one of them serve; `serving` is the one that does."""

    settings: StationSettings
    cameras: CameraGroup
    watch: CameraWatch
    self_tests: SelfTests
    serving: LoadedModel

    def load(self, folder: Path) -> LoadedModel:
        """Load the bundle in `folder`, in whatever thread; RarefaultError says why it cannot serve here."""
        return fit_model(self.settings, self.watch.alarm_rules.rules, open_evaluator(folder, self.settings.station))

    def turn_to(self, model: LoadedModel) -> None:
        """Let `model` judge from the next frame on; for the thread of the loop, between two frames."""
        bundle = model.bundle
        self.serving, self.self_tests.pictures = model, model.pictures
        self.watch.take_over(model.evaluator, model.rules)
        self.cameras.set_radiometric(bundle.manifest.input.radiometric)
        log.warning("%s %s (%s) serves now", bundle.manifest.name, bundle.manifest.version, bundle.digest[:12])


class Background(Generic[T]):
    """One piece of work in a thread of its own, for a loop that looks after it and must not wait."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._result: list[T] = []
        self._error: RarefaultError | None = None
        self._thread = threading.Thread(target=self._run, name="update", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether the work has ended."""
        return not self._thread.is_alive()

    def result(self) -> T:
        """Return what the work has returned, once it is done, or raise the RarefaultError that it has raised."""
        if self._error is not None:
            raise self._error
        (result,) = self._result  # empty after a bug in the work, whose traceback the thread has printed
        return result

    def _run(self) -> None:
        try:
            self._result = [self._work()]
        except RarefaultError as error:
            self._error = error
