"""The types of the number arrays that the rooms hand to each other, and how an array is written to a file."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle.files import replace_file

Labels = npt.NDArray[np.int64]
"""Class numbers 0..K-1, or positions of images."""
Numbers = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.float32]
"""Logits, features or embeddings, one row an image."""


def write_array(path: Path, array: npt.NDArray[Any]) -> None:
    """Write `array` to `path` in the .npy format, whole or not at all."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    replace_file(path, buffer.getvalue())
