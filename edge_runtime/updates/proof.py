"""Proves a bundle on this device before it may serve: golden frames on every engine and precision, and its latency."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..bundle.errors import InputError, RarefaultError, UnavailableError
from ..bundle.golden import GoldenSet, check_outputs, check_truths, golden_pictures, load_golden
from ..bundle.heads import Outputs
from ..bundle.store import Bundle
from ..inference.compare_engines import alternate
from ..inference.engines import Engine, available_engines, load_engine, open_engine, variant_run_by
from .errors import Reason, UpdateRefused

AT_ONCE = 16  # views in one call, which bounds memory
ROUNDS = 9  # of the comparison with the serving bundle; medians of so few differ by a tenth
HARMLESS_MS = 50.0  # for one frame: twenty frames a second are enough, so nothing below is too slow
SLOWEST = 30.0  # seconds for one frame, where no bundle serves that it could be compared with


@dataclass(frozen=True)
class Proof:
    """What a bundle showed on this device: it will run on `engine` in `precision`.

    `worst` holds the largest difference of a golden frame's score for each engine and precision that ran, `latency_ms`
    the median of one frame there, `serving_ms` that of the bundle that serves now, None without one; `passed_over` says
    in sentences which combinations cannot run here.
    """

    engine: str
    precision: str
    worst: dict[str, float]
    latency_ms: float
    serving_ms: float | None
    passed_over: tuple[str, ...]


def prove(
    bundle: Bundle,
    serving: Bundle | None,
    engine: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    most_latency: float = 2.0,
    load: Callable[..., Engine] = load_engine,
) -> Proof:
    """Run all golden frames in every packed precision that this device's engines can run, and time the chosen one.

    `engine`, `precision` and `threads` are the station's own choice, by which `serving` runs too; `load` is for tests.
    Raises UpdateRefused: GOLDEN for other answers than the bundle promises, ENGINE where none runs it, LATENCY where
    one frame takes more than `most_latency` times as long as in the serving bundle.
    """
    try:
        golden = load_golden(bundle)
        check_truths(golden, bundle.manifest.fault_labels)
        chosen = open_engine(bundle, engine, precision, threads=threads, load=load)
        latency, before = _latencies(bundle, serving, chosen.engine, (engine, precision, threads), most_latency)
        names = available_engines() if engine == "auto" else (engine,)
        worst, passed_over = _all_answers(bundle, golden, names, chosen.engine, partial(load, threads=threads))
    except UpdateRefused:
        raise
    except UnavailableError as error:
        raise UpdateRefused(Reason.ENGINE, str(error)) from error
    except InputError as error:
        raise UpdateRefused(Reason.GOLDEN, str(error)) from error
    return Proof(chosen.engine.name, chosen.engine.precision, worst, latency, before, (*chosen.skipped, *passed_over))


def _latencies(
    bundle: Bundle, serving: Bundle | None, chosen: Engine, choice: tuple[str, str, int], most: float
) -> tuple[float, float | None]:
    """Return the milliseconds of one frame in the new bundle and in the serving one; UpdateRefused where too many.

    Both get the same picture, in turns, so that what else the device does slows both alike.
    """
    picture = golden_pictures(bundle, 1)[0]
    views = bundle.manifest.input.views(picture)
    started = time.perf_counter()
    chosen.run(views)
    if (seconds := time.perf_counter() - started) > SLOWEST:
        raise UpdateRefused(Reason.LATENCY, f"one frame takes {seconds:.0f} s, at most {SLOWEST:.0f} s are allowed")
    tasks: dict[str, Callable[[], object]] = {"new": lambda: chosen.run(views)}
    if serving is not None:
        before, served = _opened(serving, choice), serving.manifest.input.views(picture)
        if before is not None:
            tasks["serving"] = lambda: before.run(served)
    medians = {name: float(np.median(times)) for name, times in alternate(tasks, ROUNDS).items()}
    new, old = medians["new"], medians.get("serving")
    if old is not None and new > max(most * old, HARMLESS_MS):
        raise UpdateRefused(
            Reason.LATENCY,
            f"one frame takes {new:.1f} ms on {chosen.name} {chosen.precision}, {new / old:.1f} times the {old:.1f} ms "
            f"of the serving bundle; most_latency is {most:g}",
        )
    return new, old


def _opened(serving: Bundle, choice: tuple[str, str, int]) -> Engine | None:
    """Return the serving bundle's engine, None where it does not open: then there is nothing to compare with."""
    engine, precision, threads = choice
    try:
        return open_engine(serving, engine, precision, threads=threads).engine
    except RarefaultError:
        return None


def _all_answers(
    bundle: Bundle, golden: GoldenSet, names: Sequence[str], chosen: Engine, load: Callable[..., Engine]
) -> tuple[dict[str, float], list[str]]:
    """Return the worst difference of each engine and precision, and why others are not to be used.

    The chosen engine must be right in every precision that it can run. Another one that is wrong on this device is
    passed over, as "auto" passes it over: that is no fault of the bundle.
    """
    worst, passed_over = {}, []
    for name in names:
        for precision in bundle.manifest.precisions:
            try:
                engine = load(bundle, name, precision)
                answers = _answers(engine, golden)
                worst[f"{name} {precision}"] = check_outputs(answers, golden, precision, variant_run_by(engine))
            except RarefaultError as error:
                cannot_run = isinstance(error, UnavailableError) and precision != chosen.precision
                if name == chosen.name and not cannot_run:
                    raise
                passed_over.append(f"{name} {precision}: {error}")
    return worst, passed_over


def _answers(engine: Engine, golden: GoldenSet) -> Outputs:
    parts = [engine.run(golden.flat[start : start + AT_ONCE]) for start in range(0, len(golden.flat), AT_ONCE)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
