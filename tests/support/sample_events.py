"""Records whose order can be told, a small view as the colour model judges it, and waiting with a deadline."""

import time
import uuid
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from edge_runtime.alerts.events import ALARM, HEARTBEAT, UPDATE, JudgedView, Record
from edge_runtime.alerts.outbox import Outbox
from edge_runtime.inference.blank_check import measure
from edge_runtime.inference.evaluator import Evaluation
from tests.support.colour_bundle import LABELS, RULE

T = TypeVar("T")


def record(number: int, camera: str = "yard", kind: str = ALARM, size: int = 0) -> Record:
    """The `number`-th record of `camera`, with one picture of `size` bytes where that is not 0."""
    identity = str(uuid.uuid4())
    camera = "" if kind in (HEARTBEAT, UPDATE) else camera
    document = {"id": identity, "kind": kind, "station": "north-7", "camera": camera, "number": number}
    return Record(identity, kind, camera, document, {"frame": bytes(size)} if size else {})


def judged_view(colour: tuple[int, int, int], camera: str = "yard", test: bool = False) -> JudgedView:
    """A 64 x 48 picture whose left half has `colour` (BGR), and what the colour model says of it."""
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[:, :32] = colour
    logits = np.array([[frame[..., plane].mean() / 32 for plane in (1, 2, 0)]])
    cams = {label: frame[::6, ::8, plane] / np.float32(32) for label, plane in zip(LABELS, (1, 2, 0), strict=True)}
    decision = RULE.decide(logits[0])
    return JudgedView(camera, frame, Evaluation(RULE, measure(frame), 0.0, 0.0, decision, cams), 0.0, test=test)


def delivery_states(outbox: Outbox, sink: str) -> Counter[str]:
    """How many alarms are in which state of delivery to `sink`."""
    return Counter(outbox.states(entry.seq)[sink][0] for entry in outbox.recent(ALARM))


def wait_until(condition: Callable[[], T], seconds: float = 90.0) -> T:
    """Return what `condition()` does as soon as it holds; AssertionError when it does not in time.

    The deadline only ends a test that has failed, so it is long: a busy machine takes ten times as long as an idle one.
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.01)
    return found
