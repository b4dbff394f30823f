"""The page that a technician hands in: what was not looked at and why, what was flagged, and every picture.

It is one file that asks for nothing from outside. Every name in it is escaped, and the sum of its pictures is bounded.
"""

import base64
import contextlib
import html
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import Template

from ..bundle.errors import InputError, UnavailableError, os_errors_as
from ..bundle.files import replace_file
from ..bundle.manifest import Manifest
from ..bundle.preprocess import Frame
from ..inference.evaluator import Evaluator
from ..media.file_kinds import OWN_MARK
from ..media.heatmap import fitted, overlay
from ..media.jpeg import encode_jpeg
from ..text_files import printable
from ..web.page_style import page_style
from .inputs import Inputs
from .results import Result, Tally, moment

PAGE = Path(__file__).with_name("report.html")  # a template of the standard library
FAULT_SIDE, CLEAR_SIDE = 480, 240  # pixels, the longer side of a picture with a fault, and of one without
QUALITY = 75  # of the JPEGs in the page
FAULT_BYTES, CLEAR_BYTES = 16 << 20, 8 << 20  # of pictures in the page; what comes later is told without its picture
LEFT_OUT = "Its picture is left out, since the page would become too large."


def with_pictures(result: Result, frame: Frame, manifest: Manifest) -> Result:
    """Return the result with its picture as a small JPEG, and where a fault is flagged with its map."""
    picture = encode_jpeg(fitted(frame, FAULT_SIDE if result.fault else CLEAR_SIDE), QUALITY)
    evaluation = result.evaluation
    if not result.fault or evaluation is None or evaluation.cam is None:
        return replace(result, picture=picture)
    drawn = overlay(frame, evaluation.cam, manifest.input, manifest.head.full_heat, FAULT_SIDE)
    return replace(result, picture=picture, map=encode_jpeg(drawn, QUALITY))


@contextlib.contextmanager
def open_report(path: Path, evaluator: Evaluator, inputs: Inputs) -> Iterator["Report"]:
    """Yield a report that is written when the block ends, however it ends: interrupted or failed, it says so.

    A first page is written at once: it shows that the file can be written, and a killed run leaves no older page.
    """
    report = Report(evaluator, inputs)
    with os_errors_as(InputError, f"{path} cannot be written", "choose another --report"):
        if path.exists() and not path.is_file():  # a pipe or device, which a page would take the place of
            raise InputError(f"{path} is no regular file; choose another --report")
        path = Path(os.path.realpath(path))  # a link stays one
        replace_file(path, report.page())
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield report
    finally:
        with os_errors_as(UnavailableError, f"the report {path} cannot be written", "free or check the disk"):
            replace_file(path, report.page())


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@dataclass
class Report:
    """Collects results as parts of a page. `whole` is set when all inputs have had their turn."""

    evaluator: Evaluator
    inputs: Inputs
    whole: bool = False
    began: float = field(default_factory=time.time)  # seconds since 1970
    tally: Tally = field(default_factory=Tally)
    unseen: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    clear: list[str] = field(default_factory=list)
    bytes_used: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})  # of faults, and of others

    def add(self, result: Result) -> None:
        """Add one result; its pictures are kept as text of the page, and nothing else of it."""
        self.tally.add(result)
        if not result.evaluated:
            self.unseen.append(f"<li>{_name(result)}<br>{_text(result.reason or '')}{_notes(result)}</li>")
        elif result.fault:
            self.faults.append(self._card(result))
        else:
            self.clear.append(self._card(result))

    def page(self) -> bytes:
        """Return the page as it stands, UTF-8."""
        manifest, engine = self.evaluator.bundle.manifest, self.evaluator.engine
        interrupted = (
            "" if self.whole else '<p class="trouble">The run did not end. What follows is what it had seen.</p>'
        )
        page = Template(PAGE.read_text(encoding="utf-8")).substitute(
            mark=OWN_MARK.decode(),
            style=page_style(),
            interrupted=interrupted,
            verdict=_verdict(self.tally, self.whole),
            unseen=_unseen(self.unseen),
            faults=_section("Flagged as a fault", "faults", self.faults),
            clear=_section("Nothing flagged", "clear", self.clear),
            left_out=_text(self.inputs.summary() or "nothing"),
            model=_text(f"{manifest.name} {manifest.version}"),
            digest=self.evaluator.bundle.digest,
            engine=_text(f"{engine.name}, {engine.precision}"),
            began=_local(self.began),
            ended=_local(time.time()) if self.whole else "did not end",
        )
        return page.encode("utf-8", "backslashreplace")

    def _card(self, result: Result) -> str:
        decision = result.evaluation.decision if result.evaluation else None
        if decision is None:
            return ""
        size = len(result.picture or b"") + len(result.map or b"")
        fits = self.bytes_used[result.fault] + size <= (FAULT_BYTES if result.fault else CLEAR_BYTES)
        self.bytes_used[result.fault] += size if fits else 0
        shots = _image(result.picture, "picture") + _image(result.map, "map")
        pictures = f'<div class="shots">{shots}</div>' if fits else f"<p>{LEFT_OUT}</p>"
        limit = f", threshold {decision.threshold:.3f}" if decision.threshold is not None else ""
        doubts = self.evaluator.bundle.manifest.doubts(decision.label) if result.fault else []
        caution = "".join(f'<p class="caution">{_text(doubt)}</p>' for doubt in doubts)
        return (
            f'<li class="card">{pictures}<h3>{_name(result)}</h3><p><strong>{_text(decision.label)}</strong> '
            f"probability {decision.probability:.3f}{limit}.{_notes(result)}</p>"
            f"{_bar(decision.probability, decision.threshold)}{caution}</li>"
        )


def _verdict(tally: Tally, whole: bool) -> str:
    blind = f" {tally.blind} not judged." if tally.blind else ""
    if tally.faults:
        state, word, said = "bad", "fault", f"{tally.faults} flagged as a fault.{blind}"
    elif tally.blind or not whole or not tally.clear:
        state, word, said = "warn", "look", f"No fault flagged, but not everything was looked at.{blind}"
    else:
        state, word, said = "ok", "clear", "No fault flagged in anything that was given."
    counts = (("bad", tally.faults, "flagged as a fault"), ("ok", tally.clear, "nothing flagged"))
    figures = "".join(
        f'<div class="figure" data-state="{kind if count else "off"}"><strong>{count}</strong><span>{what}</span></div>'
        for kind, count, what in (*counts, ("warn", tally.blind, "not judged"))
    )
    return (
        f'<section class="card verdict" data-state="{state}"><p class="headline"><span class="pill" '
        f'data-state="{state}">{word}</span> {said}</p><div class="figures">{figures}</div></section>'
    )


def _unseen(items: list[str]) -> str:
    hint = "These are neither healthy nor faulty. Look at them yourself, or mend what is said and run it again."
    named = f"<h2>Not judged ({len(items)})</h2><p>{hint}</p><ul>{''.join(items)}</ul>"
    return f'<section class="card">{named}</section>' if items else ""


def _section(title: str, kind: str, cards: list[str]) -> str:
    body = f'<ul class="cards {kind}">{"".join(cards)}</ul>' if cards else "<p>None.</p>"
    return f'<section class="card"><h2>{title} ({len(cards)})</h2>{body}</section>'


def _bar(probability: float, threshold: float | None) -> str:
    """Draw a probability as a bar, with a mark at the threshold; the words beside it say the same."""
    mark = "" if threshold is None else f'<b class="mark" style="left:{100 * threshold:.1f}%"></b>'
    state = "" if threshold is None or probability < threshold else ' data-state="bad"'
    return (
        f'<span class="measure"{state} aria-hidden="true"><i style="width:{100 * probability:.1f}%"></i>{mark}</span>'
    )


def _image(jpeg: bytes | None, what: str) -> str:
    return f'<img alt="{what}" src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}">' if jpeg else ""


def _name(result: Result) -> str:
    return _text(f"{result.path}{moment(result)}")


def _notes(result: Result) -> str:
    return f"<br>{_text('; '.join(result.notes))}" if result.notes else ""


def _text(text: str) -> str:
    return html.escape(printable(text))


def _local(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))
