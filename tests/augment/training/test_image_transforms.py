"""Transforms of training images: functions of their seed, within their bounds."""

import math

import numpy as np
import pytest
import torch

from augment.training.image_transforms import STRONG, TransformRanges, carried, random_crops, random_transforms


@pytest.fixture(scope="module")
def frames() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8))


@pytest.mark.parametrize("kind", sorted(STRONG))
def test_strong_transforms_depend_on_their_seed_alone(kind, frames):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, again, other = (STRONG[kind](frames, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)  # the global generator is left alone
    assert (first.dtype, first.shape) == (torch.uint8, frames.shape)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_kinds_differ(frames):
    assert not torch.equal(STRONG["trivial"](frames, 1), STRONG["rand"](frames, 1))


def test_a_transform_that_may_change_nothing_gives_the_image():
    images = torch.rand(2, 3, 8, 8)
    still = TransformRanges(smallest_crop=1.0, aspect=1.0, contrast=1.0, brightness=0.0, mirror=False)
    assert torch.allclose(random_transforms(images, torch.Generator().manual_seed(0), still), images, atol=1e-5)


def test_a_mirrored_image_is_the_image_from_right_to_left():
    images = torch.rand(16, 3, 8, 8)
    mirror = TransformRanges(smallest_crop=1.0, aspect=1.0, contrast=1.0, brightness=0.0)
    changed = random_transforms(images, torch.Generator().manual_seed(0), mirror)
    kept = [torch.allclose(view, image, atol=1e-5) for view, image in zip(changed, images, strict=True)]
    turned = [torch.allclose(view, image.flip(2), atol=1e-5) for view, image in zip(changed, images, strict=True)]
    assert all(a != b for a, b in zip(kept, turned, strict=True))
    assert 3 <= sum(turned) <= 13


def test_crops_stay_inside_the_image_and_take_at_least_their_share():
    ramp = torch.linspace(0, 1, 64).expand(200, 3, 64, 64).contiguous()
    crop = TransformRanges(smallest_crop=0.49, aspect=1.0, contrast=1.0, brightness=0.0, mirror=False)
    changed = random_transforms(ramp, torch.Generator().manual_seed(1), crop)
    spans = changed[:, 0, 0, -1] - changed[:, 0, 0, 0]
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert 0.68 < spans.min() < 0.75  # a side of sqrt(0.49) = 0.7 of the image
    assert math.isclose(spans.max(), 1.0, abs_tol=0.03)


def test_transforms_change_light_within_bounds():
    images = torch.zeros(500, 3, 4, 4)
    changed = random_transforms(images, torch.Generator().manual_seed(2))
    assert changed.abs().max() <= 0.25 + 1e-6
    assert changed.max() > 0.2
    assert changed.min() < -0.2


def test_boxes_go_where_the_crop_takes_what_they_hold():
    random = np.random.default_rng(3)
    images, boxes = torch.zeros(40, 1, 60, 90), []
    for image in images:
        left, top = random.integers(20, 58), random.integers(20, 28)
        image[:, top : top + 12, left : left + 12] = 1
        boxes.append([[left, top, 12, 12]])
    dark = TransformRanges(smallest_crop=0.6, contrast=1.0, brightness=0.0)
    changed, crops = random_crops(images, torch.Generator().manual_seed(3), dark)
    for view, crop, box in zip(changed[:, 0], crops, boxes, strict=True):
        ((x, y, width, height),) = carried(np.array(box, float), crop, (60, 90))
        rows, columns = (np.flatnonzero(view.amax(axis).numpy() > 0.5) for axis in (1, 0))
        seen = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        assert seen == pytest.approx([max(x, 0), max(y, 0), min(x + width, 90), min(y + height, 60)], abs=1.01)
