"""Judges frames: the path that every picture takes, whichever command or camera it comes from."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..bundle.decision import Decision, Rule
from ..bundle.errors import InputError
from ..bundle.heads import Array
from ..bundle.preprocess import Frame, Frames
from ..bundle.store import Bundle
from ..causes import Cause
from .blank_check import Health, blank, blank_cause, measure
from .engines import Engine


@dataclass(frozen=True)
class Evaluation:
    """What one frame showed, by `rule`. Times in milliseconds.

    Either `decision` and `cams`, which tell for each label where on the canvas its evidence lies, or `cause` and
    `reason` (the same in a sentence) why there is no decision.
    """

    rule: Rule
    health: Health
    preprocess_ms: float
    infer_ms: float | None = None
    decision: Decision | None = None
    cams: Mapping[str, Array] = field(default_factory=dict)
    cause: Cause | None = None
    reason: str | None = None

    @property
    def cam(self) -> Array | None:
        """The map of the reported label."""
        return self.cams[self.decision.label] if self.decision else None


@dataclass(frozen=True)
class Prepared:
    """The `views` (T, H, W, 3) that the model is shown of a frame, and what can be said of it before that."""

    views: Frames
    evaluation: Evaluation


# Frames that one thread gives an engine at once, where several wait: measured on ResNet-50 and EfficientNet-Lite0. The
# answers were the same bit by bit. ONNX Runtime's float32 gains nothing by it; on other devices it was not measured.
TOGETHER = {("cpu", "int8"): 4, ("openvino", "int8"): 4, ("openvino", "fp32"): 2, ("openvino", "fp16"): 2}


def frames_a_call(evaluator: "Evaluator") -> int:
    """Return how many frames are best judged in one call on a processor; one where each is cut into tiles already."""
    engine, tiles = evaluator.engine, evaluator.bundle.manifest.input.tiles
    return TOGETHER.get((engine.name, engine.precision), 1) if tiles == (1, 1) else 1


@dataclass(frozen=True)
class Evaluator:
    """A verified bundle on a proven engine."""

    bundle: Bundle
    engine: Engine

    def evaluate(self, frame: Frame, rule: Rule | None = None) -> Evaluation:
        """Judge a uint8 (H, W, 3) BGR frame by `rule`, else by the bundle's own.

        A blank frame is not shown to the model: it would get a class. InputError where the model's answer is unusable.
        """
        evaluation = self.answer([self.prepare(frame, rule)])[0]
        if evaluation.cause is Cause.MODEL:
            raise InputError(evaluation.reason or "")
        return evaluation

    def evaluate_all(self, frames: Sequence[tuple[Frame, Rule]]) -> list[Evaluation]:
        """Judge several frames, each by its rule, in one call of the engine; one evaluation for each, in order.

        An unusable answer to one frame (`cause` MODEL) leaves the others as they are.
        """
        return self.answer([self.prepare(frame, rule) for frame, rule in frames])

    def answer(self, prepared: Sequence[Prepared]) -> list[Evaluation]:
        """Judge prepared frames as `evaluate_all` does."""
        shown = [one.views for one in prepared if one.evaluation.cause is None]
        started = time.perf_counter()
        answers = iter(self._answers(shown))
        infer_ms = (time.perf_counter() - started) * 1000 / max(len(shown), 1)
        return [
            one.evaluation
            if one.evaluation.cause is not None
            else self._decided(one.evaluation, *next(answers), infer_ms)
            for one in prepared
        ]

    def prepare(self, frame: Frame, rule: Rule | None = None) -> Prepared:
        """Look at a uint8 (H, W, 3) BGR frame that is to be judged by `rule`, else by the bundle's own.

        The frame itself is not kept.
        """
        started = time.perf_counter()
        spec = self.bundle.manifest.input
        canvas = spec.draw(frame)
        health = measure(spec.placement(*frame.shape[:2]).crop(canvas))  # bars would lend a blank picture detail
        views = spec.cut(canvas)
        elapsed = (time.perf_counter() - started) * 1000
        cause, reason = blank_cause(health, spec.radiometric), blank(health, spec.radiometric)
        rule = rule or self.bundle.manifest.rule(self.engine.precision)
        return Prepared(views, Evaluation(rule, health, elapsed, cause=cause, reason=reason))

    def _answers(self, shown: Sequence[Frames]) -> Iterable[tuple[Array, Array]]:
        """Run the model once on all views; return for each frame its scores (M,) and maps (T, C, h, w)."""
        if not shown:
            return ()
        head = self.bundle.manifest.head
        outputs = self.engine.run(shown[0] if len(shown) == 1 else np.concatenate(shown))
        scores, maps = head.scores(outputs), outputs[head.maps]
        scores = head.join_tiles(scores.reshape(len(shown), -1, scores.shape[1]))
        return zip(scores, maps.reshape(len(shown), -1, *maps.shape[1:]), strict=True)

    def _decided(self, prepared: Evaluation, scores: Array, maps: Array, infer_ms: float) -> Evaluation:
        rule = prepared.rule
        try:
            decision = rule.decide(scores)
        except InputError as error:
            return replace(prepared, infer_ms=infer_ms, cause=Cause.MODEL, reason=str(error))
        cams = rule.cams(self.bundle.manifest.input.join_maps(maps))
        return replace(prepared, infer_ms=infer_ms, decision=decision, cams=cams)
