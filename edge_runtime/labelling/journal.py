"""The journal of answers: one JSON line for everything that a person did, appended and never changed.

An answer is on disk before the page says that it is kept. Undoing is a line too, so nothing is ever lost, and a killed
program goes on where it stopped. A torn last line, as a power cut leaves it, is cut off when the journal is opened.
"""

import errno
import json
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..bundle.errors import InputError, UnavailableError, os_errors_as
from ..bundle.files import lock_file, sync_folder
from ..clock import iso
from .items import Box

LABEL, SOMETHING_ELSE, CANNOT_TELL = ANSWERS = ("label", "something_else", "cannot_tell")


@dataclass(frozen=True)
class Answer:
    """What a person said of the picture `id`: one of ANSWERS, and its label and boxes where the answer is LABEL.

    `width` and `height` are those of the upright picture that the boxes were drawn on. `seconds` is how long it was
    shown; `proposed` says whether label and boxes were the model's, unchanged; `note` is free text.
    """

    id: str
    answer: str
    label: str = ""
    boxes: tuple[Box, ...] = ()
    width: int = 0
    height: int = 0
    seconds: float = 0.0
    proposed: bool = False
    note: str = ""


@dataclass(frozen=True)
class Given:
    """An answer with who gave it, and when (ISO 8601, UTC)."""

    answer: Answer
    who: str
    when: str


@dataclass(frozen=True)
class _Action:
    """One line: answers that were given at once, or with `undoes` the number of the line that is taken back."""

    number: int
    who: str
    when: str
    answers: tuple[Answer, ...] = ()
    undoes: int | None = None


class Journal:
    """The journal at `path`, made where it is missing; it is locked while it is open, and safe between threads.

    UnavailableError where another program has it open or the disk fails, InputError where a line is no journal's.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._guard = path, threading.RLock()
        with os_errors_as(UnavailableError, f"the journal {path} cannot be written", "choose another --out"):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b", buffering=0)  # what a full disk refused must not come later
            sync_folder(path.parent)
        try:
            lock_file(self._file)
        except OSError:
            self._file.close()
            raise UnavailableError(f"{path} is open in another program; end that first") from None
        try:
            self._actions = self._read()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, which frees the lock."""
        self._file.close()

    def give(self, answers: Sequence[Answer], who: str) -> None:
        """Append answers that are one action: they are undone together."""
        if answers:
            self._append(who, answers=tuple(answers))

    def undo(self, who: str) -> list[str]:
        """Take back the newest action that still counts, whoever did it; return the ids of its pictures."""
        with self._guard:
            standing = self._standing()
            if not standing:
                return []
            self._append(who, undoes=standing[-1].number)
        return [answer.id for answer in standing[-1].answers]

    def current(self) -> dict[str, Given]:
        """Return the newest answer of each picture that still counts, by its id."""
        with self._guard:
            standing = self._standing()
        return {answer.id: Given(answer, action.who, action.when) for action in standing for answer in action.answers}

    def _standing(self) -> list[_Action]:
        undone = {action.undoes for action in self._actions}
        return [action for action in self._actions if action.answers and action.number not in undone]

    def _append(self, who: str, answers: tuple[Answer, ...] = (), undoes: int | None = None) -> None:
        now = iso(time.time())
        with self._guard:
            action = _Action(len(self._actions) + 1, who, now, answers, undoes)
            line = json.dumps(_as_json(action), ensure_ascii=False, separators=(",", ":")) + "\n"
            advice = "free or check the disk; the answer is not kept"
            with os_errors_as(UnavailableError, f"the journal {self._path} cannot be written", advice):
                self._whole(line.encode())
            self._actions.append(action)

    def _whole(self, data: bytes) -> None:
        """Write all of `data` durably, or take back what of it got onto the disk."""
        end = self._file.seek(0, os.SEEK_END)
        try:
            if self._file.write(data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())
        except OSError:
            os.ftruncate(self._file.fileno(), end)
            raise

    def _read(self) -> list[_Action]:
        self._file.seek(0)
        data = self._file.read()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            os.ftruncate(self._file.fileno(), len(whole))
        return [self._action(line, number) for number, line in enumerate(whole.splitlines(), 1)]

    def _action(self, line: bytes, number: int) -> _Action:
        try:
            found = json.loads(line)
            answers = tuple(_answer(one) for one in found.get("answers", ()))
            undoes = found.get("undoes")
            return _Action(
                number, str(found["who"]), str(found["when"]), answers, None if undoes is None else int(undoes)
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{self._path}, line {number} is no line of a labelling journal ({error}); restore the file from a "
                "copy, or choose another --out"
            ) from None


def _as_json(action: _Action) -> dict[str, Any]:
    """Return the line of an action; what is at its default is left out."""
    said: dict[str, Any] = {"who": action.who, "when": action.when}
    if action.undoes is not None:
        return {**said, "undoes": action.undoes}
    plain = Answer("", "")
    return {
        **said,
        "answers": [{k: v for k, v in asdict(one).items() if v != getattr(plain, k)} for one in action.answers],
    }


def _answer(found: Mapping[str, Any]) -> Answer:
    """Read one answer; ValueError, KeyError or TypeError where it is none. Keys of later versions are passed over."""
    known = {key: value for key, value in found.items() if key in Answer.__dataclass_fields__}
    x_y_w_h = [tuple(float(number) for number in box) for box in known.pop("boxes", ())]
    if any(len(box) != 4 for box in x_y_w_h) or known["answer"] not in ANSWERS:
        raise ValueError(f"an answer {known['answer']!r} with boxes {x_y_w_h}")
    return Answer(**known, boxes=tuple((box[0], box[1], box[2], box[3]) for box in x_y_w_h))
