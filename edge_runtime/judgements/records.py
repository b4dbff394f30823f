"""A judgement: what a person said of one alarm, or of one picture, and of what the model had said of it."""

import math
import time as clock
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from ..bundle.errors import InputError
from ..clock import from_iso, iso

Box = tuple[float, float, float, float]
"""x, y, width and height from the top left corner, as fractions 0..1 of the picture that was judged."""

MOST_BOXES = 64
MOST_CHARACTERS = {"note": 1000}  # of the texts; of all others MOST_OF_A_TEXT
MOST_OF_A_TEXT = 200
OVER = 1e-6  # by which a box may leave the picture for want of digits
TEXTS = ("id", "event", "camera", "region", "label", "true_label", "judge", "role", "time", "captured", "model", "note")


class Verdict(str, Enum):
    """What a person says: the alarm's label is right, there is no fault, it is another class, or one cannot tell."""

    RIGHT = "right"
    WRONG = "wrong"
    OTHER = "other"
    UNSURE = "unsure"


@dataclass(frozen=True)
class Judgement:
    """One judgement; `boxes` are where the judge says that the fault is, empty where none were drawn.

    `event` is the id of the alarm, or of whatever was judged. `label` and `probability` are what the model said,
    `model` is the digest of its bundle. `true_label` is what the judge says where the verdict is OTHER, else empty.
    `time` is when the person judged and `captured` when the frame was taken, both ISO 8601 in UTC. `region` is empty
    for a whole frame. InputError where the texts, numbers or boxes cannot be those of a judgement.
    """

    id: str
    event: str
    camera: str
    region: str
    label: str
    verdict: Verdict
    true_label: str
    boxes: tuple[Box, ...]
    judge: str
    role: str
    time: str
    captured: str
    model: str
    probability: float
    note: str = ""

    def __post_init__(self) -> None:
        for name in TEXTS:
            _check_text(name, getattr(self, name), MOST_CHARACTERS.get(name, MOST_OF_A_TEXT))
        if not (self.id and self.event and self.label and self.judge):
            raise InputError("a judgement names its id, the event, the model's label and who judged; one is missing")
        if not _is_number(self.probability) or not 0 <= self.probability <= 1:
            raise InputError(f"the probability is {self.probability!r}, expected a number from 0 to 1")
        if (self.verdict is Verdict.OTHER) != bool(self.true_label):
            raise InputError("another class has to be named, and only then; choose the class, or another verdict")
        if len(self.boxes) > MOST_BOXES:
            raise InputError(f"{len(self.boxes)} boxes are drawn, at most {MOST_BOXES} are kept")
        for box in self.boxes:
            _check_box(box)
        for when in (self.time, self.captured):
            week_of(when)

    @property
    def said(self) -> tuple[Verdict, str]:
        """What was said, apart from who said it; see `disagree`."""
        return self.verdict, self.true_label

    def to_json(self) -> dict[str, Any]:
        """Return the object that `read_judgement` reads."""
        return {**asdict(self), "verdict": self.verdict.value, "boxes": [list(box) for box in self.boxes]}


def disagree(said: Sequence[Judgement]) -> bool:
    """Whether judges of one event say different things of it."""
    return len({judgement.said for judgement in said}) > 1


def drawn_boxes(said: Sequence[Judgement]) -> tuple[Box, ...]:
    """Return the boxes of the last judgement of one event that has any; none where nobody drew any."""
    return next((judgement.boxes for judgement in reversed(said) if judgement.boxes), ())


def judge_event(
    document: Mapping[str, Any],
    verdict: Verdict,
    judge: str,
    role: str,
    true_label: str = "",
    boxes: Sequence[Sequence[float]] = (),
    note: str = "",
) -> Judgement:
    """Return a new judgement of the alarm or sample with this document (docs/EVENTS.md), made now.

    InputError where it is a test, whose fault the station made itself, or where the judgement cannot be one.
    """
    if document.get("test"):
        raise InputError("this alarm is a test of the station by itself; there is nothing to judge")
    content = {
        "id": str(uuid.uuid4()),
        "event": document.get("id"),
        "camera": document.get("camera", ""),
        "region": document.get("region", ""),
        "label": document.get("label"),
        "verdict": verdict.value,
        "true_label": true_label,
        "boxes": boxes,
        "judge": judge,
        "role": role,
        "time": iso(clock.time()),
        "captured": document.get("time"),
        "model": document.get("model", {}).get("digest", ""),
        "probability": document.get("probability"),
        "note": note,
    }
    return read_judgement(content)


def read_judgement(content: Mapping[str, Any]) -> Judgement:
    """Return the judgement in a JSON object, whoever wrote that; InputError where it is none."""
    known = {name: content.get(name, "") for name in Judgement.__dataclass_fields__}
    try:
        boxes = tuple(tuple(box) for box in known["boxes"] or ())
        return Judgement(**{**known, "verdict": Verdict(known["verdict"]), "boxes": boxes})
    except (TypeError, ValueError) as error:
        raise InputError(f"this is no judgement ({error})") from error


def week_of(time: str) -> str:
    """Return the ISO week of an ISO 8601 time, as `2026-W48`; InputError where that is no time."""
    try:
        year, week, _ = from_iso(time).isocalendar()
    except ValueError as error:
        raise InputError(f"{time!r} is no time, expected one like 2026-11-23T02:10:00.000Z") from error
    return f"{year:04d}-W{week:02d}"


def _check_text(name: str, text: object, most: int) -> None:
    if not isinstance(text, str) or len(text) > most:
        raise InputError(f"{name} of a judgement is no text of at most {most} characters")
    if any(not char.isprintable() and not (name == "note" and char == "\n") for char in text):
        raise InputError(f"{name} of a judgement holds characters that cannot be shown")


def _check_box(box: Sequence[object]) -> None:
    numbers = [number for number in box if _is_number(number)]
    if len(numbers) != 4 or len(box) != 4:
        raise InputError(f"a box is {list(box)}, expected four numbers: x, y, width, height")
    x, y, width, height = (float(number) for number in numbers)  # type: ignore[arg-type]
    inside = x >= -OVER and y >= -OVER and x + width <= 1 + OVER and y + height <= 1 + OVER
    if not inside or width <= 0 or height <= 0:
        raise InputError(f"the box {list(box)} does not lie in the picture; expected fractions of it from 0 to 1")


def _is_number(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False
