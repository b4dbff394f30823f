"""What a training step may change in its batch: mixed images, stand-ins for real ones, the priors of the classes."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchvision.transforms import v2

from augment.arrays import Labels


def mixed(
    images: Tensor, targets: Tensor, classes: int, mixup: float, cutmix: float, seed: int
) -> tuple[Tensor, Tensor]:
    """Mix each image with its neighbour: (N, 3, H, W) float and (N,) classes -> the same and (N, classes) shares.

    `mixup` (Zhang et al. 2018, arXiv:1710.09412) and `cutmix` (Yun et al. 2019, arXiv:1905.04899) are the alphas of the
    Beta distribution that the share is drawn from, 0 is off. With both on, the seed chooses one for the whole batch;
    with both off, images and targets come back as they are.
    """
    kinds = ((v2.MixUp, mixup), (v2.CutMix, cutmix))
    wanted = [kind(alpha=alpha, num_classes=classes) for kind, alpha in kinds if alpha]
    if not wanted:
        return images, targets
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        chosen = wanted[int(torch.randint(len(wanted), ()))]
        changed: tuple[Tensor, Tensor] = chosen(images, targets)
    return changed


def stand_ins(targets: Labels, generated: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return (N,) which examples are generated and of a class with real ones, so that they can stand in for those."""
    return generated & np.isin(targets, targets[~generated])


def replaced(
    positions: Labels, targets: Labels, instead: npt.NDArray[np.bool_], probability: float, seed: int
) -> Labels:
    """Return `positions` of drawn examples, each by chance exchanged for one of its class that `instead` marks.

    A class without such an example keeps its own. The classes drawn stay the same, and so do the steps on each
    (Diff-Mix, Wang et al. 2024, arXiv:2403.19600; DA-Fusion, Trabucco et al. 2023, arXiv:2302.07944).
    """
    chance, choice = np.random.default_rng(seed).random((2, len(positions)))
    result = positions.copy()
    for place in np.flatnonzero(chance < probability).tolist():
        same = np.flatnonzero(instead & (targets == targets[positions[place]]))
        if len(same):
            result[place] = same[int(choice[place] * len(same))]
    return result


def log_priors(targets: Labels, classes: int) -> Tensor:
    """Return the (classes,) logarithm of each class's share of `targets`; a class without an example counts as one.

    Added to the logits in the loss alone, they teach a rare class a larger margin: the balanced softmax (Ren et al.
    2020, arXiv:2007.10740), which is the logit adjustment (Menon et al. 2021, arXiv:2007.07314) with tau 1.
    """
    counts = np.bincount(targets, minlength=classes).clip(min=1)
    return torch.from_numpy(np.log(counts / counts.sum())).float()
