"""Takes each input through reading, evaluation and heat map; what is wrong with one of them ends in its own result."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ..bundle.errors import InputError
from ..bundle.preprocess import Frame
from ..inference.evaluator import Evaluator
from ..media.heatmap import overlay, write_overlay
from ..media.image_files import ReadImage, read_image, read_pages
from ..media.video_files import read_video
from .inputs import InputFile
from .report import with_pictures
from .results import Result

AHEAD = 2  # inputs in work or waiting, for each worker


@dataclass(frozen=True)
class BatchRunner:
    """An evaluator, how many inputs are worked on at once, and the folder for heat maps where they are wanted.

    With `pictures` each result also carries its picture, small, and the map of a fault, for a report.
    """

    evaluator: Evaluator
    workers: int = 1
    heatmaps: Path | None = None
    pictures: bool = False

    def run(self, inputs: Iterable[InputFile]) -> Iterator[Result]:
        """Yield one result per input in order, of a video one per sampled frame, each as soon as it is known.

        `inputs` are taken in a thread of their own, so that a slow one holds back no result that is ready.
        """
        waiting: queue.Queue[Future[list[Result]] | None] = queue.Queue(AHEAD * self.workers)
        stopped = threading.Event()
        pool = ThreadPoolExecutor(self.workers)

        def feed() -> None:
            try:
                for task in self._tasks(inputs):
                    waiting.put(pool.submit(task))
                    if stopped.is_set():
                        return
            except BaseException as error:  # noqa: BLE001  it is raised where the results are read
                failed: Future[list[Result]] = Future()
                failed.set_exception(error)
                waiting.put(failed)
            waiting.put(None)

        feeder = threading.Thread(target=feed, daemon=True)  # it may wait for ever on standard input
        feeder.start()
        try:
            while (future := waiting.get()) is not None:
                yield from future.result()
        finally:
            stopped.set()
            while not waiting.empty():
                waiting.get_nowait()
            pool.shutdown(cancel_futures=True)

    def _tasks(self, inputs: Iterable[InputFile]) -> Iterator[Callable[[], list[Result]]]:
        """Yield what there is to do, in order; a video's frames come out of its decoder here."""
        for item in inputs:
            if item.reason is not None:
                yield partial(_told, item.path, item.reason)
            elif item.is_video:
                yield from self._video(item.path)
            else:
                yield partial(self._image, item.path)

    def _image(self, path: Path) -> list[Result]:
        """Return a result for each page, and for each sampled frame of a film that lies behind the picture."""
        results: list[Result] = []
        film_at = None
        spec = self.evaluator.bundle.manifest.input
        started = time.perf_counter()
        for page in read_pages(path, spec):
            if page.image is None:
                results.append(Result(path, page.reason, page=page.number))
            else:
                film_at = film_at or page.image.film_at
                bare = Result(path, notes=page.image.notes, decode_ms=_since(started), page=page.number)
                first = partial(read_image, path, radiometric=spec.radiometric) if page.number in (None, 1) else None
                results.append(self._filled(bare, page.image.frame, first))
            started = time.perf_counter()
        if film_at:
            results += [result for task in self._video(path, film_at) for result in task()]
        return results

    def _video(self, path: Path, offset: int = 0) -> Iterator[Callable[[], list[Result]]]:
        notes = ("of the film behind the picture",) if offset else ()
        started = time.perf_counter()
        try:
            for sampled in read_video(path, offset=offset):
                # The child decodes while we evaluate, so this is the time spent waiting for it.
                bare = Result(path, None, None, notes, _since(started), sampled.number, sampled.seconds)
                yield partial(self._frame, bare, sampled.frame)
                started = time.perf_counter()
        except InputError as error:
            yield partial(_told, path, str(error), notes)

    def _frame(self, result: Result, frame: Frame) -> list[Result]:
        return [self._filled(result, frame)]

    def _filled(self, result: Result, frame: Frame, reread: Callable[[], ReadImage] | None = None) -> Result:
        """Return the result with the frame's evaluation and heat map.

        `frame` may have been decoded smaller; `reread` gives the whole picture, which people get to see.
        """
        evaluation = self.evaluator.evaluate(frame)
        picture = None
        if self.heatmaps is not None and evaluation.cam is not None:
            whole = reread().frame if reread else frame
            manifest = self.evaluator.bundle.manifest
            drawn = overlay(whole, evaluation.cam, manifest.input, manifest.head.full_heat)
            picture = write_overlay(self.heatmaps, result.path, result.part, drawn)
        judged = replace(result, reason=evaluation.reason, evaluation=evaluation, heatmap=picture)
        return with_pictures(judged, frame, self.evaluator.bundle.manifest) if self.pictures else judged


def _told(path: Path, reason: str, notes: tuple[str, ...] = ()) -> list[Result]:
    return [Result(path, reason, notes=notes)]


def _since(started: float) -> float:
    """Return the milliseconds since `started`."""
    return (time.perf_counter() - started) * 1000
