import numpy as np
import pytest
import torch

from export.features import feature_extractor
from export.network import normalise
from tests.support.narrow_network import narrow_network, pictures


@pytest.mark.parametrize("backbone", ["resnet50", "efficientnet_lite0"])
def test_features_are_those_of_the_network_for_any_number_of_images(tmp_path, backbone):
    network = narrow_network(backbone=backbone)
    images = normalise(torch.from_numpy(pictures(5, seed=4)))
    with torch.inference_mode():
        expected = network.features(images).mean((2, 3)).numpy()
    file = tmp_path / "cache" / "features.onnx"
    extract = feature_extractor(network, "cpu", (64, 64), file)
    for count in (1, 5):
        assert np.abs(extract(images[:count]) - expected[:count]).max() < 1e-4 * np.abs(expected).max()
    made = file.stat().st_mtime_ns
    feature_extractor(network, "cpu", (64, 64), file)
    assert file.stat().st_mtime_ns == made
