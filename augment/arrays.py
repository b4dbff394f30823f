"""Names for the types of the number arrays that the rooms hand to each other."""

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]
"""Class numbers 0..K-1, or positions of images."""
Numbers = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.float32]
"""Logits, features or embeddings, one row an image."""
