"""Judges frames: the path that every picture takes, whichever command or camera it comes from."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..bundle.decision import Decision, DecisionRule
from ..bundle.errors import InputError
from ..bundle.preprocess import Frame
from ..bundle.store import Bundle
from ..causes import Cause
from .blank_check import Health, blank, blank_cause, measure
from .engines import Engine

Cam = npt.NDArray[np.floating[Any]]
"""A float (h, w) map of where the evidence for one label lies."""


@dataclass(frozen=True)
class Evaluation:
    """What one frame showed, by `rule`. Times in milliseconds.

    Either `decision` and `cams` by label, or `cause` and `reason` (the same in a sentence) why there is no decision.
    """

    rule: DecisionRule
    health: Health
    preprocess_ms: float
    infer_ms: float | None = None
    decision: Decision | None = None
    cams: Mapping[str, Cam] = field(default_factory=dict)
    cause: Cause | None = None
    reason: str | None = None

    @property
    def cam(self) -> Cam | None:
        """The map of the reported label."""
        return self.cams[self.decision.label] if self.decision else None


@dataclass(frozen=True)
class Evaluator:
    """A verified bundle on a proven engine."""

    bundle: Bundle
    engine: Engine

    def evaluate(self, frame: Frame, rule: DecisionRule | None = None) -> Evaluation:
        """Judge a uint8 (H, W, 3) BGR frame by `rule`, else by the bundle's own.

        A blank frame is not shown to the model: it would get a class. InputError where the model's answer is unusable.
        """
        evaluation = self.evaluate_all([(frame, rule or self.bundle.manifest.rule(self.engine.precision))])[0]
        if evaluation.cause is Cause.MODEL:
            raise InputError(evaluation.reason or "")
        return evaluation

    def evaluate_all(self, frames: Sequence[tuple[Frame, DecisionRule]]) -> list[Evaluation]:
        """Judge several frames, each by its rule, in one call of the engine; one evaluation for each, in order.

        An unusable answer to one frame (`cause` MODEL) leaves the others as they are.
        """
        prepared = [self._prepare(frame, rule) for frame, rule in frames]
        shown = [small for small, evaluation in prepared if evaluation.cause is None]
        started = time.perf_counter()
        outputs = zip(*self.engine.run(np.stack(shown)), strict=True) if shown else iter(())
        infer_ms = (time.perf_counter() - started) * 1000 / max(len(shown), 1)
        return [
            evaluation if evaluation.cause is not None else _decided(evaluation, next(outputs), infer_ms)
            for _, evaluation in prepared
        ]

    def _prepare(self, frame: Frame, rule: DecisionRule) -> tuple[Frame, Evaluation]:
        started = time.perf_counter()
        small = self.bundle.manifest.input.apply(frame)
        health = measure(small)
        elapsed = (time.perf_counter() - started) * 1000
        return small, Evaluation(rule, health, elapsed, cause=blank_cause(health), reason=blank(health))


def _decided(prepared: Evaluation, output: tuple[Cam, Cam], infer_ms: float) -> Evaluation:
    logits, cam = output
    rule = prepared.rule
    try:
        decision = rule.decide(rule.probabilities(logits[None])[0])
    except InputError as error:
        return replace(prepared, infer_ms=infer_ms, cause=Cause.MODEL, reason=str(error))
    return replace(prepared, infer_ms=infer_ms, decision=decision, cams=dict(zip(rule.labels, cam, strict=True)))
