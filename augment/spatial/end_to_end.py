"""End-to-end training of a spatial network: the backbone learns too, on crops of the pictures whose boxes go along.

The moving parts (order, schedule, average of the weights, early stopping, resuming to the bit) are those of
`training.finetune`; here stand what differs: the loss, what a crop leaves of a picture's cells, and what is measured.
The options of [train] that change whole pictures for the class head (views, mixup, cutmix, balance, synthetic_norm)
have no part in it: they would move a fault away from its box, or mix pictures whose cells are not mixed.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from augment.arrays import Labels, Numbers
from augment.data.fault_groups import NONE
from augment.distributed.group import ALONE, Group
from augment.models.false_colour import palette_of
from augment.progress import say
from augment.record_types import PlainJson, TrainingResult
from augment.spatial.cells import IGNORED, NEGATIVE, POSITIVE, CellTargets, cell_targets
from augment.spatial.head_training import fitted, judgement
from augment.spatial.held_out_copies import NO_COPIES, Copies, rows_of
from augment.spatial.lessons import Lessons, build_spatial
from augment.spatial.loss import UNKNOWN, PictureScale, Taught, batch_loss
from augment.spatial.tap_cache import TapCache
from augment.training.finetune import Task, Trainer, completed, measures, save_result
from augment.training.image_transforms import TransformRanges, carried, random_crops
from edge_runtime.bundle.preprocess import Frames, PreprocessSpec
from export.network import normalise
from export.spatial_network import SpatialNetwork

LEAST_KEPT = 0.5  # of a box, or of the view: below, a crop shows too little of the fault to call it one
CANVASES_PER_FORWARD = 8  # when predicting; fixed, so that the batch size of a training cannot change what is measured
LEAST_NORM_BATCH = 32  # pictures; with fewer, the norms of given weights keep their statistics
# Crops are milder than those of whole pictures: the size of a fault in pixels says something, and boxes are cut less.
PHOTOGRAPHS = TransformRanges(smallest_crop=0.8, aspect=1.1)
FALSE_COLOURS = replace(PHOTOGRAPHS, contrast=1.1, brightness=0.1)  # there the light is what was measured
PALETTE_PICTURES = 16  # that tell whether the pictures are in false colours

Maps = npt.NDArray[np.float32]


def fit_spatial(
    task: Task,
    lessons: Lessons,
    taps: TapCache,
    folder: Path,
    device: str,
    copies: Copies = NO_COPIES,
    group: Group = ALONE,
) -> TrainingResult:
    """Train all of a spatial network for `task`, or what is left of it, into `folder`; writes what `finetune.fit` does.

    Where the backbone has given weights, the training begins with the head that fits it as it is (`taps`): a fresh one
    would first send noise into weights that are worth keeping (Kumar et al. 2022, arXiv:2202.10054). `copies` are
    changed copies of held-out pictures, which the network judges and does not learn from.
    """
    return completed(folder, task, lambda: SpatialTrainer(task, lessons, taps, device, copies, group), group)


class Learner(nn.Module):
    """A spatial network and the scale that only its loss needs.

    With `frozen_norms` batch norms keep the statistics that their weights came with: over few pictures, often of one
    burst, they would follow the batch, and the network would be used with others than it was trained with.
    """

    def __init__(self, network: SpatialNetwork, kinds: int, frozen_norms: bool) -> None:
        super().__init__()
        self.network = network
        self.scale = PictureScale(kinds)
        self.frozen_norms = frozen_norms

    def train(self, mode: bool = True) -> "Learner":
        """Set training mode (evaluation mode with False), but for norms whose statistics stay."""
        super().train(mode)
        if self.frozen_norms:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map (N, 3, H, W) float normalised RGB -> group logits (N, G), fault scores (N, F), maps (N, F, h, w)."""
        return cast(tuple[Tensor, Tensor, Tensor], self.network(images))


class SpatialTrainer(Trainer):
    """The moving parts of one end-to-end training."""

    def __init__(
        self,
        task: Task,
        lessons: Lessons,
        taps: TapCache,
        device: str,
        copies: Copies = NO_COPIES,
        group: Group = ALONE,
    ) -> None:
        self.lessons, self.spec, self.taps, self.copies = lessons, taps.spec, taps, copies
        self.given = task.section.weights != "none"  # weights that the backbone begins with
        self.weights = lessons.weights(task)
        sample = task.training.rows[:: max(1, len(task.training.rows) // PALETTE_PICTURES)].tolist()
        palette = palette_of(*(np.asarray(taps.canvases[row]) for row in sample))
        self.ranges = FALSE_COLOURS if palette.is_false_colour else PHOTOGRAPHS
        self.group_weights = torch.from_numpy(lessons.group_weights(task)).float().to(device)
        own = replace(task, section=replace(task.section, synthetic_norm=False))
        super().__init__(own, taps.canvases, device, group)

    def build(self) -> nn.Module:
        """Return the network that the training begins with, and the scale of its loss."""
        task = self.task
        network = fitted(task, self.lessons, self.taps) if self.given else build_spatial(task, self.lessons)
        frozen = self.given and task.section.batch_size < LEAST_NORM_BATCH
        return Learner(network, len(self.lessons.head.kinds), frozen)

    def run(self, state: Path) -> None:
        """Train as `Trainer.run` does; what a fitted head already ranks is what the first steps have to better."""
        if self.given and not self.progress.step:
            found, self.progress.best = self.measured()
            say(f"train {self.task.name}: ranking {found['ranking']:.3f} before the backbone learns")
        super().run(state)

    def places(self, weights: Numbers) -> Labels:
        """Return each example that weighs anything once: weights of pictures act in the loss."""
        return np.flatnonzero(weights)

    def slow(self) -> Sequence[nn.Parameter]:
        """Return the weights of the backbone."""
        return list(cast(Learner, self.network).network.backbone.parameters())

    def loss(self, step: int) -> Tensor:
        """Return the loss of the pictures of step `step`, a scalar."""
        positions = self.positions(step)
        rows = self.task.training.rows[positions]
        images, cells, pictures = self.views(rows, step)
        learner, shared = cast(Learner, self.network), self.shared.train()
        devices = [torch.cuda.current_device()] if self.half else []
        with torch.random.fork_rng(devices), torch.autocast(self.device, dtype=torch.float16, enabled=self.half):
            # The head leaves channels out by the global generators.
            torch.manual_seed(self.own_seed(f"dropout/{step}"))
            outputs = shared(images.contiguous(memory_format=torch.channels_last))
        taught = Taught(
            cells,
            torch.from_numpy(self.lessons.has_cells[rows]).to(self.device),
            pictures,
            torch.from_numpy(self.weights[positions]).float().to(self.device),
            torch.from_numpy(self.lessons.groups[rows]).to(self.device),
            self.group_weights,
        )
        return batch_loss(outputs, learner.scale, taught)

    def views(self, rows: Labels, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return crops of the T tiles of B pictures (B * T, 3, H, W), their cells (B, T, F, h, w) and pictures (B, F).

        A picture whose faults were all cut away is UNKNOWN: something of them may be left, beside their boxes.
        """
        lessons, size = self.lessons, (self.spec.height, self.spec.width)
        batch = torch.from_numpy(np.concatenate([self.spec.cut(np.asarray(self.frames[row])) for row in rows.tolist()]))
        generator = torch.Generator().manual_seed(self.own_seed(f"views/{step}"))
        images, crops = random_crops(normalise(batch.to(self.device)), generator, self.ranges)
        cells, pictures = np.full_like(lessons.cells[rows], NEGATIVE), lessons.pictures[rows]
        for place, kind in np.argwhere((pictures == 1) & lessons.has_cells[rows]).tolist():
            shown = False
            for tile, corner in enumerate(self.spec.tile_places):
                boxes = lessons.boxes[rows[place]] - (corner[1], corner[0], 0, 0)
                boxes = carried(boxes, crops[place * len(self.spec.tile_places) + tile], size)
                cells[place, tile, kind] = seen_cells(boxes, cells.shape[-2:], size)
                shown |= POSITIVE in cells[place, tile, kind]
            pictures[place, kind] = 1 if shown else UNKNOWN
        return images, torch.from_numpy(cells).to(self.device), torch.from_numpy(pictures).to(self.device)

    def measured(self) -> tuple[dict[str, float], list[float]]:
        """Return the measures on the validation pictures, and two of which the larger pair is better.

        The first is `ranking`, which moves with every picture and cell. Macro F1 would jump with each of the few
        faults; the loss rises when a network becomes too sure, long before it ranks any worse.
        """
        scores, maps = self._predictions()
        found = measures(judgement(self.task, self.lessons, scores), self.task.validation.targets)
        found["ranking"] = ranking(self.lessons, self.task.validation.rows, scores, maps)
        return found, [found["ranking"], -found["loss"]]

    def _predictions(self) -> tuple[Numbers, Maps]:
        network = cast(Learner, self.average.eval()).network

        def judged(rows: Labels) -> tuple[Numbers, Maps]:
            return predict(network, self.lessons, self.frames, rows, self.spec, self.device)

        return self.group.spread(judged, self.task.validation.rows)

    def save(self, folder: Path, outcome: PlainJson, remark: str) -> TrainingResult:
        """Write predictions and checkpoint, of the network alone."""
        network, (scores, _) = cast(Learner, self.average).network, self._predictions()
        logits = judgement(self.task, self.lessons, scores)
        of_copies = {name: self._of_copies(changed, scores.shape) for name, changed in self.copies.items()}
        return save_result(self.task, folder, network, logits, outcome, remark, scores=scores, copies=of_copies)

    def _of_copies(self, copies: TapCache, shape: tuple[int, ...]) -> Numbers:
        """Return the scores (N, M) of the held-out pictures' copies, NaN where one has none."""
        rows, found = rows_of(self.task.validation.ids, copies), np.full(shape, np.nan)
        if (own := rows >= 0).any():
            network = cast(Learner, self.average.eval()).network
            found[own], _ = predict(network, self.lessons, copies.canvases, rows[own], self.spec, self.device)
        return found


def seen_cells(boxes: Numbers, shape: tuple[int, int], size: tuple[int, int]) -> CellTargets:
    """Return the cells (h, w) of a view of `size` (height, width) whose boxes (M, 4) may reach beyond it.

    A box counts as far as the view shows it. Where that is less than LEAST_KEPT, its cells are ignored.
    """
    height, width = size
    low = np.clip(boxes[:, :2], 0, (width, height))
    sides = np.clip(boxes[:, :2] + boxes[:, 2:], 0, (width, height)) - low
    visible = np.concatenate([low, sides], axis=1)
    share = sides.prod(axis=1) / np.minimum(boxes[:, 2:].prod(axis=1), height * width)
    cells = cell_targets(visible[share >= LEAST_KEPT].tolist(), shape, size)
    partly = cell_targets(visible[(share > 0) & (share < LEAST_KEPT)].tolist(), shape, size)
    cells[(cells == NEGATIVE) & (partly != NEGATIVE)] = IGNORED
    return cells


@torch.inference_mode()
def predict(
    network: SpatialNetwork, lessons: Lessons, canvases: Frames, rows: Labels, spec: PreprocessSpec, device: str
) -> tuple[Numbers, Maps]:
    """Return scores (N, G + F) of the pictures in `rows` and the maps (N, T, F, h, w) of their tiles."""
    scores, maps = [], []
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        for start in range(0, len(rows), CANVASES_PER_FORWARD):
            part = rows[start : start + CANVASES_PER_FORWARD].tolist()
            tiles = np.concatenate([spec.cut(np.asarray(canvases[row])) for row in part])
            groups, faults, cells = network(normalise(torch.from_numpy(tiles).to(device)))
            both = torch.cat([groups, faults], 1).double().cpu().numpy()
            scores.append(lessons.head.join_tiles(both.reshape(len(part), -1, both.shape[1])))
            maps.append(cells.cpu().numpy().reshape(len(part), -1, *cells.shape[1:]))
    return np.concatenate(scores), np.concatenate(maps)


def ranking(lessons: Lessons, rows: Labels, scores: Numbers, maps: Maps) -> float:
    """Return how well the pictures in `rows` are told apart, 0..1, whatever the thresholds.

    It is the mean of the AUC of pictures for each kind, the AUC of cells for each kind that has boxes, and the mean
    recall of groups. What the pictures do not show is left out.
    """
    groups = len(lessons.head.groups)
    found: list[float] = []
    cells, faults = lessons.cells[rows], scores[:, groups:]
    for kind in range(len(lessons.head.kinds)):
        found += _auc(lessons.pictures[rows][:, kind], faults[:, kind])
        counted = (cells[:, :, kind] != IGNORED) & lessons.has_cells[rows][:, kind, None, None, None]
        found += _auc(cells[:, :, kind][counted], maps[:, :, kind][counted])
    targets, named = lessons.groups[rows], scores[:, :groups].argmax(axis=1)
    recalls = [(named[targets == group] == group).mean() for group in np.unique(targets[targets != NONE])]
    return float(np.mean([*found, float(np.mean(recalls))] if recalls else found))


def _auc(truth: npt.NDArray[np.int64] | npt.NDArray[np.int8], scores: npt.NDArray[np.floating]) -> list[float]:
    """Return the AUC as a list of one, or of none where the truth has one side only."""
    return [float(roc_auc_score(truth, scores))] if 0 < truth.sum() < len(truth) else []
