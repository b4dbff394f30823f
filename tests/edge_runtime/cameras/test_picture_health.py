"""Health before the model: the right cause within 15 seconds, no verdict while blind, no false alarm in a night."""

import cv2
import numpy as np
import pytest

from edge_runtime.cameras.picture_health import Condition, HealthLimits, PictureHealth
from edge_runtime.cameras.regions import Unmasked, paint
from edge_runtime.cameras.thumbnail import temporal_noise, thumbnail_of
from edge_runtime.causes import Cause
from tests.support.night_clips import NOISE, THERMAL, normal_night, scene, sensed, thermal

needs_pictures = pytest.mark.skipif(not THERMAL.exists(), reason="the real pictures are not in ../shared/data")
STEP = 0.2  # seconds between looks
RNG = np.random.default_rng(0)


def checked(health, frame, now):
    """The condition with a frame uint8 (H, W, 3)."""
    return health.check(thumbnail_of(frame), now)


def shifted(picture):
    return np.roll(picture, (picture.shape[0] // 6, picture.shape[1] // 4), (0, 1))


def blurred(picture):
    return cv2.GaussianBlur(picture, (0, 0), picture.shape[1] / 20)


def cloth(picture):
    shade = np.linspace(40, 70, picture.shape[1], dtype=np.float32)[None, :, None]
    return np.broadcast_to(shade, picture.shape)


def grey(picture):
    luma = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    return cv2.cvtColor((255 * (luma / 255.0) ** 0.8).astype(np.uint8), cv2.COLOR_GRAY2BGR)


def infrared(picture):
    """As a night-mode sensor gives it: its noise has no colour either."""
    return grey(sensed(picture, 1.0))


FAULTS = {
    Cause.BLACK: lambda picture, _: sensed(picture * np.float32(0), 1.0, 2.0),
    Cause.OVEREXPOSED: lambda picture, _: sensed(picture.astype(np.float32) + 240, 1.0),
    Cause.COVERED: lambda picture, _: sensed(cloth(picture), 1.0),
    Cause.NOISE: lambda picture, _: RNG.integers(0, 255, picture.shape, np.uint8),
    Cause.MOVED: lambda picture, _: sensed(shifted(picture), 1.0),
    Cause.FROZEN: lambda _, last: last,
    Cause.RESIZED: lambda picture, _: sensed(cv2.resize(picture, None, fx=0.5, fy=0.5), 1.0),
    Cause.INFRARED: lambda picture, _: infrared(picture),
}


def healthy(health, picture, seconds=20.0, start=0.0):
    """Feed good frames; the last of them, and the time after it."""
    steps = int(seconds / STEP)
    for number in range(steps):
        frame = sensed(picture, 1.0)
        condition = checked(health, frame, start + number * STEP)
        assert condition.cause is None
        assert condition.fit
    return frame, start + steps * STEP


PICTURES = [pytest.param(lambda: scene(3), id="drawn")] + [
    pytest.param(lambda number=number: thermal(number), id=f"thermal-{number}", marks=needs_pictures)
    for number in (10, 333, 600)
]


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("cause", FAULTS, ids=lambda cause: cause.value)
def test_a_fault_is_named_within_15_seconds_and_nothing_is_judged_meanwhile(picture, cause):
    picture = picture()
    health = PictureHealth(HealthLimits(infrared=False))
    last, began = healthy(health, picture)
    named = None
    for number in range(int(15 / STEP)):
        now = began + number * STEP
        condition = checked(health, FAULTS[cause](picture, last), now)
        if condition.cause is not None and named is None:
            assert condition.cause is cause
            named = now
            assert condition.since == pytest.approx(began, abs=2 * STEP)
        assert not condition.fit or (cause is Cause.FROZEN and named is None)
        if cause is Cause.RESIZED and now - began > HealthLimits().settle_seconds - STEP:
            break
    assert named is not None


@pytest.mark.parametrize("cause", [c for c in FAULTS if c is not Cause.RESIZED], ids=lambda cause: cause.value)
def test_a_fault_that_ends_is_lifted_within_five_seconds(cause):
    picture = scene(3)
    health = PictureHealth(HealthLimits(infrared=False))
    last, now = healthy(health, picture)
    for _ in range(int(30 / STEP)):
        blind = checked(health, FAULTS[cause](picture, last), now)
        now += STEP
    assert blind.cause is cause
    conditions = [checked(health, sensed(picture, 1.0), now + number * STEP) for number in range(int(5 / STEP))]
    assert conditions[-1].cause is None
    assert conditions[-1].fit


def test_defocus_is_covered():
    health = PictureHealth()
    _, now = healthy(health, scene(3))
    soft = blurred(scene(3))
    conditions = [checked(health, sensed(soft, 1.0), now + number * STEP) for number in range(50)]
    assert conditions[-1].cause is Cause.COVERED


def test_a_picture_repeated_at_25_frames_a_second_is_frozen():
    health = PictureHealth()
    last, now = healthy(health, scene(3))
    conditions = [checked(health, last, now + number / 25) for number in range(15 * 25)]
    assert conditions[-1].cause is Cause.FROZEN
    assert conditions[-1].since == pytest.approx(now, abs=0.3)


def test_a_codec_that_repeats_a_still_scene_between_key_frames_is_learnt():
    """x264 at a low rate repeated a still scene for up to 24 s (docs/LOG.md)."""
    health = PictureHealth()
    stills = [sensed(scene(3), 1.0, noise=1.0) for _ in range(21)]
    alarmed = set()
    for number in range(int(20 * 25 / STEP)):
        now = number * STEP
        if checked(health, stills[int(now / 25)], now).cause is Cause.FROZEN and now % 25 > 5:
            alarmed.add(int(now / 25))
    assert alarmed == {0, 1, 2}
    frozen = [checked(health, stills[20], 500 + number * STEP).cause for number in range(int(45 / STEP))]
    assert frozen[-1] is Cause.FROZEN


def test_one_changed_digit_of_an_on_screen_clock_is_not_frozen():
    health = PictureHealth()
    still = scene(3, (720, 1280))
    for number in range(100):
        frame = still.copy()
        cv2.putText(frame, f"{number // 5:06d}", (20, 40), cv2.FONT_HERSHEY_SIMPLEX, 1, (255, 255, 255), 2)
        assert checked(health, frame, number * STEP).cause is None


def test_a_flash_is_withheld_and_not_reported():
    health = PictureHealth()
    picture = scene(3)
    _, now = healthy(health, picture)
    flash = checked(health, np.full_like(picture, 255), now)
    assert (flash.cause, flash.fit) == (None, False)
    conditions = [checked(health, sensed(picture, 1.0), now + number * STEP) for number in range(1, 10)]
    assert all(condition.fit for condition in conditions[2:])
    assert {condition.cause for condition in conditions} == {None}


def test_infrared_settles_and_is_then_judged_and_so_is_the_way_back():
    health = PictureHealth()
    picture = scene(3)
    _, now = healthy(health, picture)
    for view in (infrared, lambda picture: sensed(picture, 1.0)):
        conditions = []
        for _ in range(int(20 / STEP)):
            conditions.append(checked(health, view(picture), now))
            now += STEP
        assert conditions[0].cause is Cause.INFRARED
        assert {c.cause for c in conditions} == {None, Cause.INFRARED}
        assert conditions[-1].fit


def test_a_new_size_settles_and_is_then_judged():
    health = PictureHealth()
    _, now = healthy(health, scene(3))
    small = cv2.resize(scene(3), (192, 144))
    conditions = [checked(health, sensed(small, 1.0), now + number * STEP) for number in range(100)]
    assert conditions[0].cause is Cause.RESIZED
    assert conditions[-1].fit


def black(picture):
    return FAULTS[Cause.BLACK](picture, None)


def test_the_frame_on_which_a_black_picture_comes_back_is_not_called_noise():
    picture = scene(3)
    health = PictureHealth()
    _, now = healthy(health, picture)
    conditions = [checked(health, black(picture), now + number * STEP) for number in range(300)]
    now += 300 * STEP
    conditions += [checked(health, sensed(picture, 1.0), now + number * STEP) for number in range(25)]
    assert {condition.cause for condition in conditions} == {None, Cause.BLACK}
    assert conditions[-1].cause is None


def test_a_cause_that_follows_another_begins_when_it_was_first_seen():
    picture = scene(3)
    health = PictureHealth()
    _, began = healthy(health, picture)
    for number in range(300):
        assert checked(health, black(picture), began + number * STEP).cause in (None, Cause.BLACK)
    moved = began + 300 * STEP
    conditions = [checked(health, sensed(shifted(picture), 1.0), moved + n * STEP) for n in range(50)]
    assert conditions[-1].cause is Cause.MOVED
    assert conditions[-1].since == pytest.approx(moved, abs=2 * STEP)


def test_a_camera_that_was_covered_for_long_and_then_looks_elsewhere_has_moved():
    picture = scene(3)
    health = PictureHealth(HealthLimits(accept_seconds=30))
    _, now = healthy(health, picture)
    for number in range(200):
        checked(health, black(picture), now + number * STEP)
    now += 200 * STEP
    conditions = [checked(health, sensed(shifted(picture), 1.0), now + number * STEP) for number in range(100)]
    assert not any(condition.fit for condition in conditions)
    assert conditions[-1].cause is Cause.MOVED


def test_a_scene_that_stays_elsewhere_is_accepted_after_the_time_that_was_set():
    health = PictureHealth(HealthLimits(accept_seconds=60))
    _, now = healthy(health, scene(3))
    away = shifted(scene(3))
    conditions = [checked(health, sensed(away, 1.0), now + number * STEP) for number in range(400)]
    assert conditions[int(50 / STEP)].cause is Cause.MOVED
    assert conditions[-1].fit
    back = [checked(health, sensed(scene(3), 1.0), now + (400 + number) * STEP) for number in range(10)]
    assert all(condition.fit for condition in back[3:])  # the old view is remembered


def test_a_lens_covered_from_the_first_frame_on_is_noticed():
    health = PictureHealth()
    flat = np.full((288, 384, 3), 90, np.uint8)
    conditions = [checked(health, sensed(flat, 1.0), number * STEP) for number in range(50)]
    assert conditions[-1].cause is Cause.COVERED


@pytest.mark.parametrize("seed", range(4))
def test_a_scene_with_less_detail_than_noise_is_called_neither_covered_nor_moved(seed):
    cv2.setRNGSeed(seed)
    health = PictureHealth()
    ramp = np.broadcast_to(np.linspace(60, 110, 384, dtype=np.float32)[None, :, None], (288, 384, 3))
    healthy(health, ramp, seconds=60)


def test_noise_is_measured_in_grey_levels():
    """Four sampled points are averaged, so half the sensor's noise is left of one channel, and of three less."""
    flat = np.full((360, 640, 3), 120, np.float32)
    one, two = (thumbnail_of(sensed(flat, 1.0)).luma for _ in range(2))
    weights = np.array([0.114, 0.587, 0.299])
    assert temporal_noise(one, two) == pytest.approx(NOISE / 2 * float((weights**2).sum() ** 0.5), rel=0.15)


@needs_pictures
@pytest.mark.parametrize("number", [10, 150])
def test_a_normal_night_of_eight_hours_raises_no_false_alarm(number):
    health = PictureHealth()
    alarms = [
        (seconds, condition.cause)
        for seconds, frame in normal_night(thermal(number), hours=8, step=8.0, seed=number)
        if (condition := checked(health, frame, seconds)).cause is not None or not condition.fit
    ]
    assert alarms == []


def test_stills_are_judged_whatever_changed_between_two_of_them_but_not_where_they_show_nothing():
    health = PictureHealth(HealthLimits(stills=True, hold_seconds=0.0, clear_seconds=0.0))
    views = [scene(3), scene(4), cv2.resize(scene(3), None, fx=0.5, fy=0.5), grey(scene(3)), blurred(scene(3))]
    for now, view in enumerate([*views, *views]):
        assert checked(health, sensed(view, 1.0), now * STEP).fit
    black = checked(health, sensed(scene(3) * np.float32(0), 1.0, 2.0), 3.0)
    assert (black.cause, black.fit) == (Cause.BLACK, False)
    last = sensed(scene(3), 1.0)
    assert [checked(health, last, now).cause for now in (4.0, 9.0, 14.0)] == [None, None, Cause.FROZEN]
    assert checked(health, sensed(scene(3), 1.0), 15.0).fit


LEFT, TOP_AND_MIDDLE = ((0, 0, 0.6, 1),), ((0, 0, 1, 0.35), (0.3, 0.3, 0.4, 0.4))


@pytest.mark.parametrize(
    ("cause", "masks"),
    [*((cause, LEFT) for cause in FAULTS), (Cause.COVERED, TOP_AND_MIDDLE), (Cause.OVEREXPOSED, TOP_AND_MIDDLE)],
)
def test_masks_hide_no_fault_and_make_none(cause, masks):
    picture, health, unmasked = scene(3), PictureHealth(HealthLimits(infrared=False)), Unmasked(masks)

    def shown(frame, now):
        frame = frame.copy()
        paint(frame, masks)
        return health.check(thumbnail_of(frame, unmasked), now)

    for number in range(int(10 / STEP)):
        last = sensed(picture, 1.0)
        assert shown(last, number * STEP) == Condition(None, 0.0, True)
    conditions = [shown(FAULTS[cause](picture, last), 10 + number * STEP) for number in range(int(11 / STEP))]
    named = {condition.cause for condition in conditions} - {None}
    assert named == {cause}
    if cause is not Cause.FROZEN:
        assert not conditions[0].fit


def test_a_night_under_a_mask_has_no_false_cause():
    masks, health = ((0, 0, 1, 0.4),), PictureHealth()
    unmasked = Unmasked(masks)
    for seconds, frame in normal_night(scene(5, (144, 192)), hours=0.5, step=2):
        paint(frame, masks)
        assert health.check(thumbnail_of(frame, unmasked), seconds).cause is None, seconds
