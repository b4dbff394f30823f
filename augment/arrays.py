"""The types of the number arrays that the rooms hand to each other, and how arrays are kept in files."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import safe_open
from safetensors.numpy import save

from edge_runtime.bundle.files import replace_file

Labels = npt.NDArray[np.int64]
"""Class numbers 0..K-1, or positions of images."""
Numbers = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.float32]
"""Logits, features or embeddings, one row an image."""


def keep_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]], key: str) -> None:
    """Write named `arrays` to a .safetensors file, whole or not at all; `key` stands for all that they depend on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, {"key": key}))


def kept_arrays(path: Path, key: str) -> dict[str, npt.NDArray[Any]] | None:
    """Return the arrays that `keep_arrays` wrote for this key; None for another key or no file."""
    if not path.exists():
        return None
    with safe_open(path, "np") as file:
        if (file.metadata() or {}).get("key") != key:
            return None
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # the file is no mapping


def write_array(path: Path, array: npt.NDArray[Any]) -> None:
    """Write `array` to `path` in the .npy format, whole or not at all."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    replace_file(path, buffer.getvalue())
