"""Opens the bundle that a command judges with, and settles the process that it runs in."""

import contextlib
import ctypes
import os
import sys
from pathlib import Path

import click
import cv2

from ..bundle.store import open_bundle
from ..inference.engines import open_engine
from ..inference.evaluator import Evaluator


def open_evaluator(
    folder: Path | None, engine: str = "auto", precision: str = "auto", workers: int = 1, threads: int = 1
) -> Evaluator:
    """Return the bundle in `folder`, else the one that serves, on an engine for `workers` threads; it is said which.

    On processors each call of the engine uses `threads` cores.
    """
    bundle = open_bundle(folder or _serving(), whole=False)
    opened = open_engine(bundle, engine, precision, callers=workers, threads=threads)
    model = f"{bundle.manifest.name} {bundle.manifest.version} ({bundle.digest[:12]})"
    passed_over = f" (passed over {'; '.join(opened.skipped)})" if opened.skipped else ""
    click.echo(f"{model} on {opened.engine.name} {opened.engine.precision}{passed_over}", err=True)
    _keep_memory()
    return Evaluator(bundle, opened.engine)


def _serving() -> Path:
    from .update import serving_bundle  # nothing that a start with --bundle needs

    folder, problems = serving_bundle()
    for problem in problems:
        click.echo(f"a damaged bundle is passed over: {problem}", err=True)
    return folder


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def settle_process() -> None:
    """Make settings of the whole process, which a command may do and a library may not."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # every failure comes back as a line of ours
    cv2.setNumThreads(1)  # workers do the rest


def _keep_memory() -> None:
    """Let the buffers of a picture be used again for the next one: fresh pages from the system cost their zeroing."""
    _mallopt(_MMAP_THRESHOLD, KEPT_BYTES)
    _mallopt(_TRIM_THRESHOLD, KEPT_BYTES)


KEPT_BYTES = 8 << 20  # a frame of 1080p takes 6 MB
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of <malloc.h>


def _mallopt(option: int, value: int) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # another C library than glibc
            ctypes.CDLL(None).mallopt(option, value)
