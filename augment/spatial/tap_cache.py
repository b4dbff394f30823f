"""What a frozen backbone sees of every picture and of its mirror image, computed once and kept on disk.

Mirroring a map is not mirroring the picture: convolutions of even steps pad one side. So both go through the backbone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from augment.arrays import Labels, Vectors, write_array
from augment.progress import progress
from augment.records import digest_of
from edge_runtime.bundle.preprocess import Frames, PreprocessSpec
from export.features import ExtractTaps
from export.network import normalise
from export.spatial_network import Taps, halved

AT_ONCE = 8  # views per forward pass
Mirrored = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class TapCache:
    """The taps of pictures in one file each, float16; functions of picture, network and input, so runs may share them.

    A picture has T views, one for each tile of the input, and every view is there as it is and mirrored. The first tap
    is kept halved, as the head reads it: less to keep, and nothing to compute again at every step.
    """

    place: Path
    canvases: Frames  # (N, H, W, 3), the pictures on the canvas of `spec`
    ids: Sequence[str]  # of the pictures; an id stands for a picture's content
    spec: PreprocessSpec
    extract: ExtractTaps
    key: object  # JSON of what the network and its input are

    @cached_property
    def folder(self) -> Path:
        """Where the files lie."""
        folder = self.place / f"taps-{digest_of([self.key, self.spec.to_json(), self.shapes])[:16]}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @cached_property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Channels, height and width of the three taps, the first one halved."""
        blank = torch.zeros(1, 3, self.spec.height, self.spec.width)
        return tuple(tap.shape[1:] for tap in self._taps(blank))

    def fill(self, rows: Labels) -> None:
        """Compute the taps of the pictures in `rows` that have none yet; a killed call keeps what it has."""
        missing = {self.ids[row]: row for row in rows.tolist() if not self._path(row).exists()}
        for row in progress(missing.values(), len(missing), "pictures to taps"):
            write_array(self._path(row), self._computed(row))

    def of(self, rows: Labels, mirrored: Mirrored) -> Taps:
        """Return the three taps, float32 (N * T, C, h, w), of N pictures that `fill` has seen; `mirrored` (N,)."""
        flat = np.stack([self._stored(row)[int(flip)] for row, flip in zip(rows.tolist(), mirrored, strict=True)])
        values = torch.from_numpy(flat.reshape(-1, flat.shape[-1])).float()
        sizes = [int(np.prod(shape)) for shape in self.shapes]
        parts = torch.split_with_sizes(values, sizes, 1)
        fine, middle, coarse = (part.reshape(-1, *shape) for part, shape in zip(parts, self.shapes, strict=True))
        return fine, middle, coarse

    @torch.inference_mode()
    def _taps(self, images: Tensor) -> tuple[Vectors, ...]:
        fine, middle, coarse = self.extract(images)
        return halved(torch.from_numpy(fine)).numpy(), middle, coarse

    def _path(self, row: int) -> Path:
        return self.folder / f"{self.ids[row]}.npy"

    def _stored(self, row: int) -> npt.NDArray[np.float16]:
        """Return (2, T, values) of a picture, mapped from its file: as it is, and mirrored."""
        stored: npt.NDArray[np.float16] = np.load(self._path(row), mmap_mode="r", allow_pickle=False)
        return stored

    def _computed(self, row: int) -> npt.NDArray[np.float16]:
        views = self.spec.cut(np.asarray(self.canvases[row]))
        both = normalise(torch.from_numpy(np.concatenate([views, views[:, :, ::-1]])))
        found = []
        for start in range(0, len(both), AT_ONCE):
            part = both[start : start + AT_ONCE]
            found.append(np.concatenate([tap.reshape(len(part), -1) for tap in self._taps(part)], axis=1))
        return np.concatenate(found).reshape(2, len(views), -1).astype(np.float16)
