"""Takes each input through reading, evaluation and heat map; what is wrong with one of them ends in its own result."""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from ..bundle.errors import InputError
from ..bundle.preprocess import Frame
from ..causes import Cause
from ..inference.evaluator import Evaluation, Evaluator, Prepared, frames_a_call
from ..media.image_files import ReadImage, read_image, read_pages
from .inputs import InputFile
from .results import Result

AHEAD = 2  # inputs in work or waiting, for each worker and each place in a call of the engine

Task = Generator[Prepared, Evaluation, list[Result]]
"""Work on one input: it yields each frame that is to be judged, is sent what it showed, and returns the results."""


@dataclass(frozen=True)
class _Job:
    """A task, and where its results, or its failure, are waited for."""

    task: Task
    done: Future[list[Result]] = field(default_factory=Future)


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
        waiting: queue.Queue[_Job | None] = queue.Queue(AHEAD * self.workers * self._most)
        jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        stopped = threading.Event()

        def feed() -> None:
            try:
                for task in self._tasks(inputs):
                    jobs.put(job := _Job(task))
                    waiting.put(job)
                    if stopped.is_set():
                        return
            except BaseException as error:  # noqa: BLE001  it is raised where the results are read
                failed = _Job(_told(Path(), ""))
                failed.done.set_exception(error)
                waiting.put(failed)
            waiting.put(None)

        workers = [threading.Thread(target=self._work, args=(jobs, stopped)) for _ in range(self.workers)]
        for thread in [threading.Thread(target=feed, daemon=True), *workers]:  # the first may wait for ever on input
            thread.start()
        try:
            while (job := waiting.get()) is not None:
                yield from job.done.result()
        finally:
            stopped.set()
            while not waiting.empty():
                waiting.get_nowait()
            for _ in workers:
                jobs.put(None)
            for thread in workers:
                thread.join()

    @property
    def _most(self) -> int:
        """How many frames are judged in one call; where pictures are drawn, no frame waits for others in memory."""
        return 1 if self.pictures or self.heatmaps is not None else frames_a_call(self.evaluator)

    def _work(self, jobs: "queue.SimpleQueue[_Job | None]", stopped: threading.Event) -> None:
        """Take what waits, until None is taken or the run has stopped: `_most` where each worker finds so many."""
        while (job := jobs.get()) is not None and not stopped.is_set():
            group = [job]
            share = self._most if 1 + jobs.qsize() >= self.workers * self._most else 1
            with contextlib.suppress(queue.Empty):
                while len(group) < share and (job := jobs.get_nowait()) is not None:
                    group.append(job)
            self._judge(group)
            if job is None:
                return

    def _judge(self, group: Sequence[_Job]) -> None:
        """Take several jobs to their ends, side by side, with one call of the engine for the next frame of each."""
        answers: list[tuple[_Job, Evaluation | None]] = [(job, None) for job in group]
        while answers:
            asked = []
            for job, evaluation in answers:
                try:
                    asked.append((job, job.task.send(evaluation)))  # type: ignore[arg-type]  # None starts it
                except StopIteration as end:
                    job.done.set_result(end.value)
                except BaseException as error:  # noqa: BLE001  it is raised where the results are read
                    job.done.set_exception(error)
            try:
                found = self._answers([prepared for _, prepared in asked])
            except BaseException as error:  # noqa: BLE001
                for job, _ in asked:
                    job.done.set_exception(error)
                return
            answers = [(job, evaluation) for (job, _), evaluation in zip(asked, found, strict=True)]

    def _answers(self, shown: Sequence[Prepared]) -> list[Evaluation]:
        """Judge `_most` frames in one call, and any other number each in its own.

        OpenVINO takes some 55 ms for the first call with another number of frames.
        """
        if sum(one.evaluation.cause is None for one in shown) == self._most:
            return self.evaluator.answer(shown)
        return [self.evaluator.answer([one])[0] for one in shown]

    def _tasks(self, inputs: Iterable[InputFile]) -> Iterator[Task]:
        """Yield what there is to do, in order; a video's frames come out of its decoder here."""
        for item in inputs:
            if item.reason is not None:
                yield _told(item.path, item.reason)
            elif item.is_video:
                yield from self._video(item.path)
            else:
                yield self._image(item.path)

    def _image(self, path: Path) -> Task:
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
                frame, prepared = self._prepared(page.image.frame)
                del page  # nor is its whole frame kept while others are read
                results.append(self._filled(bare, (yield prepared), frame, first))
            started = time.perf_counter()
        if film_at:
            for task in self._video(path, film_at):
                results += yield from task
        return results

    def _video(self, path: Path, offset: int = 0) -> Iterator[Task]:
        from ..media.video_files import read_video  # starts processes, which pictures do not need

        notes = ("of the film behind the picture",) if offset else ()
        started = time.perf_counter()
        try:
            for sampled in read_video(path, offset=offset):
                # The child decodes while we evaluate, so this is the time spent waiting for it.
                bare = Result(path, None, None, notes, _since(started), sampled.number, sampled.seconds)
                yield self._frame(bare, *self._prepared(sampled.frame))
                started = time.perf_counter()
        except InputError as error:
            yield _told(path, str(error), notes)

    def _frame(self, result: Result, frame: Frame | None, prepared: Prepared) -> Task:
        return [self._filled(result, (yield prepared), frame)]

    def _prepared(self, frame: Frame) -> tuple[Frame | None, Prepared]:
        """Return the frame, where something is drawn on it later, and what the model will see of it."""
        drawn = self.pictures or self.heatmaps is not None
        return frame if drawn else None, self.evaluator.prepare(frame)

    def _filled(
        self, result: Result, evaluation: Evaluation, frame: Frame | None, reread: Callable[[], ReadImage] | None = None
    ) -> Result:
        """Return the result with its frame's evaluation and heat map.

        `frame` may have been decoded smaller; `reread` gives the whole picture, which people get to see.
        """
        if evaluation.cause is Cause.MODEL:
            raise InputError(evaluation.reason or "")
        picture = None
        if self.heatmaps is not None and frame is not None and evaluation.cam is not None:
            from ..media.heatmap import overlay, write_overlay

            whole = reread().frame if reread else frame
            manifest = self.evaluator.bundle.manifest
            drawn = overlay(whole, evaluation.cam, manifest.input, manifest.head.full_heat)
            picture = write_overlay(self.heatmaps, result.path, result.part, drawn)
        judged = replace(result, reason=evaluation.reason, evaluation=evaluation, heatmap=picture)
        if not self.pictures or frame is None:
            return judged
        from .report import with_pictures

        return with_pictures(judged, frame, self.evaluator.bundle.manifest)


def _told(path: Path, reason: str, notes: tuple[str, ...] = ()) -> Task:
    yield from ()
    return [Result(path, reason, notes=notes)]


def _since(started: float) -> float:
    """Return the milliseconds since `started`."""
    return (time.perf_counter() - started) * 1000
