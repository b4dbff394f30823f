"""The rendered corpus and its linear code."""

import numpy as np
import pytest

from augment.mini import corpus


def test_patch_code_of_a_flat_picture_is_exact(tmp_path):
    """A code that keeps the mean colour must give a flat picture back from its latents."""
    levels = np.arange(0, 250, 5, dtype=np.uint8)
    flat = np.repeat(np.repeat(levels[:, None, None, None], 64, 1), 64, 2).repeat(3, 3)
    code = corpus.patch_code(tmp_path / "code.safetensors", flat)
    latents = code.encode(corpus.as_pixels(flat))
    assert latents.shape == (50, 16, 8, 8)
    first = latents[:, 0, 0, 0].numpy()
    assert np.abs(np.corrcoef(first, levels)[0, 1]) > 0.9999
    assert latents[:, 0].var() == pytest.approx(16, rel=0.05)  # one live component of 16, unit variance overall
