"""Random transforms of training images: mild crops, mirror images, brightness and contrast; and strong ones.

A batch is a function of its seed.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms import v2

from augment.arrays import Numbers, Vectors


@dataclass(frozen=True)
class TransformRanges:
    """The limits of a transform; symmetric in the logarithm where a factor is meant."""

    smallest_crop: float = 0.7  # share of the image's area
    aspect: float = 4 / 3  # width over height of the crop, or its inverse
    contrast: float = 1.25  # factor
    brightness: float = 0.25  # in standard deviations of a normalised image
    mirror: bool = True


MILD = TransformRanges()


def random_transforms(images: Tensor, generator: torch.Generator, ranges: TransformRanges = MILD) -> Tensor:
    """Transform each image at random: (N, 3, H, W) float normalised -> the same shape.

    `generator` is a CPU generator, so that a GPU sees the same images.
    """
    return random_crops(images, generator, ranges)[0]


def random_crops(images: Tensor, generator: torch.Generator, ranges: TransformRanges = MILD) -> tuple[Tensor, Tensor]:
    """Return what `random_transforms` does, and the (N, 2, 3) crops by which `carried` takes boxes along."""
    count = images.shape[0]
    uniform = torch.rand((7, count), generator=generator)  # all draws at once: one stream, one order
    crops = _crops(uniform, ranges)
    grid = functional.affine_grid(crops.to(images.device), list(images.shape), align_corners=False)
    cropped = functional.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    return _relight(cropped, uniform.to(images.device), ranges), crops


def carried(boxes: Vectors | Numbers, crop: Tensor, size: tuple[int, int]) -> Numbers:
    """Return boxes (B, 4), x, y, width, height in pixels of an image of `size` (height, width), as a crop shows them.

    `crop` is one (2, 3) map of `random_crops`. What the crop leaves out lies outside the image.
    """
    scale, shift = crop[:, :2].diagonal().double().numpy(), crop[:, 2].double().numpy()  # (x, y) each
    sides = np.array(size[::-1], np.float64)
    corners = np.stack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])  # (2, B, 2)
    moved = ((2 * corners / sides - 1 - shift) / scale + 1) / 2 * sides
    low, high = moved.min(axis=0), moved.max(axis=0)  # a mirror exchanges left and right
    return np.concatenate([low, high - low], axis=1)


def _crops(uniform: Tensor, ranges: TransformRanges) -> Tensor:
    """Turn (7, N) numbers in 0..1 into (N, 2, 3) maps from places in the crop to places in the image, both -1..1."""
    area = ranges.smallest_crop + (1 - ranges.smallest_crop) * uniform[0]
    stretch = torch.exp((uniform[1] - 0.5) * math.log(ranges.aspect))
    width, height = (area.sqrt() * stretch).clamp(max=1), (area.sqrt() / stretch).clamp(max=1)
    mirror = torch.where(uniform[2] < 0.5, -1.0, 1.0) if ranges.mirror else torch.ones_like(width)
    zero = torch.zeros_like(width)
    across = torch.stack([width * mirror, zero, (1 - width) * (2 * uniform[3] - 1)], dim=1)
    down = torch.stack([zero, height, (1 - height) * (2 * uniform[4] - 1)], dim=1)
    return torch.stack([across, down], dim=1)


def _relight(images: Tensor, uniform: Tensor, ranges: TransformRanges) -> Tensor:
    contrast = torch.exp((2 * uniform[5] - 1) * math.log(ranges.contrast)).view(-1, 1, 1, 1)
    brightness = ((2 * uniform[6] - 1) * ranges.brightness).view(-1, 1, 1, 1)
    middle = images.mean(dim=(1, 2, 3), keepdim=True)
    return (images - middle) * contrast + middle + brightness


def trivial_augment(frames: Tensor, seed: int) -> Tensor:
    """Apply one random operation of random strength on each image: uint8 (N, H, W, 3) BGR -> the same shape.

    TrivialAugment (Mueller and Hutter 2021, arXiv:2103.10158), torchvision's wide space.
    """
    return _each(v2.TrivialAugmentWide(interpolation=v2.InterpolationMode.BILINEAR), frames, seed)


def rand_augment(frames: Tensor, seed: int) -> Tensor:
    """Apply two random operations of medium strength on each image: uint8 (N, H, W, 3) BGR -> the same shape.

    RandAugment (Cubuk et al. 2019, arXiv:1909.13719), torchvision's number and magnitude.
    """
    return _each(v2.RandAugment(interpolation=v2.InterpolationMode.BILINEAR), frames, seed)


def _each(operation: v2.Transform, frames: Tensor, seed: int) -> Tensor:
    images = frames.flip(-1).permute(0, 3, 1, 2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        changed = torch.stack([operation(image) for image in images])
    return changed.permute(0, 2, 3, 1).flip(-1)


STRONG: Mapping[str, Callable[[Tensor, int], Tensor]] = {"trivial": trivial_augment, "rand": rand_augment}
