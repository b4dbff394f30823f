"""What every picture teaches a spatial head: its cells, its kinds of fault, its group, and how much it weighs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from augment import record_types as types
from augment.arrays import Labels, Numbers
from augment.data.fault_groups import NONE, FaultGroups
from augment.records import item_seed
from augment.spatial.cells import cell_targets
from augment.training.arms import TrainingImage
from augment.training.finetune import Task
from edge_runtime.bundle.heads import SpatialHead
from edge_runtime.bundle.preprocess import PreprocessSpec
from export.spatial_network import HeadShape, SpatialNetwork

STRIDE = 16  # pixels of the input per cell
HEAL = "heal"  # the method whose pictures weigh as much as the fault pictures that they come from
SizeOf = Callable[[types.GeneratedRecord], tuple[int, int]]
"""The height and width in pixels of a generated picture."""


@dataclass(frozen=True)
class Lessons:
    """What N pictures teach, in the order of the frame cache, for F kinds and maps of h x w cells in T views each."""

    head: SpatialHead
    shape: HeadShape
    boxes: Sequence[Numbers]  # of each picture (M, 4): x, y, width, height on the canvas of the input, in pixels
    cells: npt.NDArray[np.int8]  # (N, T, F, h, w), see `cells.cell_targets`
    has_cells: npt.NDArray[np.bool_]  # (N, F) whether they count
    pictures: Labels  # (N, F) 1 where the picture shows the kind, else 0
    groups: Labels  # (N,) or NONE
    weigh_as: Labels  # (N,) the class by whose rarity the picture weighs
    shares: Numbers  # (N,) of the weight of a real picture of that class

    def weights(self, task: Task) -> Numbers:
        """Return (N,) weights of the examples of `task`; those of real pictures have the mean 1.

        They fall with the root of how many real pictures a class has. Generated ones don't count, so that more of them
        never lower the weight of the real ones; in a class that has no others they count as real ones would.
        """
        rows, targets, classes = task.training.rows, task.training.targets, len(task.labels)
        real = np.bincount(targets[~task.generated], minlength=classes)
        made = np.bincount(targets[task.generated], minlength=classes)
        counts = np.where(real > 0, real, made).clip(min=1)
        found = self.shares[rows] / np.sqrt(counts[self.weigh_as[rows]])
        return np.asarray(found / found[~task.generated if len(real.nonzero()[0]) else slice(None)].mean())

    def group_weights(self, task: Task) -> Numbers:
        """Return (G,) weights that make every group count alike; a group without real pictures has that of one."""
        groups = self.groups[task.training.rows[~task.generated]]
        counts = np.bincount(groups[groups != NONE], minlength=len(self.head.groups)).clip(min=1)
        return np.asarray(counts.sum() / counts / len(counts))


def lessons_of(
    images: Sequence[TrainingImage],
    made: Mapping[str, types.GeneratedRecord],
    labels: Sequence[str],
    head: SpatialHead,
    shape: HeadShape,
    spec: PreprocessSpec,
    generated_weight: float,
    size_of: SizeOf,
) -> Lessons:
    """Return what `images` teach; `made` are the records of generated ones by id, `size_of` their sizes.

    A fault picture whose place is unknown has no cells of its kind. Of all other kinds, and of healthy pictures, every
    cell is a negative one.
    """
    fault_groups = FaultGroups(head.groups, head.kinds)
    pictures = np.zeros((len(images), len(head.kinds)), np.int64)
    boxes = [_boxes(image, made.get(image.id), spec, size_of) for image in images]
    for row, image in enumerate(images):
        if (kind := fault_groups.kind_of(image.label)) != NONE:
            pictures[row, kind] = 1
    of_label = {image.id: image.label for image in images}
    weigh_as, shares = [], []
    for image in images:
        healed = isinstance(image, types.CurationRecord) and image.method == HEAL
        source = made[image.id].source if healed and image.id in made else image.id
        weigh_as.append(labels.index(of_label.get(source, image.label)))
        shares.append(1.0 if healed or isinstance(image, types.DatasetRecord) else generated_weight)
    return Lessons(
        head,
        shape,
        boxes,
        _cells(boxes, pictures, spec),
        (pictures == 0) | np.array([len(found) > 0 for found in boxes])[:, None],
        pictures,
        np.array([fault_groups.group_of(image.label) for image in images]),
        np.array(weigh_as),
        np.array(shares),
    )


def _boxes(image: TrainingImage, made: types.GeneratedRecord | None, spec: PreprocessSpec, size_of: SizeOf) -> Numbers:
    """Return (M, 4), x, y, width, height in pixels of the canvas, around the faults of a picture."""
    if isinstance(image, types.DatasetRecord):
        boxes, size = image.boxes, (image.height, image.width)
    elif made is not None and made.place is not None and image.method != HEAL:
        boxes, size = [made.place], size_of(made)
    else:
        boxes, size = [], (1, 1)
    found = np.array(boxes, np.float64).reshape(-1, 4)
    corners = np.concatenate([found[:, :2], found[:, :2] + found[:, 2:]], axis=1)
    corners = spec.placement(*size).to_canvas(corners)
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)


def _cells(boxes: Sequence[npt.NDArray[np.float64]], pictures: Labels, spec: PreprocessSpec) -> npt.NDArray[np.int8]:
    """Return (N, T, F, h, w): in every view the cells of the kind that a picture shows, the others negative."""
    shape = -(-spec.height // STRIDE), -(-spec.width // STRIDE)
    places = spec.tile_places
    cells = np.zeros((len(boxes), len(places), pictures.shape[1], *shape), np.int8)
    for row, kind in np.argwhere(pictures == 1).tolist():
        for view, (top, left) in enumerate(places):
            inside = boxes[row] - (left, top, 0, 0)
            cells[row, view, kind] = cell_targets(inside.tolist(), shape, (spec.height, spec.width))
    return cells


def build_spatial(task: Task, lessons: Lessons) -> SpatialNetwork:
    """Return the network of `task` with a fresh spatial head, the same for every arm of a seed."""
    backbone: nn.Module = task.build()
    head = lessons.head
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(item_seed(task.run_seed, "training", f"seed-{task.seed}/head"))
        return SpatialNetwork(backbone, len(head.groups), len(head.kinds), head.pooling, lessons.shape)
