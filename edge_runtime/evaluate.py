"""One frame in, one judgement out: the path that every picture takes, whichever command or camera it comes from."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .bundle.decision import Decision
from .bundle.preprocess import Frame
from .bundle.store import Bundle
from .engines import Engine
from .health import Health, blank, measure


@dataclass(frozen=True)
class Evaluation:
    """`decision` and `cam` of the reported label (h, w), or `reason` why the frame has none. Times in milliseconds."""

    health: Health
    preprocess_ms: float
    infer_ms: float | None = None
    decision: Decision | None = None
    cam: npt.NDArray[np.floating[Any]] | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Evaluator:
    """A verified bundle on a proven engine."""

    bundle: Bundle
    engine: Engine

    def evaluate(self, frame: Frame) -> Evaluation:
        """uint8 (H, W, 3) BGR -> Evaluation. A blank frame is not shown to the model: it would get a class."""
        rule = self.bundle.manifest.rule(self.engine.precision)
        started = time.perf_counter()
        small = self.bundle.manifest.input.apply(frame)
        health = measure(small)
        prepared = time.perf_counter()
        preprocess_ms = (prepared - started) * 1000
        if (reason := blank(health)) is not None:
            return Evaluation(health, preprocess_ms, reason=reason)
        logits, cam = self.engine.run(small[None])
        infer_ms = (time.perf_counter() - prepared) * 1000
        decision = rule.decide(rule.probabilities(logits)[0])
        return Evaluation(health, preprocess_ms, infer_ms, decision, cam[0, rule.labels.index(decision.label)])
