"""Take each input through reading, evaluation and heat-map; what is wrong with one of them ends in its own result."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from .bundle.errors import InputError
from .bundle.preprocess import Frame
from .evaluate import Evaluator
from .heatmap import overlay, write_overlay
from .images import read_image
from .inputs import Source
from .results import Result
from .video import read_video


@dataclass(frozen=True)
class Judge:
    """An evaluator, and the folder for heat-maps where they are wanted."""

    evaluator: Evaluator
    heatmaps: Path | None = None

    def judge(self, sources: Iterable[Source]) -> Iterator[Result]:
        """One result per source in order, of a video one per sampled frame, each as soon as it is known."""
        for source in sources:
            if source.reason is not None:
                yield Result(source.path, source.reason)
            elif source.is_video:
                yield from self._video(source.path)
            else:
                yield self._image(source.path)

    def _image(self, path: Path) -> Result:
        started = time.perf_counter()
        try:
            image = read_image(path)
        except InputError as error:
            return Result(path, str(error))
        bare = Result(path, notes=image.notes, decode_ms=_since(started))
        return self._filled(bare, image.frame)

    def _video(self, path: Path) -> Iterator[Result]:
        started = time.perf_counter()
        try:
            for shot in read_video(path):
                # The child decodes while we evaluate, so this is the time spent waiting for it.
                bare = Result(path, frame=shot.number, seconds=shot.seconds, decode_ms=_since(started))
                yield self._filled(bare, shot.frame)
                started = time.perf_counter()
        except InputError as error:
            yield Result(path, str(error))

    def _filled(self, result: Result, frame: Frame) -> Result:
        evaluation = self.evaluator.evaluate(frame)
        picture = None
        if self.heatmaps is not None and evaluation.cam is not None:
            picture = write_overlay(self.heatmaps, result.path, result.frame, overlay(frame, evaluation.cam))
        return replace(result, reason=evaluation.reason, evaluation=evaluation, heatmap=picture)


def _since(started: float) -> float:
    """Milliseconds."""
    return (time.perf_counter() - started) * 1000
