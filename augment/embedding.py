"""Images as points: frames that show alike things lie near each other. Curation and adaptation measure by it.

`lite0` is EfficientNet-Lite0 with ImageNet weights from an installed package, so it needs no hub. Any CLIP or DINOv2
model of transformers can stand in its place.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from augment.models import find_model
from edge_runtime.bundle.files import sha256_file
from edge_runtime.bundle.preprocess import Frame, PreprocessSpec
from export.efficientnet_lite import published_file
from export.network import build_network, load_initial_weights, normalise

LITE0 = "lite0"
LITE0_SIDE = 128  # pixels; smaller is faster, and generated images are often no larger
AT_ONCE = 64  # frames per forward pass

Embeddings = npt.NDArray[np.float32]


class Embedder(Protocol):
    identity: dict[str, str]  # name, and sha256 or revision, for documents

    def embed(self, frames: Sequence[Frame]) -> Embeddings:
        """uint8 (H, W, 3) BGR frames of any size -> (N, D) of unit length."""


def load_embedder(reference: str, device: str) -> Embedder:
    """The embedder called `reference`: lite0, a hub id or a local folder.

    Raises UnavailableError where its weights are neither here nor to be had.
    """
    return Lite0Embedder(device) if reference == LITE0 else TransformersEmbedder(reference, device)


class Lite0Embedder:
    """EfficientNet-Lite0's features, averaged over space: 1280 numbers."""

    def __init__(self, device: str) -> None:
        path = published_file()
        self.identity = {"name": path.name, "sha256": sha256_file(path)}
        self._device = device
        self._spec = PreprocessSpec(LITE0_SIDE, LITE0_SIDE)

    @cached_property
    def _network(self) -> nn.Module:
        with torch.random.fork_rng(devices=[]):  # fresh weights are drawn and replaced at once
            network = build_network("efficientnet_lite0", 2)
        load_initial_weights(network, "imagenet")
        return network.to(self._device).eval()

    def embed(self, frames: Sequence[Frame]) -> Embeddings:
        def features(batch: Sequence[Frame]) -> Tensor:
            pixels = torch.from_numpy(np.stack([self._spec.apply(frame) for frame in batch])).to(self._device)
            return self._network.features(normalise(pixels)).mean((2, 3))

        return _in_batches(frames, features)


class TransformersEmbedder:
    """The image features of a CLIP or DINOv2 checkpoint."""

    def __init__(self, reference: str, device: str) -> None:
        self._found = find_model(reference, "embedder")
        self.identity = self._found.identity
        self._device = device

    @cached_property
    def _model(self) -> nn.Module:
        from transformers import AutoModel

        model = AutoModel.from_pretrained(self._found.path, local_files_only=True, use_safetensors=True)
        return model.to(self._device).eval()

    @cached_property
    def _processor(self) -> Any:
        from transformers import AutoImageProcessor

        return AutoImageProcessor.from_pretrained(self._found.path, local_files_only=True)

    def embed(self, frames: Sequence[Frame]) -> Embeddings:
        def features(batch: Sequence[Frame]) -> Tensor:
            images = [np.ascontiguousarray(frame[..., ::-1]) for frame in batch]
            inputs = self._processor(images=images, return_tensors="pt").to(self._device)
            if hasattr(self._model, "get_image_features"):
                found = self._model.get_image_features(**inputs)
                return getattr(found, "pooler_output", found)
            return self._model(**inputs).pooler_output

        return _in_batches(frames, features)


def _in_batches(frames: Sequence[Frame], features: "Features") -> Embeddings:
    parts = []
    with torch.inference_mode():
        for start in range(0, len(frames), AT_ONCE):
            part = functional.normalize(features(frames[start : start + AT_ONCE]).float(), dim=1)
            parts.append(part.cpu().numpy())
    return np.concatenate(parts)


class Features(Protocol):
    def __call__(self, batch: Sequence[Frame]) -> Tensor:
        """(N, D) features of some frames."""
