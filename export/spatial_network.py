"""A network with a spatial head: how much each cell of a picture looks like a fault, and which equipment is shown.

A fault is 8 to 40 pixels of a picture. So the head reads the backbone's maps at strides 8, 16 and 32, and gives a map
of logits at stride 16 for each kind of fault. A picture's score is a stated pooling of that map and of nothing else,
so the map is the evidence for the score. The group (which equipment) only names what was found.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge_runtime.bundle.heads import Pooling

Taps = tuple[Tensor, Tensor, Tensor]
"""Maps (N, C, h, w) of a backbone at strides 8, 16 and 32."""

RARE = -3.0  # bias of every map at the start: a cell is a fault in about one of twenty
LEAST_DEVIATION = 0.1  # of the mean deviation of a tap's channels: one that slept in training must not shout later
ROUNDING = 1e-2  # of a tap's root mean square: what varies less would be told from the rounding of half precision


@dataclass(frozen=True)
class HeadShape:
    """How a spatial head is built.

    `width` is the number of channels in which the three taps are added. `centre` is the share of each picture's own
    mean that is taken off every channel: at 1 only what differs within a picture counts. `dropout` is the share of
    channels that are left out in training.
    """

    width: int = 48
    centre: float = 0.0
    dropout: float = 0.2

    def to_json(self) -> dict[str, Any]:
        """Return the object `shape` of a checkpoint's head."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "HeadShape":
        """Read what `to_json` wrote."""
        return cls(**data)


def pool(maps: Tensor, pooling: Pooling) -> Tensor:
    """Map (N, F, h, w) -> scores (N, F), as the edge's `Pooling.pool` does with arrays."""
    cells = maps.flatten(2)
    if pooling.kind == "max":
        return cells.amax(2)
    if pooling.kind == "top":
        return cells.topk(min(pooling.cells, cells.shape[2]), dim=2).values.mean(2)
    return cells.logsumexp(2) - math.log(cells.shape[2])


def halved(fine: Tensor) -> Tensor:
    """Map the tap (N, C, h, w) at stride 8 -> (N, 2 * C, h / 2, w / 2), means and maxima of 2 x 2 cells."""
    if fine.shape[2] % 2 or fine.shape[3] % 2:
        fine = functional.pad(fine, (0, fine.shape[3] % 2, 0, fine.shape[2] % 2), mode="replicate")
    return torch.cat([functional.avg_pool2d(fine, 2), functional.max_pool2d(fine, 2)], 1)


class SpatialLayers(nn.Module):
    """The head alone: taps in, group logits and maps out. Some 25 thousand weights on EfficientNet-Lite0.

    The first tap may come `halved`: a training that keeps taps keeps it so, and halves it once.
    """

    def __init__(self, tap_channels: tuple[int, int, int], groups: int, kinds: int, shape: HeadShape) -> None:
        super().__init__()
        self.shape = shape
        fine, middle, coarse = tap_channels
        inputs = (2 * fine, middle, coarse)
        for place, channels in enumerate(inputs):
            self.register_buffer(f"mean_{place}", torch.zeros(1, channels, 1, 1))
            self.register_buffer(f"deviation_{place}", torch.ones(1, channels, 1, 1))
        self.register_buffer("group_mean", torch.zeros(1, 2 * coarse))
        self.register_buffer("group_deviation", torch.ones(1, 2 * coarse))
        self.dropout = nn.Dropout2d(shape.dropout)
        self.narrow = nn.ModuleList(nn.Conv2d(channels, shape.width, 1) for channels in inputs)
        self.around = nn.Conv2d(shape.width, shape.width, 3, padding=1, groups=shape.width)
        self.maps = nn.Conv2d(shape.width, kinds, 1)
        self.group = nn.Linear(2 * coarse, groups)
        nn.init.constant_(cast(Tensor, self.maps.bias), RARE)

    def standardise(self, batches: Iterable[Taps]) -> None:
        """Measure mean and deviation of every channel on the taps of training pictures, and keep them."""
        moments: dict[str, tuple[int, Tensor, Tensor]] = {}
        with torch.no_grad():
            for taps in batches:
                for name, values in self._inputs(taps).items():
                    by_channel = values.double().transpose(0, 1).flatten(1)
                    count, total, squares = moments.get(name, (0, torch.zeros(()), torch.zeros(())))
                    sums = total + by_channel.sum(1).cpu(), squares + by_channel.square().sum(1).cpu()
                    moments[name] = (count + by_channel.shape[1], *sums)
            for name, (count, total, squares) in moments.items():
                mean = total / count
                deviation = (squares / count - mean.square()).clamp(min=0).sqrt()
                size = float((squares / count).mean().sqrt())
                floor = max(LEAST_DEVIATION * float(deviation.mean()), ROUNDING * size, 1e-6)
                for what, found in (("mean", mean), ("deviation", deviation.clamp(min=floor))):
                    buffer = self.get_buffer(name.format(what))
                    buffer.copy_(found.view_as(buffer))

    def forward(self, taps: Taps) -> tuple[Tensor, Tensor]:
        """Map taps -> group logits (N, G) and maps (N, F, h, w) of logits, h and w those of the tap at stride 16."""
        *cells, pooled = (
            (values - self.get_buffer(name.format("mean"))) / self.get_buffer(name.format("deviation"))
            for name, values in self._inputs(taps).items()
        )
        fine, middle, coarse = (narrow(self.dropout(values)) for narrow, values in zip(self.narrow, cells, strict=True))
        height, width = middle.shape[2:]
        coarse = functional.interpolate(coarse, scale_factor=2.0, mode="bilinear", align_corners=False)
        joined = functional.relu(fine + middle + coarse[:, :, :height, :width])
        joined = functional.relu(joined + self.around(joined))
        return cast(Tensor, self.group(pooled)), cast(Tensor, self.maps(joined))

    def _inputs(self, taps: Taps) -> dict[str, Tensor]:
        """Return what is standardised, by the names of its two buffers: three maps, and a row for the group."""
        fine, middle, coarse = taps
        if fine.shape[2:] != middle.shape[2:]:
            fine = halved(fine)
        pooled = torch.cat([coarse.mean((2, 3)), coarse.amax((2, 3))], 1)
        cells: tuple[Tensor, ...] = (fine, middle, coarse)
        if self.shape.centre:
            cells = tuple(values - self.shape.centre * values.mean((2, 3), keepdim=True) for values in cells)
        return {**{f"{{}}_{place}": values for place, values in enumerate(cells)}, "group_{}": pooled}


class SpatialNetwork(nn.Module):
    """A backbone of `export.network` with a spatial head in the place of its classifier, which is not used."""

    outputs: ClassVar[tuple[str, ...]] = ("group_logits", "fault_scores", "maps")

    def __init__(
        self, backbone: nn.Module, groups: int, kinds: int, pooling: Pooling, shape: HeadShape | None = None
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.pooling = pooling
        channels = cast(tuple[int, int, int], backbone.tap_channels)
        self.head = SpatialLayers(channels, groups, kinds, shape or HeadShape())

    @property
    def first_convolution(self) -> str:
        """The module name of the convolution that meets the pixels."""
        return f"backbone.{self.backbone.first_convolution}"

    def taps(self, images: Tensor) -> Taps:
        """Map (N, 3, H, W) float normalised RGB -> the backbone's maps at strides 8, 16 and 32."""
        return cast(Taps, cast(Any, self.backbone).taps(images))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map (N, 3, H, W) float normalised RGB -> group logits (N, G), fault scores (N, F), maps (N, F, h, w)."""
        groups, maps = self.head(self.taps(images))
        # In half precision too the sum over cells is made in float32, of the very numbers that leave as the map.
        maps = maps.float()
        return groups.float(), pool(maps, self.pooling), maps
