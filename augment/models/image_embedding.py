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

from augment.arrays import Labels, Numbers, RowStore, Vectors
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
LIKENESSES_AT_ONCE = 1 << 24  # 64 MB
STORED_AT_ONCE = 32  # images between two files; a killed run computes no more again


def load_embedder(reference: str, device: str) -> Embedder:
    """Return the embedder called `reference`: lite0, a hub id or a local folder.

    Raises UnavailableError where its weights are neither here nor to be had.
    """
    return Lite0Embedder(device) if reference == LITE0 else TransformersEmbedder(reference, device)


def store_missing(
    store: RowStore, ids: Sequence[str], compute: Callable[[list[str]], npt.NDArray[Any]], what: str
) -> None:
    """Add to `store` the arrays of those ids that it does not have; `compute` gives them.

    An id stands for an image's content, so that runs may share a folder and a killed one keeps what it has.
    """
    missing = store.missing(ids)
    starts = range(0, len(missing), STORED_AT_ONCE)
    for start in progress(starts, len(starts), what):
        part = missing[start : start + STORED_AT_ONCE]
        store.add(part, compute(part))
    store.missing(())


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
        self._store = RowStore(cache_folder(settings, folder) / f"fingerprints-{key}")

    def take(self, ids: Sequence[str], opened: Callable[[str], Frame]) -> None:
        """Compute and keep what is not there yet; `opened` gives the frame of an id that is new."""

        def compute(missing: list[str]) -> npt.NDArray[np.float16]:
            frames = [opened(item) for item in missing]
            small = np.stack([thumbnail_of(frame) for frame in frames]).reshape(len(frames), -1)
            return np.concatenate([self._embedder.embed(frames), small], axis=1).astype(np.float16)

        store_missing(self._store, ids, compute, f"batches of {STORED_AT_ONCE} images embedded")

    def of(
        self, ids: Sequence[str], opened: Callable[[str], Frame], dtype: npt.DTypeLike = np.float32
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]:
        """Return (N, D) embeddings of unit length and (N, 32, 32, 3) BGR thumbnails; `opened` as in `take`.

        Embeddings are kept as float16, so as `dtype` that is enough where many are held at once.
        """
        if not ids:
            return np.empty((0, 1), dtype), np.empty((0, THUMBNAIL, THUMBNAIL, 3), np.uint8)
        self.take(ids, opened)
        small = THUMBNAIL * THUMBNAIL * 3
        thumbnails = self._store.read(ids, slice(-small, None), np.uint8).reshape(-1, THUMBNAIL, THUMBNAIL, 3)
        return self._store.read(ids, slice(None, -small), dtype), thumbnails


def best_likeness(
    rows: npt.NDArray[Any],
    others: npt.NDArray[Any],
    own: Labels | None = None,
    theirs: Labels | None = None,
) -> Vectors:
    """Return the highest cosine (N,) of each of `rows` (N, D) with any of `others` (M, D), all of unit length.

    Pairs of which `own` (N,) and `theirs` (M,) are equal do not count; -2 where none counts, 0 without others.
    """
    found = np.zeros(len(rows), np.float32)
    if not len(others):
        return found
    columns = others.astype(np.float32, copy=False).T
    step = max(1, LIKENESSES_AT_ONCE // len(others))
    for start in range(0, len(rows), step):
        likeness = rows[start : start + step].astype(np.float32, copy=False) @ columns
        if own is not None and theirs is not None:
            likeness[own[start : start + step, None] == theirs] = -2.0
        found[start : start + step] = likeness.max(axis=1)
    return found


def nearest_distance(
    rows: npt.NDArray[Any], others: npt.NDArray[Any], own: Labels | None = None, theirs: Labels | None = None
) -> Numbers:
    """Return the cosine distance of each of `rows` (N, D) to the nearest of `others` (M, D), as `best_likeness` does.

    Where no pair counts it is 2; without others it is 1, that of unrelated images.
    """
    return np.asarray(1 - np.maximum(best_likeness(rows, others, own, theirs), -1).astype(np.float64))


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
