"""A candidate sees its share of live views; what it tells otherwise, and what it cannot tell, is counted."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edge_runtime.alerts.votes import VoteRule, camera_rule
from edge_runtime.bundle.decision import DecisionRule
from edge_runtime.bundle.errors import UnavailableError
from edge_runtime.bundle.store import open_bundle
from edge_runtime.inference.engines import load_engine
from edge_runtime.inference.evaluator import Evaluator
from edge_runtime.station.self_test import FaultPictures
from edge_runtime.station.updating.model_switch import LoadedModel
from edge_runtime.station.updating.shadow import Shadow
from edge_runtime.updates.settings import UpdatesSection
from tests.support.colour_bundle import RULE
from tests.support.live_models import ALWAYS_RUST
from tests.support.sample_events import judged_view, wait_until

GREEN = (20, 200, 20)  # with a little of the other colours, as a lens has it


class Engine:
    """The colour model, with `act` before each answer."""

    name, precision = "cpu", "fp32"

    def __init__(self, bundle: Path, act: Callable[[], None]) -> None:
        self._engine, self._act = load_engine(open_bundle(bundle), "cpu", "fp32"), act

    def run(self, frames):
        self._act()
        return self._engine.run(frames)


def shadow(packed: Path, rule: DecisionRule = RULE, act: Callable[[], None] = lambda: None, **section: float) -> Shadow:
    bundle = open_bundle(packed)
    rules = {"yard": camera_rule(rule, VoteRule(), {})}
    model = LoadedModel(Evaluator(bundle, Engine(packed, act)), rules, FaultPictures(bundle))
    made = Shadow(model, UpdatesSection(**{"shadow_share": 1.0, "shadow_frames": 10, **section}))
    made.start()
    return made


def feed(made: Shadow, views: int) -> None:
    """Offer views one by one, each when the one before is judged."""
    for _ in range(views):
        if made.done:
            return
        seen = made.seen
        made.offer([judged_view(GREEN)])
        wait_until(lambda seen=seen: made.seen > seen or made.done)


def test_a_candidate_that_tells_the_same_passes(packed):
    made = shadow(packed)
    feed(made, 9)
    assert not made.done
    feed(made, 1)
    assert made.done
    assert made.failure is None
    assert made.summary.startswith("0 of 10 frames told otherwise")


def test_a_candidate_that_tells_too_many_otherwise_fails_before_the_last_frame(packed):
    made = shadow(packed, ALWAYS_RUST, most_disagreement=0.2)
    feed(made, 10)
    assert (made.seen, made.differing) == (3, 3)
    assert made.failure.reason.value == "shadow"
    assert made.failure.detail.startswith("3 of 3 frames told otherwise")


def test_a_candidate_whose_engine_fails_is_told_and_asked_no_more(packed):
    def fail() -> None:
        raise UnavailableError("the device is gone")

    made = shadow(packed, act=fail)
    feed(made, 1)
    assert made.done
    assert made.failure.detail == "beside the serving model, the candidate gave no verdict: the device is gone"


def test_only_a_share_is_shown_and_views_without_a_verdict_never_are(packed):
    shown = threading.Semaphore(0)
    made = shadow(packed, act=shown.release, shadow_share=0.25)
    unfit = judged_view(GREEN)
    unfit = replace(unfit, evaluation=replace(unfit.evaluation, decision=None))
    for _ in range(8):
        made.offer([unfit])
    for turn in range(1, 13):
        made.offer([judged_view(GREEN)])
        wait_until(lambda turn=turn: made.seen == turn // 4)
    assert made.seen == 3
    made.stop()


@pytest.mark.parametrize("busy", [False, True])
def test_a_slow_candidate_delays_nobody_and_can_be_stopped(packed, busy):
    free = threading.Event()
    made = shadow(packed, act=lambda: bool(free.wait(30)))
    if busy:
        for _ in range(100):  # the first is at work, one waits, the others are let go
            made.offer([judged_view(GREEN)])
        assert made.seen == 0
    made.stop()
    free.set()
    wait_until(lambda: not made._thread.is_alive())
    assert made.seen <= 2
