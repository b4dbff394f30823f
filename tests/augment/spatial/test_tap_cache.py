import numpy as np
import pytest
import torch

from augment.spatial.tap_cache import TapCache
from edge_runtime.bundle.preprocess import PreprocessSpec
from export.features import tap_extractor
from export.network import normalise
from export.spatial_network import halved
from tests.support.narrow_network import narrow_network, pictures


@pytest.fixture
def cache(tmp_path):
    spec = PreprocessSpec(64, 64, "letterbox", tiles=(1, 2), overlap=0.5)
    frames = np.concatenate([pictures(4, seed=1), pictures(4, seed=2)], axis=2)[:, :, : spec.canvas[1]]
    network = narrow_network(backbone="efficientnet_lite0")
    extract = tap_extractor(network, "cpu", (64, 64), tmp_path / "taps.onnx")
    return TapCache(tmp_path, frames, ["a", "b", "c", "d"], spec, extract, "narrow"), network, frames


def test_taps_are_those_of_every_tile_of_the_picture_or_of_its_mirror_image(cache):
    taps, network, frames = cache
    rows, mirrored = np.array([2, 0]), np.array([False, True])
    taps.fill(rows)
    seen = np.concatenate([taps.spec.cut(frames[2]), taps.spec.cut(frames[0])[:, :, ::-1]])
    with torch.inference_mode():
        fine, *others = network.taps(normalise(torch.from_numpy(seen.copy())))
    for found, wanted in zip(taps.of(rows, mirrored), (halved(fine), *others), strict=True):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, wanted, atol=2e-3 * float(wanted.abs().max()), rtol=2e-3)  # float16 on disk


def test_a_picture_is_computed_once_and_a_lost_one_again(cache, monkeypatch):
    taps, *_ = cache
    taps.fill(np.arange(4))
    kept = {path: path.stat().st_mtime_ns for path in taps.folder.glob("*.npy")}
    assert len(kept) == 4
    (taps.folder / "b.npy").unlink()
    taps.fill(np.arange(4))
    assert {path: path.stat().st_mtime_ns for path in kept if path.name != "b.npy"} == {
        path: written for path, written in kept.items() if path.name != "b.npy"
    }
    assert (taps.folder / "b.npy").exists()


def test_other_tiles_are_other_taps(cache, tmp_path):
    taps, *_ = cache
    other = TapCache(tmp_path, taps.canvases, taps.ids, PreprocessSpec(64, 64, "letterbox"), taps.extract, taps.key)
    assert other.folder != taps.folder
