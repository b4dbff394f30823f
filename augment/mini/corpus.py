"""The rendered training images, kept in shards on disk, and the fixed linear code that the diffusion model learns in.

Captions are not stored: a scene's seed gives them back. The code is a principal component analysis of 8x8 patches, so
it exists before any network is trained, and autoencoder and diffusion model can be trained side by side.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save
from torch import Tensor

from augment.arrays import write_array
from augment.mini.scenes import LABELS, Scene, render, sample_scene
from augment.records import item_seed
from augment.training.resumable import Say
from edge_runtime.bundle.files import replace_file

SIZE = 64  # pixels
PATCH = 8  # pixels per latent cell
CHANNELS = 16  # latent channels
SHARD = 2000  # images


def scenes(name: str, count: int, seed: int) -> list[Scene]:
    """Return `count` catalogue scenes of the set `name` (train, judge, held-out ...); sets never share a scene."""
    return [sample_scene(item_seed(seed, name, str(index)), "catalogue") for index in range(count)]


def rendered(folder: Path, name: str, count: int, seed: int, say: Say) -> np.ndarray:
    """Return the pictures of `scenes(name, count, seed)`, rendered once and kept below `folder`.

    They are uint8 (count, 64, 64, 3) BGR.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    everything = scenes(name, count, seed)
    for start in range(0, count, SHARD):
        wanted = everything[start : start + SHARD]
        path = folder / f"{name}-{seed}-{start:06d}-{len(wanted)}.npy"
        if not path.exists():
            write_array(path, np.stack([render(scene, SIZE) for scene in wanted]))
            say(f"corpus: {name} {start + len(wanted)}/{count} rendered")
        parts.append(np.load(path, allow_pickle=False))
    return np.concatenate(parts)


def labels_of(wanted: list[Scene]) -> np.ndarray:
    """Return int64 (N,) indices into LABELS."""
    return np.array([LABELS.index(scene.label) for scene in wanted])


def as_pixels(images: np.ndarray) -> Tensor:
    """Convert uint8 (N, H, W, 3) BGR -> float32 (N, 3, H, W) RGB in -1..1, what BLIP and the autoencoder take."""
    planes = np.ascontiguousarray(images[..., ::-1].transpose(0, 3, 1, 2))
    return torch.from_numpy(planes).float() / 127.5 - 1


@dataclass(frozen=True)
class PatchCode:
    """A linear code of 8x8 patches: latent = (patch - mean) @ basis, components ordered by variance.

    `basis` is (192, channels) with the scaling folded in: each component is divided by the square root of its standard
    deviation (strong ones stay stronger), then all by one number, so that latents have unit variance overall.
    """

    mean: np.ndarray
    basis: np.ndarray

    def encode(self, pixels: Tensor) -> Tensor:
        """Encode float32 (N, 3, H, W) in -1..1 -> float32 (N, channels, H/8, W/8)."""
        patches = _patches(pixels)
        codes = (patches - torch.from_numpy(self.mean)) @ torch.from_numpy(self.basis)
        side = pixels.shape[-1] // PATCH
        return codes.reshape(len(pixels), -1, side, codes.shape[-1]).permute(0, 3, 1, 2).contiguous()


def _patches(pixels: Tensor) -> Tensor:
    count, planes, height, width = pixels.shape
    grid = pixels.reshape(count, planes, height // PATCH, PATCH, width // PATCH, PATCH)
    return grid.permute(0, 2, 4, 1, 3, 5).reshape(-1, planes * PATCH * PATCH)


def patch_code(path: Path, images: np.ndarray) -> PatchCode:
    """Return the code stored at `path`, else computed from `images` and stored there."""
    if not path.exists():
        patches = _patches(as_pixels(images[:4000])).numpy().astype(np.float64)
        mean = patches.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov(patches - mean, rowvar=False))
        top = np.argsort(values)[::-1][:CHANNELS]
        deviations = np.sqrt(values[top])
        scaled = vectors[:, top] / np.sqrt(deviations)
        scaled /= np.sqrt(deviations.mean())
        arrays = {"mean": mean.astype(np.float32), "basis": np.ascontiguousarray(scaled, dtype=np.float32)}
        replace_file(path, save(arrays))
    stored = load_file(path)
    return PatchCode(stored["mean"], stored["basis"])


def encode_all(code: PatchCode, images: np.ndarray) -> Tensor:
    """Return the latents of many images, float32 (N, channels, 8, 8)."""
    return torch.cat([code.encode(as_pixels(images[i : i + 1000])) for i in range(0, len(images), 1000)])
