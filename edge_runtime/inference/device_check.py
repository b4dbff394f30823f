"""What a device makes of a bundle: for every engine and precision, whether it answers the golden frames and how fast.

`edge-station check` tells it on the device, `rarefault check-gpu` where bundles are made.
"""

import importlib.metadata
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnxruntime

from ..bundle.errors import InputError, UnavailableError
from ..bundle.golden import GoldenSet, check_maps, check_own, worst_difference
from ..bundle.heads import Outputs
from ..bundle.preprocess import Frames
from ..bundle.store import Bundle
from .engines import Engine, engines_for_auto, load_engine, variant_run_by
from .gpu_driver import Driver

AT_ONCE = 16  # frames of one call where throughput is measured
ROUNDS, SECONDS = 10, 2.0  # at most, of one measurement; the first call is not counted


@dataclass(frozen=True)
class EngineCheck:
    """One engine and precision. `sentence` says whether its scores agree, and how fast it is.

    `problem` says what else is wrong: another answer of this file than where it was packed, or maps that do not belong
    to the scores. The figures are None where it could not run: `worst` is the largest difference of a score of the
    golden frames, which may be `allowed`; `milliseconds` the median of a call with one frame (all its tiles), and
    `per_second` the frames that calls with `AT_ONCE` of them manage.
    """

    engine: str
    precision: str
    agrees: bool
    sentence: str
    problem: str = ""
    worst: float | None = None
    allowed: float | None = None
    milliseconds: float | None = None
    per_second: float | None = None


def check_engines(bundle: Bundle, golden: GoldenSet, names: Sequence[str] | None = None) -> Iterator[EngineCheck]:
    """Try every engine of `names` (default: all that `auto` would try here) in every precision of the bundle."""
    for name in engines_for_auto() if names is None else names:
        for precision in bundle.manifest.precisions:
            yield check_engine(name, precision, golden, partial(load_engine, bundle, name, precision))


def check_engine(name: str, precision: str, golden: GoldenSet, load: Callable[[], Engine]) -> EngineCheck:
    """Try the engine that `load` makes, which may raise UnavailableError."""
    allowed = golden.tolerance.get(precision, 0.0)
    try:
        engine = load()
        outputs = engine.run(golden.flat)
        worst = worst_difference(lambda _: golden.head.scores(outputs), golden)
        milliseconds, per_second = _speed(engine, golden)
    except UnavailableError as error:
        return EngineCheck(name, precision, False, f"{name} {precision}: {error}")
    verdict = "agrees" if worst <= allowed else "DIFFERS"
    sentence = (
        f"{name} {precision}: {verdict}, worst score difference {worst:.3g}, allowed {allowed:.3g}; "
        f"{milliseconds:.3g} ms a frame, {per_second:.3g} frames/s in calls of {AT_ONCE}"
    )
    problem = _contradiction(outputs, golden, engine)
    figures = worst, allowed, milliseconds, per_second
    return EngineCheck(name, precision, worst <= allowed, sentence, problem, *figures)


def _contradiction(outputs: Outputs, golden: GoldenSet, engine: Engine) -> str:
    """Return why a file's own answers or its maps are not what they must be, "" where they are."""
    try:
        check_own(outputs, golden, variant_run_by(engine))
        check_maps(outputs, golden, engine.precision)
    except InputError as error:
        return f"{engine.name} {engine.precision}: {error}"
    return ""


def _speed(engine: Engine, golden: GoldenSet) -> tuple[float, float]:
    """Return median milliseconds of one frame in a call, and frames a second of calls with AT_ONCE frames."""
    frames = len(golden.views)
    one = golden.views[0]
    many = golden.views[np.arange(AT_ONCE) % frames].reshape(-1, *golden.views.shape[2:])
    single, together = (_median_seconds(engine, views) for views in (one, many))
    return 1000 * single, AT_ONCE / together


def _median_seconds(engine: Engine, views: Frames) -> float:
    engine.run(views)
    times: list[float] = []
    while not times or (len(times) < ROUNDS and sum(times) < SECONDS):
        started = time.perf_counter()
        engine.run(views)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def idle_gpu(driver: Driver) -> str:
    """Return why no engine here can use the driver's GPU, "" where one can; whether it works shows on loading."""
    if {"tensorrt", "cuda"} & set(engines_for_auto()):
        return ""
    wheels = [name for name in ("onnxruntime", "onnxruntime-gpu") if _version(name)]
    if len(wheels) == 2:
        return (
            "onnxruntime and onnxruntime-gpu are both installed, in one folder, and the processor's won; run "
            "`pip uninstall onnxruntime onnxruntime-gpu`, then install rarefault with the extra gpu"
        )
    return (
        f"no engine here can use {driver.gpus[0].name}: onnxruntime {onnxruntime.__version__} is the processor's; run "
        "`pip uninstall onnxruntime`, then install rarefault with the extra gpu"
    )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
