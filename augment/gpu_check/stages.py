"""How fast each stage of a run is on a device, and what FP16 changes: the real models of the run, a few batches each.

Each stage is measured in FP32 and in FP16. What comes out is compared, since a GPU whose FP16 is wrong gives black
pictures and blank captions without any error.
"""

import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import cycle
from typing import Any

import numpy as np
import torch

from augment.gpu_check.reference import scene
from augment.methods import parse_method
from augment.mini.scenes import LABELS
from augment.models.interfaces import Order
from augment.models.registry import Models
from augment.settings import Settings
from augment.training.finetune import Examples, Task, Trainer
from edge_runtime.bundle.errors import RarefaultError
from edge_runtime.bundle.preprocess import Frames
from export.network import build_network, load_initial_weights

ROUNDS, SECONDS = 5, 10.0  # at most, of one measurement; the first batch is not counted
LEAST_EQUAL = 0.5  # of the texts; a word whose chance is near another's may turn over
MOST_LEVELS = 16.0  # grey levels, on average, by which a picture may differ
MOST_LOSS = 0.1  # of the loss after a step
TRAINING_FRAMES = 64


@dataclass(frozen=True)
class StageCheck:
    """One stage in one precision; the figures are None where it failed, and `problem` says why or what is wrong.

    `per_second` counts pictures (of `refine` continuations), `seconds` are those of one batch of `batch`, `memory` is
    the most of the GPU's in bytes, 0 on a processor. `difference` says how far FP16 is from FP32.
    """

    stage: str
    precision: str
    batch: int
    per_second: float | None = None
    seconds: float | None = None
    memory: int = 0
    difference: str = ""
    problem: str = ""


@dataclass(frozen=True)
class _Probe:
    """How a stage is tried: `load(half)` returns what makes one batch of `batch`.

    `compare(fp32, fp16)` returns how far the two are apart, and what is wrong with that, "" where nothing is.
    """

    stage: str
    batch: int
    load: Callable[[bool], Callable[[], Any]]
    compare: Callable[[Any, Any], tuple[str, str]]


def check_stages(settings: Settings, device: str) -> Iterator[StageCheck]:
    """Measure caption, refine, generate and train with the models and batch sizes of `settings` on `device`."""
    settings = replace(settings, device=device)
    for probe in (_caption(settings), _refine(settings), _generate(settings), _train(settings, device)):
        plain = None
        for half in (False, True):
            check, made = _measure(probe, half, device)
            if half and made is not None and plain is not None:
                difference, problem = probe.compare(plain, made)
                check = replace(check, difference=difference, problem=problem)
            plain = made
            yield check


def _measure(probe: _Probe, half: bool, device: str) -> tuple[StageCheck, Any]:
    """Return the figures of a stage, and what its first batch made; None where it failed."""
    check = StageCheck(probe.stage, "fp16" if half else "fp32", probe.batch)
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    try:
        work = probe.load(half)
        made = work()
        times: list[float] = []
        while not times or (len(times) < ROUNDS and sum(times) < SECONDS):
            started = time.perf_counter()
            work()
            if device == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - started)
    except (RarefaultError, RuntimeError, OSError) as error:
        return replace(check, problem=f"it fails: {str(error).splitlines()[0]}"), None
    seconds = statistics.median(times)
    memory = torch.cuda.max_memory_allocated() if device == "cuda" else 0
    return replace(check, per_second=probe.batch / seconds, seconds=seconds, memory=memory), made


def _caption(settings: Settings) -> _Probe:
    batch = settings.caption.batch_size
    frames = [scene(number, 256, LABELS[0]) for number in range(batch)]
    prefix = settings.caption.prefix.format(phrase=settings.phrase(LABELS[0]))

    def load(half: bool) -> Callable[[], list[str]]:
        captioner = Models(settings, half=half).captioner
        return lambda: captioner.caption(frames, prefix)

    return _Probe("caption", batch, load, _texts_apart)


def _refine(settings: Settings) -> _Probe:
    attempts = settings.refine.attempts

    def load(half: bool) -> Callable[[], list[str]]:
        writer = Models(settings, half=half).writer
        return lambda: writer.continuations(f"a photo of a {settings.phrase(LABELS[0])}", attempts, 1)

    return _Probe("refine", attempts, load, _texts_apart)


def _texts_apart(plain: list[str], half: list[str]) -> tuple[str, str]:
    same = sum(one == other for one, other in zip(plain, half, strict=True))
    blank = all(not text.strip() for text in half)
    wrong = "FP16 writes nothing" if blank else "FP16 writes other texts" if same < LEAST_EQUAL * len(plain) else ""
    return f"{same} of {len(plain)} texts are those of FP32", wrong


def _generate(settings: Settings) -> _Probe:
    batch, method = settings.generate.batch_size, parse_method("text2img")
    orders = [Order(f"a photo of a {settings.phrase(LABELS[0])}, on grass", seed) for seed in range(batch)]

    def load(half: bool) -> Callable[[], list[Any]]:
        painter = Models(settings, half=half).painter
        return lambda: painter.paint(orders, method, None)

    return _Probe("generate", batch, load, _pictures_apart)


def _pictures_apart(plain: list[Any], half: list[Any]) -> tuple[str, str]:
    """Compare pictures, None where the model's own filter blanked one."""
    pairs = [(one, other) for one, other in zip(plain, half, strict=True) if one is not None and other is not None]
    if not pairs:
        return "", "the model's safety filter blanked every picture"
    levels = max(float(np.abs(one.astype(int) - other).mean()) for one, other in pairs)
    black = any(one.any() and not other.any() for one, other in pairs)
    wrong = "FP16 paints black" if black else "FP16 paints other pictures" if levels > MOST_LEVELS else ""
    return f"a picture differs from FP32's by at most {levels:.2f} grey levels on average", wrong


def _train(settings: Settings, device: str) -> _Probe:
    section = settings.train
    side = section.size
    frames = np.stack([scene(number, side) for number in range(TRAINING_FRAMES)])

    def load(half: bool) -> Callable[[], list[float]]:
        trainer = Trainer(_task(settings, frames), frames, device, half=half)
        steps = cycle(range(section.steps))  # a run may have fewer than are timed
        return lambda: [float(trainer.step(next(steps)))]

    return _Probe("train", section.batch_size, load, _losses_apart)


def _losses_apart(plain: list[float], half: list[float]) -> tuple[str, str]:
    apart = abs(half[0] - plain[0]) / max(abs(plain[0]), 1e-6)
    wrong = "" if math.isfinite(half[0]) and apart <= MOST_LOSS else "FP16 does not train as FP32 does"
    return f"the first loss is {half[0]:.4f}, FP32's {plain[0]:.4f}", wrong


def _task(settings: Settings, frames: Frames) -> Task:
    """Return a training of real scenes alone, with the network and the transforms of the settings."""
    section, count = settings.train, len(frames)
    examples = Examples(np.arange(count), np.arange(count) % len(LABELS), [str(number) for number in range(count)])
    nothing, weights = np.zeros(count, bool), np.ones(count)

    def build() -> torch.nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = build_network(section.backbone, len(LABELS), section.width)
        load_initial_weights(network, section.weights)
        return network

    return Task(
        name="check-gpu", key="", section=replace(section, layers="all", synthetic_norm=False), run_seed=0, seed=0,
        labels=tuple(LABELS), training=examples, generated=nothing, stand_ins=nothing, weightings={0.0: weights},
        last_weights=weights, strong_transforms=False, validation=examples, build=build, card={},
    )  # fmt: skip
