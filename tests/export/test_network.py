import pickle

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn
from torchvision.models import resnet50

from edge_runtime.bundle.errors import InputError, UnavailableError
from export.network import FrameNetwork, build_network, load_initial_weights, normalise
from tests.support.narrow_network import SPEC, narrow_network, pictures


def frames(count=3):
    return torch.from_numpy(pictures(count))


def test_at_full_width_the_network_is_torchvisions_resnet50():
    torch.manual_seed(1)
    ours = build_network("resnet50", 1000, width=64).eval()
    torch.manual_seed(1)
    theirs = resnet50().eval()
    mine, published = ours.state_dict(), theirs.state_dict()
    assert [(name, tensor.shape) for name, tensor in mine.items()] == [
        (name, tensor.shape) for name, tensor in published.items()
    ]
    assert all(torch.equal(mine[name], published[name]) for name in mine)  # the fresh weights are drawn alike, too
    images = normalise(frames(1))
    with torch.inference_mode():
        assert torch.equal(ours(images), theirs(images))


@pytest.mark.parametrize("width", [8, 16])
def test_a_narrow_network_has_so_many_parameters(width):
    """Of the published 23,508,032 without classifier, conv1's 9,408 and 53,120 of batch norm shrink with the width."""
    share = width / 64
    expected = (23_508_032 - 9_408 - 53_120) * share**2 + (9_408 + 53_120) * share + 3 * (32 * width + 1)
    network = build_network("resnet50", 3, width)
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("resnet5", 3, 8), "backbone 'resnet5' is not known; choose one of: efficientnet_lite0, resnet50"),
        (("resnet50", 1, 8), "at least 2 classes, got 1"),
        (("resnet50", 3, 0), "width must be at least 1, got 0"),
    ],
)
def test_a_network_that_cannot_be_is_refused(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        build_network(*arguments)


def test_normalising_a_blue_pixel():
    blue = torch.tensor([[[[255, 0, 0]]]], dtype=torch.uint8)
    red, green, out = normalise(blue)[0, :, 0, 0].tolist()
    assert (red, green) == (pytest.approx(-0.485 / 0.229), pytest.approx(-0.456 / 0.224))
    assert out == pytest.approx((1 - 0.406) / 0.225)


def test_normalising_refuses_floats():
    with pytest.raises(InputError, match=r"must be \(N, H, W, 3\) uint8 BGR, got \(1, 4, 4, 3\) torch.float32"):
        normalise(torch.zeros(1, 4, 4, 3))


def test_the_frame_network_answers_as_the_trained_network():
    network = narrow_network()
    with torch.inference_mode():
        expected = network(normalise(frames()))
        seen, _ = FrameNetwork(network, SPEC)(frames())
    torch.testing.assert_close(seen, expected, atol=1e-4, rtol=0)


def test_half_precision_stays_close_and_gives_float32():
    network = narrow_network()
    with torch.inference_mode():
        expected = network(normalise(frames()))
        logits, cam = FrameNetwork(network, SPEC, half=True)(frames())
    assert logits.dtype == cam.dtype == torch.float32
    assert 0 < (logits - expected).abs().max() < 0.01 * expected.abs().max()


def test_the_maps_mean_plus_the_bias_is_the_logit():
    network = narrow_network()
    with torch.inference_mode():
        logits, cam = FrameNetwork(network, SPEC)(frames())
    assert cam.shape == (3, 3, 2, 2)
    torch.testing.assert_close(cam.mean((2, 3)) + network.fc.bias, logits, atol=1e-4, rtol=0)


def test_the_callers_network_is_not_changed():
    network = narrow_network().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    FrameNetwork(network, SPEC, half=True)(frames())
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_no_initial_weights():
    network = narrow_network()
    before = network.conv1.weight.clone()
    assert load_initial_weights(network, "none") == {"source": "none", "classifier": "fresh"}
    assert torch.equal(network.conv1.weight, before)


@pytest.mark.parametrize(("classes", "classifier"), [(3, "taken"), (5, "fresh")])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_initial_weights_from_a_file(tmp_path, suffix, classes, classifier):
    source, path = narrow_network(seed=8), tmp_path / f"given{suffix}"
    save = safetensors.torch.save_file if suffix == ".safetensors" else torch.save
    save(source.state_dict(), path)
    network = build_network("resnet50", classes, width=8)
    head = network.fc.weight.clone()
    record = load_initial_weights(network, str(path))
    assert (record["source"], record["classifier"], len(record["sha256"])) == (path.name, classifier, 64)
    assert torch.equal(network.layer4[2].conv3.weight, source.layer4[2].conv3.weight)
    assert torch.equal(network.fc.weight, source.fc.weight if classifier == "taken" else head)


def test_initial_weights_of_another_width_are_refused_whole(tmp_path):
    path = tmp_path / "wide.safetensors"
    safetensors.torch.save_file(build_network("resnet50", 3, width=16).state_dict(), path)
    network = narrow_network()
    before = network.bn1.running_mean.clone()
    with pytest.raises(InputError, match=r"do not fit this network: .* choose weights of the same backbone"):
        load_initial_weights(network, str(path))
    assert torch.equal(network.bn1.running_mean, before)


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("code in a weight file was run",))


def test_code_in_a_weight_file_is_refused_and_not_run(tmp_path):
    path = tmp_path / "trap.pth"
    torch.save({"conv1.weight": Trap()}, path)
    with pytest.raises(InputError, match="code in a pickle is never run"):
        load_initial_weights(narrow_network(), str(path))
    path.write_bytes(pickle.dumps(Trap(), protocol=2))
    with pytest.raises(InputError, match="was refused"):
        load_initial_weights(narrow_network(), str(path))


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("weights.safetensors", b"", "not a whole safetensors file"),
        ("weights.pth", b"", "was refused: it is damaged"),
        ("weights.bin", b"", "ends in '.bin'"),
        ("absent.pth", None, "is not a file"),
    ],
)
def test_a_file_that_is_no_weights_is_a_sentence(tmp_path, name, data, sentence):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=sentence):
        load_initial_weights(narrow_network(), str(tmp_path / name))


def test_published_weights_come_from_the_cache_where_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    published = build_network("resnet50", 1000, width=64)
    torch.save(published.state_dict(), tmp_path / "checkpoints" / "resnet50-11ad3fa6.pth")
    network = build_network("resnet50", 3, width=64)
    record = load_initial_weights(network, "imagenet")
    assert record["revision"] == "ResNet50_Weights.IMAGENET1K_V2"
    assert record["classifier"] == "fresh"
    assert torch.equal(network.layer1[0].conv1.weight, published.layer1[0].conv1.weight)


def test_published_weights_that_cannot_be_fetched_are_unavailable(tmp_path, monkeypatch):
    def unplugged(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", unplugged)
    with pytest.raises(UnavailableError, match=r"could not be fetched .*no route to host.* set weights to 'none'"):
        load_initial_weights(build_network("resnet50", 3, width=64), "imagenet")


def test_there_are_no_published_weights_for_a_narrow_network():
    with pytest.raises(InputError, match="width 8; choose width 64"):
        load_initial_weights(narrow_network(), "imagenet")


def test_border_is_exact_where_a_mean_folded_into_the_bias_would_not_be():
    """A frame of the mean colour is zero everywhere after normalisation, so the padding is no border at all."""
    network = narrow_network()
    mean = np.array([0.406, 0.456, 0.485]) * 255
    frame = np.broadcast_to(mean.round().astype(np.uint8), (1, 64, 64, 3)).copy()
    view = FrameNetwork(network, SPEC)
    with torch.inference_mode():
        x = torch.from_numpy(frame).float().permute(0, 3, 1, 2) - view.mean
        first = view.network.conv1(x)
    assert isinstance(view.network.conv1, nn.Conv2d)
    assert first.abs().max() < 0.02
