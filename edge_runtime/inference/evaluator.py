"""One frame in, one judgement out: the path that every picture takes, whichever command or camera it comes from."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..bundle.decision import Decision, DecisionRule
from ..bundle.preprocess import Frame
from ..bundle.store import Bundle
from .blank_check import Health, blank, measure
from .engines import Engine

Cam = npt.NDArray[np.floating[Any]]
"""Float (h, w): where the evidence for one label lies."""


@dataclass(frozen=True)
class Evaluation:
    """`decision` and `cams` by label, or `reason` why the frame has none. Times in milliseconds."""

    health: Health
    preprocess_ms: float
    infer_ms: float | None = None
    decision: Decision | None = None
    cams: Mapping[str, Cam] = field(default_factory=dict)
    reason: str | None = None

    @property
    def cam(self) -> Cam | None:
        """Of the reported label."""
        return self.cams[self.decision.label] if self.decision else None


@dataclass(frozen=True)
class Evaluator:
    """A verified bundle on a proven engine."""

    bundle: Bundle
    engine: Engine

    def evaluate(self, frame: Frame, rule: DecisionRule | None = None) -> Evaluation:
        """uint8 (H, W, 3) BGR -> Evaluation by `rule`, else by the bundle's own.

        A blank frame is not shown to the model: it would get a class.
        """
        return self.evaluate_all([(frame, rule or self.bundle.manifest.rule(self.engine.precision))])[0]

    def evaluate_all(self, frames: Sequence[tuple[Frame, DecisionRule]]) -> list[Evaluation]:
        """The same for several frames, each with its rule, in one call of the engine."""
        prepared = [self._prepare(frame) for frame, _ in frames]
        shown = [small for small, evaluation in prepared if evaluation.reason is None]
        started = time.perf_counter()
        outputs = zip(*self.engine.run(np.stack(shown)), strict=True) if shown else iter(())
        infer_ms = (time.perf_counter() - started) * 1000 / max(len(shown), 1)
        return [
            evaluation if evaluation.reason is not None else _decided(evaluation, rule, next(outputs), infer_ms)
            for (_, rule), (_, evaluation) in zip(frames, prepared, strict=True)
        ]

    def _prepare(self, frame: Frame) -> tuple[Frame, Evaluation]:
        started = time.perf_counter()
        small = self.bundle.manifest.input.apply(frame)
        health = measure(small)
        return small, Evaluation(health, (time.perf_counter() - started) * 1000, reason=blank(health))


def _decided(prepared: Evaluation, rule: DecisionRule, output: tuple[Cam, Cam], infer_ms: float) -> Evaluation:
    logits, cam = output
    decision = rule.decide(rule.probabilities(logits[None])[0])
    return replace(prepared, infer_ms=infer_ms, decision=decision, cams=dict(zip(rule.labels, cam, strict=True)))
