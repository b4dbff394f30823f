"""What the spatial head is punished for: wrong cells where boxes are known, wrong pictures everywhere, wrong groups.

A few positive cells stand against hundreds of negative ones, so both are averages of their own, and the negatives that
look most like faults count once more.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

HARDEST = 8  # negative cells that count once more
UNKNOWN = -1  # of a picture: nobody says whether it shows this kind; of a group: the label names none


class PictureScale(nn.Module):
    """Turns pooled scores into log-odds of the picture, for the loss only: the verdict's scale is fitted afterwards."""

    def __init__(self, kinds: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(kinds))
        self.bias = nn.Parameter(torch.zeros(kinds))

    def forward(self, scores: Tensor) -> Tensor:
        """Map (N, F) pooled scores -> (N, F) log-odds."""
        return scores * self.scale + self.bias


@dataclass(frozen=True)
class Taught:
    """What a batch of B pictures with T views each is to be taught, for F kinds, as tensors on one device."""

    cells: Tensor  # (B, T, F, h, w), see `cells.cell_targets`
    has_cells: Tensor  # (B, F)
    pictures: Tensor  # (B, F) 1, 0 or UNKNOWN
    weights: Tensor  # (B,)
    groups: Tensor  # (B,) numbers or UNKNOWN
    group_weights: Tensor  # (G,)


def batch_loss(outputs: tuple[Tensor, Tensor, Tensor], scale: PictureScale, taught: Taught) -> Tensor:
    """Return the whole loss of what a network says of B * T views: group logits, fault scores and maps.

    The views of a picture are one: their cells are those of the picture, a fault is as sure as in the view that shows
    it best, and all views together name the group.
    """
    count = len(taught.groups)
    logits, scores, maps = (found.reshape(count, -1, *found.shape[1:]) for found in outputs)
    cells = taught.cells.transpose(1, 2).flatten(2, 3)
    found = spatial_loss(
        maps.transpose(1, 2).flatten(2, 3), scale(scores.amax(1)), cells, taught.has_cells, taught.pictures,
        taught.weights,
    )  # fmt: skip
    return found + group_loss(logits.mean(1), taught.groups, taught.group_weights)


def spatial_loss(
    maps: Tensor, scores: Tensor, cells: Tensor, has_cells: Tensor, picture: Tensor, weights: Tensor
) -> Tensor:
    """Return the scalar loss of N pictures and F kinds: the weighted sum of `cell_loss` and of the picture's, over N.

    `maps` (N, F, h, w) are log-odds of cells and `scores` (N, F) those of pictures (see PictureScale). `cells`
    (N, F, h, w) are `cells.cell_targets`, which count where `has_cells` (N, F); a fault without boxes has none, not
    even negative ones. `picture` (N, F) is 1, 0 or UNKNOWN, as where a crop left the boxes out: the cells that are
    left count, the picture does not. `weights` (N,) are the pictures'. The sum is over N and not over the weights, so
    that a picture more takes nothing from the others.
    """
    known = picture != UNKNOWN
    each = functional.binary_cross_entropy_with_logits(scores, (picture == 1).float(), reduction="none")
    per_kind = each * known + cell_loss(maps, cells) * has_cells
    return (per_kind.sum(1) * weights).mean()


def cell_loss(maps: Tensor, cells: Tensor) -> Tensor:
    """Return (N, F): mean over the positive cells + half of (mean over the HARDEST negative + over all negative cells).

    `maps` (N, F, h, w) are log-odds, `cells` (N, F, h, w) 1, 0, and -1 where a cell is ignored.
    """
    flat, targets = maps.flatten(2), cells.flatten(2)
    positive, negative = (targets == 1).float(), (targets == 0).float()
    found = _mean(functional.softplus(-flat), positive)
    false = functional.softplus(flat) * negative
    hardest = false.topk(min(HARDEST, false.shape[2]), dim=2).values
    fewest = negative.sum(2).clamp(1, hardest.shape[2])
    return found + (hardest.sum(2) / fewest + _mean(false, negative)) / 2


def _mean(values: Tensor, chosen: Tensor) -> Tensor:
    return (values * chosen).sum(2) / chosen.sum(2).clamp(min=1)


def group_loss(logits: Tensor, groups: Tensor, weights: Tensor) -> Tensor:
    """Return the cross-entropy of (N, G) `logits`; `groups` (N,) are numbers or UNKNOWN, `weights` (G,) the groups'."""
    known = groups != UNKNOWN
    each = functional.cross_entropy(logits, groups.clamp(min=0), reduction="none")
    return (each * weights[groups.clamp(min=0)] * known).sum() / len(groups)
