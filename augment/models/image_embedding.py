"""Images as vectors: frames that show alike things lie near each other. Curation and adaptation measure by it.

`lite0` is EfficientNet-Lite0 with ImageNet weights from an installed package, so it needs no hub. Any CLIP or DINOv2
model of transformers can stand in its place.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from augment.arrays import Numbers, Vectors, write_array
from augment.data.duplicates import THUMBNAIL, thumbnail_of
from augment.models.interfaces import Embedder
from augment.models.model_folders import SAFE_LOADING, find_model
from augment.progress import progress
from augment.records import RunFolder, digest_of
from augment.settings import Settings
from edge_runtime.bundle.files import sha256_file
from edge_runtime.bundle.preprocess import Frame, PreprocessSpec
from export.efficientnet_lite import published_file
from export.network import Backbone, build_network, load_initial_weights, normalise

LITE0 = "lite0"
LITE0_SIDE = 128  # pixels; smaller is faster, and generated images are often no larger
AT_ONCE = 64  # frames per forward pass
STORED_AT_ONCE = 32  # images between two files; a killed run computes no more again


def load_embedder(reference: str, device: str) -> Embedder:
    """Return the embedder called `reference`: lite0, a hub id or a local folder.

    Raises UnavailableError where its weights are neither here nor to be had.
    """
    return Lite0Embedder(device) if reference == LITE0 else TransformersEmbedder(reference, device)


def stored_vectors(
    folder: Path, ids: Sequence[str], compute: Callable[[list[str]], npt.NDArray[Any]], what: str
) -> npt.NDArray[Any]:
    """Return (len(ids), ...) arrays from `folder`/ID.npy; `compute` gives those of the ids that are missing.

    An id stands for an image's content, so that runs may share a folder and a killed one keeps what it has.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [item for item in dict.fromkeys(ids) if not (folder / f"{item}.npy").exists()]
    starts = range(0, len(missing), STORED_AT_ONCE)
    for start in progress(starts, len(starts), what):
        part = missing[start : start + STORED_AT_ONCE]
        for item, vector in zip(part, compute(part), strict=True):
            write_array(folder / f"{item}.npy", vector)
    return np.stack([np.load(folder / f"{item}.npy", allow_pickle=False) for item in ids])


def cache_folder(settings: Settings, folder: RunFolder) -> Path:
    """Return the folder in which a run keeps what it computed of images."""
    return Path(settings.cache) if settings.cache else folder.path / "cache"


class Fingerprints:
    """The embeddings and thumbnails that images are compared by, computed once and kept by image id."""

    def __init__(self, settings: Settings, folder: RunFolder, device: str) -> None:
        self._embedder = load_embedder(settings.data.embedding, device)
        self.identity = self._embedder.identity
        rule = settings.data.radiometric  # an id is of a file's bytes, and another rule makes another picture of them
        key = digest_of([self.identity, rule] if rule else self.identity)[:16]
        self._place = cache_folder(settings, folder) / f"fingerprints-{key}"

    def of(self, ids: Sequence[str], opened: Callable[[str], Frame]) -> tuple[Vectors, npt.NDArray[np.uint8]]:
        """Return (N, D) embeddings of unit length and (N, 32, 32, 3) BGR thumbnails.

        `opened` gives the frame of an id that is new.
        """
        if not ids:
            return np.empty((0, 1), np.float32), np.empty((0, THUMBNAIL, THUMBNAIL, 3), np.uint8)

        def compute(missing: list[str]) -> npt.NDArray[np.float16]:
            frames = [opened(item) for item in missing]
            small = np.stack([thumbnail_of(frame) for frame in frames]).reshape(len(frames), -1)
            return np.concatenate([self._embedder.embed(frames), small], axis=1).astype(np.float16)

        rows = stored_vectors(self._place, ids, compute, f"batches of {STORED_AT_ONCE} images embedded")
        split = rows.shape[1] - THUMBNAIL * THUMBNAIL * 3
        thumbnails = rows[:, split:].astype(np.uint8).reshape(-1, THUMBNAIL, THUMBNAIL, 3)
        return rows[:, :split].astype(np.float32), thumbnails


def nearest_distance(
    rows: Vectors, others: Vectors, excluded: npt.NDArray[np.bool_] | None = None, excluded_likeness: float = -1.0
) -> Numbers:
    """Return the cosine distance of each of `rows` (N, D) to the nearest of `others` (M, D), both of unit length.

    A pair that `excluded` (N, M) marks has the cosine `excluded_likeness`. Without others the distance is 1, that of
    unrelated images.
    """
    if not len(rows) or not len(others):
        return np.ones(len(rows))
    likeness = rows @ others.T
    if excluded is not None:
        likeness[excluded] = excluded_likeness
    return np.asarray(1 - likeness.max(axis=1).astype(np.float64))


class Lite0Embedder:
    """Embeds by the features of EfficientNet-Lite0, averaged over space: 1280 numbers."""

    def __init__(self, device: str) -> None:
        path = published_file()
        self.identity = {"name": path.name, "sha256": sha256_file(path)}
        self._device = device
        self._spec = PreprocessSpec(LITE0_SIDE, LITE0_SIDE)

    @cached_property
    def _network(self) -> Backbone:
        with torch.random.fork_rng(devices=[]):  # fresh weights are drawn and replaced at once
            network = build_network("efficientnet_lite0", 2)
        load_initial_weights(network, "imagenet")
        return cast(Backbone, network.to(self._device).eval())

    def embed(self, frames: Sequence[Frame]) -> Vectors:
        """Return vectors of unit length, (N, D), of uint8 (H, W, 3) BGR frames of any size."""

        def features(batch: Sequence[Frame]) -> Tensor:
            pixels = torch.from_numpy(np.stack([self._spec.apply(frame) for frame in batch])).to(self._device)
            return self._network.features(normalise(pixels)).mean((2, 3))

        return _in_batches(frames, features)


class TransformersEmbedder:
    """Embeds by the image features of a CLIP or DINOv2 checkpoint."""

    def __init__(self, reference: str, device: str) -> None:
        self._found = find_model(reference, "embedder")
        self.identity = self._found.identity
        self._device = device

    @cached_property
    def _model(self) -> Any:
        from transformers import AutoModel

        model = AutoModel.from_pretrained(self._found.path, **SAFE_LOADING)
        return model.to(self._device).eval()

    @cached_property
    def _processor(self) -> Any:
        from transformers import AutoImageProcessor

        return AutoImageProcessor.from_pretrained(self._found.path, local_files_only=True)

    def embed(self, frames: Sequence[Frame]) -> Vectors:
        """Return vectors of unit length, (N, D), of uint8 (H, W, 3) BGR frames of any size."""

        def features(batch: Sequence[Frame]) -> Tensor:
            images = [np.ascontiguousarray(frame[..., ::-1]) for frame in batch]
            inputs = self._processor(images=images, return_tensors="pt").to(self._device)
            compute = getattr(self._model, "get_image_features", self._model)
            found = compute(**inputs)
            pooled: Tensor = getattr(found, "pooler_output", found)
            return pooled

        return _in_batches(frames, features)


def _in_batches(frames: Sequence[Frame], features: Callable[[Sequence[Frame]], Tensor]) -> Vectors:
    parts = []
    with torch.inference_mode():
        for start in range(0, len(frames), AT_ONCE):
            part = functional.normalize(features(frames[start : start + AT_ONCE]).float(), dim=1)
            parts.append(part.cpu().numpy())
    return np.concatenate(parts)
