"""Several runs at once, each as the command `rarefault run` in a process of its own.

What a run prints goes to LOG in its folder. Ctrl-C and SIGTERM end all runs, and the same command goes on where they
were. SIGKILL leaves runs that are at work to their end: until then the same command is refused.
"""

import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from subprocess import DEVNULL, STDOUT, Popen, TimeoutExpired
from threading import Event

from augment.progress import progress, say
from augment.settings import load_settings
from edge_runtime.bundle.errors import UnavailableError
from edge_runtime.child_process import module_command, start_child

LOG = "jobs.log"
TOLD = 5  # last lines of the log of a run that failed
PATIENCE = 10.0  # seconds for a run that is asked to end
ENDING = (signal.SIGTERM, signal.SIGHUP)


def run_side_by_side(pipelines: Sequence[Path], until: str, jobs: int, gpus: Sequence[str] = ()) -> None:
    """Run each of `pipelines` up to the stage `until`, so many at a time.

    Each takes an equal part of the cores, and of `gpus` (as CUDA_VISIBLE_DEVICES names them) one, in turn. Raises
    UnavailableError with the end of its log where one fails; the others are ended then, and go on with the next call.
    """
    jobs = min(jobs, len(pipelines))
    places: SimpleQueue[int] = SimpleQueue()
    for place in range(jobs):
        places.put(place)
    running, stopped = set[Popen[bytes]](), Event()

    def run(pipeline: Path) -> None:
        place = places.get()
        try:
            _run(pipeline, until, {**_share(pipeline, jobs), **_gpu(gpus, place)}, running, stopped)
        finally:
            places.put(place)

    with ThreadPoolExecutor(jobs) as pool, _interrupted_by_signals():
        try:
            runs = [pool.submit(run, pipeline) for pipeline in pipelines]
            for done in progress(as_completed(runs), len(runs), "runs"):
                done.result()
        finally:  # nothing runs any more, unless a run failed or something ends the command
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            _end(running)


def _run(pipeline: Path, until: str, settings: Mapping[str, str], running: set[Popen[bytes]], stopped: Event) -> None:
    log = pipeline.parent / LOG
    with log.open("wb") as out:
        given = {"stdin": DEVNULL, "stdout": out, "stderr": STDOUT, "env": {**os.environ, **settings}}
        child = start_child(_command(pipeline.resolve(), until), **given)
    running.add(child)
    if stopped.is_set():  # between the start and the line above
        child.kill()
    code = child.wait()
    running.discard(child)
    if code:
        end = "\n".join(log.read_text("utf-8", "replace").strip().splitlines()[-TOLD:])
        raise UnavailableError(
            f"the run of {pipeline} ended with the code {code} (whole in {log}):\n{end}\n"
            "mend it and type the command again, it goes on where the runs were"
        )
    say(f"{pipeline.parent} is done")


def _command(pipeline: Path, until: str) -> list[str]:
    return module_command("augment.cli", "run", str(pipeline), "--until", until)


def _share(pipeline: Path, jobs: int) -> dict[str, str]:
    """Return how many threads of torch a run may use, unless whoever types the command has said so.

    With the embedded models `rarefault run` takes one by itself.
    """
    if "OMP_NUM_THREADS" in os.environ or load_settings(pipeline).generate.model == "mini":
        return {}
    return {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // jobs))}


def _gpu(gpus: Sequence[str], place: int) -> dict[str, str]:
    return {"CUDA_VISIBLE_DEVICES": gpus[place % len(gpus)]} if gpus else {}


@contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    """Let what ends a command from outside be raised as KeyboardInterrupt, for as long as the context."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = [signal.signal(number, interrupt) for number in ENDING]
    try:
        yield
    finally:
        for number, handler in zip(ENDING, before, strict=True):
            signal.signal(number, handler)


def _end(running: set[Popen[bytes]]) -> None:
    """End the runs, of which all that is finished is on the disk."""
    children = list(running)
    try:
        for child in children:
            child.terminate()
        for child in children:
            with suppress(TimeoutExpired):
                child.wait(PATIENCE)
    finally:
        for child in children:
            child.kill()
