"""The classifier as it is trained and as the edge sees it: backbones, initial weights, preprocessing, maps.

Backbones are data: `BACKBONES` maps a name to the class that builds it. A backbone takes float32 (N, 3, H, W) RGB
normalised with the ImageNet mean and standard deviation, and ends in a mean over space and one linear layer; that shape
is what makes the class-activation map exact (the map's mean over space plus the bias is the logit). A network with a
spatial head is a backbone too, whose maps come from `export.spatial_network`.
"""

import copy
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Protocol, cast
from urllib.parse import urlparse

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import ResNet50_Weights
from torchvision.models.resnet import Bottleneck

from edge_runtime.bundle.errors import InputError, UnavailableError
from edge_runtime.bundle.files import sha256_file
from edge_runtime.bundle.preprocess import PreprocessSpec
from export.efficientnet_lite import EfficientNetLite0, from_published, published_file
from export.spatial_network import SpatialNetwork

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # RGB, on the 0..1 scale
IMAGENET_STD = (0.229, 0.224, 0.225)  # RGB, on the 0..1 scale
CLASS_OUTPUTS = ("logits", "cam")
FULL_WIDTH = 64  # planes of the first stage in the published ResNet50


class Backbone(Protocol):
    """The attributes and methods of a network that export and training use."""

    first_convolution: ClassVar[str]  # module name of the convolution that meets the pixels
    classifier: ClassVar[str]  # module name of the last linear layer

    def __init__(self, classes: int, width: int) -> None: ...

    def features(self, images: Tensor) -> Tensor:
        """Map (N, 3, H, W) float normalised RGB -> (N, C, h, w), the map whose mean over space feeds the classifier."""
        ...

    @property
    def tap_channels(self) -> tuple[int, int, int]:
        """How many channels each of the three taps has."""
        ...

    def taps(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map (N, 3, H, W) float normalised RGB -> maps at strides 8, 16 and 32, for a spatial head."""
        ...


class ResNet50(nn.Module):
    """torchvision's ResNet50 (v1.5), every stage `width` / 64 as wide; at 64 names, shapes and outputs are the same."""

    first_convolution: ClassVar[str] = "conv1"
    classifier: ClassVar[str] = "fc"

    def __init__(self, classes: int, width: int = FULL_WIDTH) -> None:
        super().__init__()
        self.width = width
        self.conv1 = nn.Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = _stage(width, width, blocks=3, stride=1)
        self.layer2 = _stage(width * 4, width * 2, blocks=4, stride=2)
        self.layer3 = _stage(width * 8, width * 4, blocks=6, stride=2)
        self.layer4 = _stage(width * 16, width * 8, blocks=3, stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(width * 32, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @property
    def tap_channels(self) -> tuple[int, int, int]:
        """How many channels each of the three taps has."""
        return 8 * self.width, 16 * self.width, 32 * self.width

    def taps(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map (N, 3, H, W) float normalised RGB -> the maps of the last three stages, at strides 8, 16 and 32."""
        fine = self.layer2(self.layer1(self.maxpool(self.relu(self.bn1(self.conv1(images))))))
        middle = self.layer3(fine)
        return fine, middle, self.layer4(middle)

    def features(self, images: Tensor) -> Tensor:
        """Map (N, 3, H, W) float normalised RGB -> (N, 32 * width, H / 32, W / 32)."""
        return self.taps(images)[2]

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, 3, H, W) float normalised RGB -> (N, classes) logits."""
        return cast(Tensor, self.fc(torch.flatten(self.avgpool(self.features(images)), 1)))


def _stage(inputs: int, planes: int, blocks: int, stride: int) -> nn.Sequential:
    """Return `blocks` bottlenecks; the first one changes size and channel count, so its shortcut is projected."""
    outputs = planes * Bottleneck.expansion
    shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
    first = Bottleneck(inputs, planes, stride, shortcut)
    return nn.Sequential(first, *(Bottleneck(outputs, planes) for _ in range(blocks - 1)))


BACKBONES: Mapping[str, type[nn.Module]] = {"resnet50": ResNet50, "efficientnet_lite0": EfficientNetLite0}


def build_network(backbone: str, classes: int, width: int = FULL_WIDTH) -> nn.Module:
    """Return a fresh network in training mode, its weights drawn from torch's global generator (seed it first).

    Raises InputError for an unknown backbone, fewer than two classes, or a width that is no positive number.
    """
    if backbone not in BACKBONES:
        raise InputError(f"backbone {backbone!r} is not known; choose one of: {', '.join(sorted(BACKBONES))}")
    if classes < 2:
        raise InputError(f"a classifier needs at least 2 classes, got {classes}; check the labels of the data set")
    if width < 1:
        raise InputError(f"network width must be at least 1, got {width}; the published network has {FULL_WIDTH}")
    return BACKBONES[backbone](classes, width)


def normalise(frames: Tensor) -> Tensor:
    """Turn (N, H, W, 3) uint8 BGR into the input of backbones: (N, 3, H, W) float32 RGB, (value / 255 - mean) / std."""
    if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
        raise InputError(f"frames must be (N, H, W, 3) uint8 BGR, got {tuple(frames.shape)} {frames.dtype}")
    unit = frames.flip(3).permute(0, 3, 1, 2).to(torch.float32) / 255
    mean = torch.tensor(IMAGENET_MEAN, device=frames.device).view(1, 3, 1, 1)
    std = torch.tensor(IMAGENET_STD, device=frames.device).view(1, 3, 1, 1)
    return (unit - mean) / std


def output_names(network: nn.Module) -> tuple[str, ...]:
    """Return the names of what `outputs` gives for this network, in its order; the maps come last."""
    return network.outputs if isinstance(network, SpatialNetwork) else CLASS_OUTPUTS


def outputs(network: nn.Module, images: Tensor) -> tuple[Tensor, ...]:
    """Map (N, 3, H, W) normalised RGB -> what the edge reads, all float32; the scores come first and the maps last.

    A classifier gives logits (N, K) and cam (N, K, h, w), with mean(cam) + bias == logits; a network with a spatial
    head gives group logits, fault scores and maps.
    """
    if isinstance(network, SpatialNetwork):
        return cast(tuple[Tensor, ...], network(images))
    head = cast(nn.Linear, network.get_submodule(cast(str, network.classifier)))
    features = cast(Backbone, network).features(images)
    cam = functional.conv2d(features, head.weight[:, :, None, None])
    return head(features.mean((2, 3))).float(), cam.float()


class FrameNetwork(nn.Module):
    """The edge's view of a trained network, for export only: frames in, scores and maps out.

    Subtracting the mean stays a step of its own: the first convolution pads with zeros, and a mean folded into its bias
    would be wrong along the border (measured: 1.1 of 7 on a logit). Scale and colour order are exact in the weights. In
    half precision the scale stays in float32, because weights divided by 255 would be nearly subnormal.

    The given network is copied, never changed.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, network: nn.Module, spec: PreprocessSpec, half: bool = False) -> None:
        super().__init__()
        self.spec = spec
        self.half_precision = half
        self.network = copy.deepcopy(network).to("cpu", torch.float32).eval().requires_grad_(False)
        mean, std = torch.tensor(IMAGENET_MEAN).flip(0), torch.tensor(IMAGENET_STD).flip(0)  # now in BGR order
        self.register_buffer("mean", (255 * mean).view(1, 3, 1, 1))
        self.register_buffer("scale", (1 / (255 * std)).view(1, 3, 1, 1))
        self._take_over_preprocessing()

    def _take_over_preprocessing(self) -> None:
        first = cast(nn.Conv2d, self.network.get_submodule(cast(str, self.network.first_convolution)))
        weight = first.weight.flip(1)
        first.weight = nn.Parameter(weight if self.half_precision else weight * self.scale, requires_grad=False)
        if self.half_precision:
            self.network.half()

    def example(self, count: int) -> Tensor:
        """Return black frames (count, H, W, 3) uint8 of the input's size."""
        return torch.zeros(count, self.spec.height, self.spec.width, 3, dtype=torch.uint8)

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Map (N, H, W, 3) uint8 BGR -> the `outputs` of the network."""
        # The cast comes first: TensorRT's parser refuses a transpose of uint8.
        x = frames.to(torch.float32).permute(0, 3, 1, 2) - self.mean
        if self.half_precision:
            x = (x * self.scale).half()
        return outputs(self.network, x)


def load_initial_weights(network: nn.Module, source: str) -> dict[str, str]:
    """Fill `network` from `source`; return {"source", "sha256"?, "revision"?, "classifier": "taken" or "fresh"}.

    `source` is "none" (leave the weights as they are), "imagenet" (ResNet-50: torchvision's published file, from its
    cache or the network; EfficientNet-Lite0: the file of an installed package), or the path of a .safetensors or .pth
    file, of which only the name is recorded. The classifier is taken only where its shape fits; every other tensor must
    fit.

    Raises InputError for a file that does not fit or cannot be read safely, UnavailableError where the download fails.
    """
    if source == "none":
        return {"source": "none", "classifier": "fresh"}
    if source == "imagenet":
        state, record = _published_weights(network)
    else:
        path = Path(source)
        state, record = _read_weights(path), {"source": path.name}
        record["sha256"] = sha256_file(path)
    return {**record, "classifier": _take_over(network, state, record["source"])}


def _published_weights(network: nn.Module) -> tuple[dict[str, Tensor], dict[str, str]]:
    if network.width != FULL_WIDTH:
        raise InputError(
            f"there are no published ImageNet weights for {type(network).__name__} of width {network.width}; "
            f"choose width {FULL_WIDTH}, or set weights to 'none'"
        )
    if isinstance(network, EfficientNetLite0):
        path = published_file()
        state = from_published(_read_pth(path), torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD))
        return state, {"source": "imagenet", "revision": path.name, "sha256": sha256_file(path)}
    weights = ResNet50_Weights.IMAGENET1K_V2
    cached = _fetch(weights.url)
    return _read_pth(cached), {"source": "imagenet", "revision": str(weights), "sha256": sha256_file(cached)}


def published_url(backbone: str) -> str:
    """Return where the published weights of a backbone are still to be fetched from; "" where they are here.

    Raises UnavailableError where a package that carries them is not installed.
    """
    if backbone == "efficientnet_lite0":
        published_file()
        return ""
    url = ResNet50_Weights.IMAGENET1K_V2.url
    return "" if _in_cache(url).is_file() else url


def _in_cache(url: str) -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name


def _fetch(url: str) -> Path:
    """Return the file behind `url` in torch's cache; download it where absent, checked against the hash in its name."""
    cached = _in_cache(url)
    if cached.is_file():
        return cached
    prefix = cached.stem.rpartition("-")[2]
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(cached), hash_prefix=prefix, progress=False)
    except (OSError, RuntimeError) as error:
        raise UnavailableError(
            f"the ImageNet weights could not be fetched from {url} ({error}); connect once, or give the path of a "
            "downloaded .pth or .safetensors file, or set weights to 'none'"
        ) from error
    return cached


def _read_weights(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputError(f"{path} is not a file; initial weights are 'none', 'imagenet' or a .safetensors or .pth file")
    if path.suffix == ".safetensors":
        try:
            return cast(dict[str, Tensor], safetensors.torch.load_file(path))
        except safetensors.SafetensorError as error:
            raise InputError(f"{path} is not a whole safetensors file ({error}); copy it again") from error
    if path.suffix != ".pth":
        raise InputError(f"{path} ends in {path.suffix!r}; initial weights are read from .safetensors or .pth files")
    return _read_pth(path)


def _read_pth(path: Path) -> dict[str, Tensor]:
    # A .pth file is a pickle, and a pickle may run code; weights_only refuses everything but tensors and containers.
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(
            f"{path} was refused: it is damaged or holds more than tensors, and code in a pickle is never run; "
            "save its state_dict as .safetensors"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path} is not a state_dict (name -> tensor); save model.state_dict() on its own")
    return state


def _take_over(network: nn.Module, state: Mapping[str, Tensor], source: str) -> str:
    """Copy `state` into `network`; return "taken" or "fresh", what became of the classifier."""
    own = network.state_dict()
    head = {name for name in own if name.startswith(f"{network.classifier}.")}
    # num_batches_tracked came with later torch versions; inference does not read it.
    needed = {name for name in own if name not in head and not name.endswith("num_batches_tracked")}
    wrong = sorted(name for name in needed if name not in state or state[name].shape != own[name].shape)
    if wrong:
        raise InputError(_misfit_sentence(source, wrong, needed, own, state))
    fits = all(name in state and state[name].shape == own[name].shape for name in head)
    wanted = {name: state[name] for name in own if name in state and (fits or name not in head)}
    network.load_state_dict(wanted, strict=False)
    return "taken" if fits else "fresh"


def _misfit_sentence(
    source: str, wrong: list[str], needed: set[str], own: Mapping[str, Tensor], state: Mapping[str, Tensor]
) -> str:
    name = wrong[0]
    seen = f"has shape {tuple(state[name].shape)}" if name in state else "is missing"
    return (
        f"initial weights {source!r} do not fit this network: {len(wrong)} of {len(needed)} tensors differ, for one "
        f"{name} {seen}, expected {tuple(own[name].shape)}; choose weights of the same backbone and width, or 'none'"
    )
