"""The gate: a floor that always holds, a raised rate while something changes, and light that is no change."""

import cv2
import numpy as np

from edge_runtime.cameras.change_gate import ChangeGate, GateLimits
from edge_runtime.cameras.thumbnail import thumbnail_of
from tests.support.night_clips import light_at, scene, sensed

LIMITS = GateLimits(floor_rate=0.5, top_rate=2.0, hold_seconds=5.0)
STEP = 0.2


def passes(gate, frames, start=0.0):
    """Times at which frames went to the model."""
    times = []
    for number, frame in enumerate(frames):
        now = start + number * STEP
        gate.show(thumbnail_of(frame), now)
        if gate.admit(now):
            times.append(now)
    return times


def still(count):
    return [sensed(scene(1), 1.0) for _ in range(count)]


def test_the_floor_rate_holds_without_any_change():
    times = passes(ChangeGate(LIMITS), still(300))
    assert len(times) == 30
    assert np.allclose(np.diff(times), 2.0)


def test_a_person_raises_the_rate_and_it_falls_again():
    gate = ChangeGate(LIMITS)
    passes(gate, still(50))
    frames = still(25)
    for number, frame in enumerate(frames):
        cv2.rectangle(frame, (20 + 6 * number, 100), (50 + 6 * number, 220), (30, 40, 200), -1)
    assert np.allclose(np.diff(passes(gate, frames, 10.0)[1:]), 0.6)  # of 0.2 s steps the first at or after 0.5 s
    after = passes(gate, still(200), 15.0)
    assert np.isclose(np.diff(after)[-1], 2.0)
    assert not gate.active(55.0)


def test_light_and_noise_do_not_raise_the_rate():
    gate = ChangeGate(LIMITS)
    frames = [sensed(scene(1), light_at(number * STEP, 1.0)) for number in range(600)]
    assert len(passes(gate, frames)) <= 62
    assert not gate.active(599 * STEP)


def test_what_stays_becomes_background():
    gate = ChangeGate(LIMITS)
    passes(gate, still(50))
    parked = scene(1).copy()
    cv2.rectangle(parked, (100, 100), (180, 200), (200, 200, 200), -1)
    passes(gate, [sensed(parked, 1.0) for _ in range(500)], 10.0)
    assert not gate.active(110.0)
