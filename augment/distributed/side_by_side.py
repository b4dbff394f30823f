"""Several runs at once, each as the command `rarefault run` in a process of its own.

What a run prints goes to LOG in its folder. A killed command leaves every run where it was: the same command goes on.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import SimpleQueue
from subprocess import DEVNULL, STDOUT, Popen, TimeoutExpired
from threading import Event

from augment.progress import progress, say
from edge_runtime.bundle.errors import UnavailableError
from edge_runtime.child_process import module_command, start_child

LOG = "jobs.log"
TOLD = 5  # last lines of the log of a run that failed
DEADLINE = 20.0  # seconds for a run that is asked to end


def check_jobs(jobs: int) -> None:
    """Raise UnavailableError where this machine has fewer logical CPUs than `jobs`."""
    if jobs > (cores := os.cpu_count() or 1):
        raise UnavailableError(
            f"--jobs {jobs} asks for as many logical CPUs, this machine has {cores}; ask for {cores} at most"
        )


def run_side_by_side(pipelines: Sequence[Path], until: str, jobs: int, gpus: Sequence[str] = ()) -> None:
    """Run each of `pipelines` up to the stage `until`, so many at a time.

    Each takes an equal part of the cores, and of `gpus` (as CUDA_VISIBLE_DEVICES names them) one, in turn. Raises
    UnavailableError with the end of its log where one fails; the others are ended then, and go on with the next call.
    """
    places: SimpleQueue[int] = SimpleQueue()
    for place in range(jobs):
        places.put(place)
    running, stopped = set[Popen[bytes]](), Event()

    def run(pipeline: Path) -> None:
        place = places.get()
        try:
            _run(pipeline, until, {**_share(jobs), **_gpu(gpus, place)}, running, stopped)
        finally:
            places.put(place)

    with ThreadPoolExecutor(jobs) as pool:
        runs = [pool.submit(run, pipeline) for pipeline in pipelines]
        try:
            for done in progress(as_completed(runs), len(runs), "runs"):
                done.result()
        except BaseException:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            _end(running)
            raise


def _run(pipeline: Path, until: str, settings: Mapping[str, str], running: set[Popen[bytes]], stopped: Event) -> None:
    log = pipeline.parent / LOG
    with log.open("wb") as out:
        given = {"stdin": DEVNULL, "stdout": out, "stderr": STDOUT, "env": {**os.environ, **settings}}
        child = start_child(_command(pipeline.resolve(), until), **given)
    running.add(child)
    if stopped.is_set():  # between the start and the line above
        child.terminate()
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


def _share(jobs: int) -> dict[str, str]:
    """Return how many threads a run may use, unless whoever types the command has said so."""
    return {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // jobs))}


def _gpu(gpus: Sequence[str], place: int) -> dict[str, str]:
    return {"CUDA_VISIBLE_DEVICES": gpus[place % len(gpus)]} if gpus else {}


def _end(running: set[Popen[bytes]]) -> None:
    """End the runs: what is finished of them is on the disk."""
    children = list(running)
    for child in children:
        child.terminate()
    for child in children:
        try:
            child.wait(DEADLINE)
        except TimeoutExpired:
            child.kill()
