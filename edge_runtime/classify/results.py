"""The results of `edge-classify`, one for each input, written as a table, JSON lines or CSV."""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import click

from ..bundle.decision import group_json
from ..bundle.errors import UnavailableError
from ..inference.evaluator import Evaluation, Evaluator
from ..text_files import printable

NOTHING_FLAGGED, FAULT_FLAGGED, NOT_ALL_EVALUATED = 0, 10, 11  # exit codes

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # the wide ones count in East Asian versions
TOP = 5  # labels listed with their probability

Writer = Callable[["Result"], None]


@dataclass(frozen=True)
class Result:
    """One input, one page of it (from 1), or one frame of a video.

    `evaluation` is None where not even a picture could be had.
    """

    path: Path
    reason: str | None = None  # why it could not be evaluated
    evaluation: Evaluation | None = None
    notes: tuple[str, ...] = ()
    decode_ms: float | None = None
    frame: int | None = None
    seconds: float | None = None
    heatmap: Path | None = None
    page: int | None = None
    picture: bytes | None = None  # JPEG for the report page
    map: bytes | None = None  # the same under the heat of the reported label

    @property
    def part(self) -> str:
        """Which part of the input it is of, as a suffix of file names; empty for the whole."""
        return f"-{self.frame:06d}" if self.frame is not None else f"-page{self.page}" if self.page is not None else ""

    @property
    def evaluated(self) -> bool:
        """Whether there is a label."""
        return self.reason is None

    @property
    def fault(self) -> bool:
        """Whether a fault is flagged."""
        return self.evaluation is not None and self.evaluation.decision is not None and self.evaluation.decision.fault

    def to_json(self, evaluator: Evaluator) -> dict[str, Any]:
        """Return the JSON line. What is not known is null: without an evaluation, `label` and `fault` are.

        `top` lists the `TOP` most probable labels; of a spatial head those of the seen group and what is flagged.
        `group` (null without a spatial head) is the equipment that is seen, and `evidence` says what taught its maps.
        """
        evaluation = self.evaluation
        decision = evaluation.decision if evaluation else None
        top = decision.top[:TOP] if decision else ()
        return {
            "path": str(self.path),
            "frame": self.frame,
            "seconds": self.seconds,
            "page": self.page,
            "status": "ok" if self.evaluated else "not_evaluable",
            "reason": self.reason,
            "label": decision.label if decision else None,
            "probability": round(decision.probability, 6) if decision else None,
            "fault": decision.fault if decision else None,
            "threshold": decision.threshold if decision else None,
            "top": [{"label": label, "probability": round(p, 6)} for label, p in top],
            "group": group_json(decision) if decision else None,
            "evidence": evaluator.bundle.manifest.head.evidence,
            "health": evaluation.health.to_json() if evaluation else None,
            "notes": list(self.notes),
            "heatmap": str(self.heatmap) if self.heatmap else None,
            "model": evaluator.bundle.identity(),
            "engine": evaluator.engine.name,
            "precision": evaluator.engine.precision,
            "ms": {
                "decode": _rounded(self.decode_ms),
                "preprocess": _rounded(evaluation.preprocess_ms if evaluation else None),
                "infer": _rounded(evaluation.infer_ms if evaluation else None),
            },
        }


def make_writer(style: str, stream: IO[str], evaluator: Evaluator) -> Writer:
    """Return a function that writes one result to `stream` at once. `style` is table, jsonl or csv."""
    line = {"table": _table, "jsonl": _json_lines, "csv": _csv}[style](stream, evaluator)

    def write(result: Result) -> None:
        try:
            line(result)
            stream.flush()  # somebody may be watching a long run
        except BrokenPipeError:  # the reader has had enough, as in `| head`: no failure of ours
            raise
        except OSError as error:
            raise UnavailableError(
                f"the results cannot be written ({error.strerror}); free or check the disk"
            ) from error

    return write


class Tally:
    """Counts results on their way out."""

    def __init__(self) -> None:
        self.faults = self.clear = self.blind = 0

    def add(self, result: Result) -> None:
        """Count one result."""
        self.faults += result.fault
        self.blind += not result.evaluated
        self.clear += result.evaluated and not result.fault

    @property
    def exit_code(self) -> int:
        """The exit code: 0 nothing flagged, 10 a fault, 11 no fault but something, or everything, was not evaluated."""
        if self.faults:
            return FAULT_FLAGGED
        return NOTHING_FLAGGED if self.clear and not self.blind else NOT_ALL_EVALUATED

    def __str__(self) -> str:
        return f"{self.faults} with a fault, {self.clear} without, {self.blind} not evaluated"


def _json_lines(stream: IO[str], evaluator: Evaluator) -> Writer:
    return lambda result: print(json.dumps(result.to_json(evaluator), ensure_ascii=False), file=stream)


def _csv(stream: IO[str], evaluator: Evaluator) -> Writer:
    """Write the scalar fields of the JSON line; nested ones as name.field, lists left out.

    No text begins like a formula, which a spreadsheet would run.
    """
    rows: csv.DictWriter[str] | None = None

    def write(result: Result) -> None:
        nonlocal rows
        row = _flat(result.to_json(evaluator))
        if rows is None:
            rows = csv.DictWriter(stream, list(row), lineterminator="\n")
            rows.writeheader()
        rows.writerow(row)

    return write


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    health = record.pop("health") or {"mean": None, "std": None, "sharpness": None}
    group = record.pop("group") or {"label": None, "probability": None}
    nested = {"group": group, "health": health, "model": record.pop("model"), "ms": record.pop("ms")}
    flat = {key: value for key, value in record.items() if not isinstance(value, list)}
    flat |= {f"{name}.{key}": value for name, group in nested.items() for key, value in group.items()}
    return {key: _harmless(value) if isinstance(value, str) else value for key, value in flat.items()}


def _harmless(text: str) -> str:
    """Return the text with an apostrophe before what a spreadsheet takes for the beginning of a formula.

    A carriage return is escaped: the csv module leaves it bare, and a spreadsheet would begin a row there.
    """
    return ("'" if text.startswith(FORMULA) else "") + text.replace("\r", "\\r")


def _table(stream: IO[str], evaluator: Evaluator) -> Writer:
    wide = max(len(label) for label in evaluator.bundle.manifest.labels)
    coloured = stream.isatty()
    doubts = evaluator.bundle.manifest.doubts

    def write(result: Result) -> None:
        mark, colour = ("FAULT", "red") if result.fault else ("ok", "green") if result.evaluated else ("?", "yellow")
        cells = f"{mark:<5}  {_verdict(result, wide)}  {_place(result, doubts)}"
        print(click.style(cells, fg=colour, bold=result.fault) if coloured else cells, file=stream)

    return write


def _verdict(result: Result, wide: int) -> str:
    decision = result.evaluation.decision if result.evaluation else None
    if decision is None:
        return f"not evaluated: {printable(result.reason or '')}"
    threshold = f"(threshold {decision.threshold:.3f})" if decision.threshold is not None else ""
    return f"{decision.label:<{wide}}  {decision.probability:.3f}  {threshold:<17}"


def _place(result: Result, doubts: Callable[[str], list[str]]) -> str:
    decision = result.evaluation.decision if result.evaluation else None
    told = [*result.notes, *(doubts(decision.label) if decision and decision.fault else ())]
    notes = f"  [{printable('; '.join(told))}]" if told else ""
    return printable(str(result.path)) + moment(result) + notes


def moment(result: Result) -> str:
    """Return which page or which moment of a video the result is of, to stand behind a path; empty for the whole."""
    page = f" page {result.page}" if result.page is not None else ""
    return page + (f" at {result.seconds:.1f} s" if result.seconds is not None else "")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
