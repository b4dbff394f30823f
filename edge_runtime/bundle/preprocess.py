"""Makes model input of a camera frame, for training, measuring and the edge alike.

Scaling, mean, deviation and RGB order live in the ONNX graph, so what leaves here is still uint8 BGR.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from .errors import InputError
from .radiometric import RadiometricRule

Frame = npt.NDArray[np.uint8]
"""uint8 (H, W, 3), blue-green-red, as OpenCV gives it."""
Frames = npt.NDArray[np.uint8]
"""uint8 (N, H, W, 3), blue-green-red, all at the size of the model's input."""

Maps = npt.NDArray[np.floating[Any]]
"""Maps of cells, the two last axes height and width in cells."""
Boxes = npt.NDArray[np.floating[Any]]
"""Boxes (N, 4) in pixels: left, top, right, bottom."""

MAX_SIDE = 4096  # pixels; a model input beyond this is a damaged manifest, not a plan
MAX_TILES = 64  # of one frame
STRETCHED, LETTERBOX = "halve-area", "letterbox"
BARS = (104, 116, 124)  # BGR; the mean of ImageNet, which is zero once the graph has scaled it
CELL = 16  # pixels; tiles lie whole cells apart, so that their maps join cell on cell


@dataclass(frozen=True)
class Placement:
    """Where a frame lies on the canvas: x_canvas = x * scale_x + left, y_canvas = y * scale_y + top, in pixels.

    It is `width` x `height` canvas pixels large; what lies around it are bars. The two scales of a letterboxed frame
    differ by rounding alone.
    """

    scale_x: float
    scale_y: float
    left: int
    top: int
    width: int
    height: int

    @property
    def scale(self) -> float:
        """Canvas pixels per frame pixel, where both directions have the same."""
        return (self.scale_x + self.scale_y) / 2

    def crop(self, canvas: Frame) -> Frame:
        """Return the part of the `canvas` that shows the frame, without a copy."""
        return canvas[self.top : self.top + self.height, self.left : self.left + self.width]

    def to_canvas(self, boxes: Boxes) -> Boxes:
        """Turn boxes (N, 4), each left, top, right, bottom, from frame pixels into canvas pixels."""
        return boxes * self._factors + self._offsets

    def to_frame(self, boxes: Boxes) -> Boxes:
        """Turn boxes (N, 4), each left, top, right, bottom, from canvas pixels into frame pixels."""
        return (boxes - self._offsets) / self._factors

    @property
    def _factors(self) -> Boxes:
        return np.array([self.scale_x, self.scale_y] * 2)

    @property
    def _offsets(self) -> Boxes:
        return np.array([self.left, self.top] * 2, dtype=np.float64)


@dataclass(frozen=True)
class PreprocessSpec:
    """The model's input: `height` x `width` pixels, filled by `resize` from a frame in `colour` order.

    "halve-area" stretches the frame to the input; "letterbox" keeps its aspect and fills the rest with bars. With
    `decode` "reduced" a large JPEG may be decoded at a half, a quarter or an eighth of its size, instead of being made
    that small afterwards; a bundle says so only where its test images bore it out. With `tiles` (rows, columns) the
    frame is letterboxed onto a larger canvas, of which the model sees tiles that share `overlap` of their sides.
    `radiometric` is the rule by which files of measured values become frames; without one they are refused.
    """

    height: int
    width: int
    resize: str = STRETCHED
    colour: str = "bgr"
    decode: str = "full"
    tiles: tuple[int, int] = (1, 1)
    overlap: float = 0.25
    radiometric: RadiometricRule | None = None

    def __post_init__(self) -> None:
        for name, side in (("height", self.height), ("width", self.width)):
            if type(side) is not int or not 1 <= side <= MAX_SIDE:
                raise InputError(f"the input {name} is {side!r}, expected a whole number from 1 to {MAX_SIDE} (pixels)")
        known = {"resize": (STRETCHED, LETTERBOX), "colour": ("bgr",), "decode": ("full", "reduced")}
        for name, values in known.items():
            if (value := getattr(self, name)) not in values:
                raise InputError(
                    f"the input's {name} is {value!r}, this version knows {', '.join(values)}; train and export again "
                    "with this version, or upgrade rarefault"
                )
        whole = [type(count) is int and count >= 1 for count in self.tiles]
        if len(self.tiles) != 2 or not all(whole) or self.tiles[0] * self.tiles[1] > MAX_TILES:
            raise InputError(f"the tiles are {self.tiles!r}, expected rows and columns, at most {MAX_TILES} together")
        if not isinstance(self.overlap, (int, float)) or not 0 <= self.overlap < 1:
            raise InputError(f"the overlap of tiles is {self.overlap!r}, expected a share of their sides, 0 to below 1")
        if self.tiles != (1, 1) and self.resize != LETTERBOX:
            raise InputError(f'tiles need the resize rule "{LETTERBOX}", seen {self.resize!r}; pack the bundle again')

    @property
    def canvas(self) -> tuple[int, int]:
        """Height and width in pixels of what all tiles cover together; the input's own where there is one tile."""
        if self.tiles == (1, 1):
            return self.height, self.width
        tops, lefts = zip(*self.tile_places, strict=True)
        return max(tops) + self.height, max(lefts) + self.width

    @property
    def tile_places(self) -> list[tuple[int, int]]:
        """Top and left in canvas pixels of every tile, row by row."""
        down, right = (_step(side, self.overlap) for side in (self.height, self.width))
        return [(row * down, column * right) for row in range(self.tiles[0]) for column in range(self.tiles[1])]

    def reduction(self, height: int, width: int) -> int:
        """Return by how much a picture of this size is reduced first: 1, 2, 4 or 8; no side falls below its aim's.

        Turned upright, the sides of a picture may change places.
        """
        if self.resize == LETTERBOX:
            rows, columns = self.canvas
            scale = max(min(rows / height, columns / width), min(rows / width, columns / height))
            return next((by for by in (8, 4, 2) if by * scale <= 1), 1)
        least = max(self.height, self.width)
        return next((by for by in (8, 4, 2) if min(height, width) // by >= least), 1)

    def placement(self, height: int, width: int) -> Placement:
        """Return where a frame of `height` x `width` pixels lies on the canvas."""
        return _placed(height, width, self.canvas, self.resize)

    def apply(self, frame: Frame) -> Frame:
        """Turn a whole frame, uint8 (H, W, 3) BGR, into uint8 (height, width, 3) BGR; InputError for anything else.

        Never cropped: a fault in a corner must reach the model. A large frame is halved first, up to three times, as
        long as it stays at least as large as it will be on the canvas. With tiles this is the whole frame in one view.
        """
        return self._drawn(frame, (self.height, self.width))

    def draw(self, frame: Frame) -> Frame:
        """Turn a whole frame, uint8 (H, W, 3) BGR, into the canvas, uint8 (*canvas, 3); otherwise as `apply`."""
        return self._drawn(frame, self.canvas)

    def cut(self, canvas: Frame) -> Frames:
        """Return the tiles (T, height, width, 3) of the canvas, row by row; a single one without a copy."""
        if self.tiles == (1, 1):
            return canvas[None]
        return np.stack([canvas[t : t + self.height, x : x + self.width] for t, x in self.tile_places])

    def views(self, frame: Frame) -> Frames:
        """Return what the model is shown of a frame: uint8 (T, height, width, 3), tiles row by row."""
        return self.cut(self.draw(frame))

    def join_maps(self, maps: Maps) -> Maps:
        """Join the maps (T, F, h, w) of all tiles to one (F, H, W) of the canvas; the highest counts in an overlap."""
        if len(maps) == 1:
            return cast(Maps, maps[0])
        height, width = maps.shape[2:]
        places = [(round(t * height / self.height), round(x * width / self.width)) for t, x in self.tile_places]
        tops, lefts = zip(*places, strict=True)
        joined = np.full((maps.shape[1], max(tops) + height, max(lefts) + width), -np.inf, maps.dtype)
        for (top, left), tile in zip(places, maps, strict=True):
            part = joined[:, top : top + height, left : left + width]
            np.maximum(part, tile, out=part)
        return joined

    def to_json(self) -> dict[str, Any]:
        """Return the manifest's object `input`; without a rule for radiometric pictures it says nothing of them."""
        said = {**asdict(self), "tiles": list(self.tiles)}
        if self.radiometric is None:
            del said["radiometric"]
        return said

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "PreprocessSpec":
        """Read what `to_json` wrote; InputError names a missing or unusable field."""
        for key in ("height", "width", "resize", "colour"):
            if key not in data:
                raise InputError(f"the manifest's input has no {key!r}; the bundle is damaged, copy or pack it again")
        tiles = data.get("tiles", [1, 1])
        if not isinstance(tiles, (list, tuple)):
            raise InputError(f"the tiles are {tiles!r}, expected a list of rows and columns; pack the bundle again")
        needed = (data["height"], data["width"], data["resize"], data["colour"], data.get("decode", "full"))
        rule = RadiometricRule.from_json(data["radiometric"]) if "radiometric" in data else None
        return cls(*needed, tuple(tiles), data.get("overlap", 0.25), rule)

    def _drawn(self, frame: Frame, aim: tuple[int, int]) -> Frame:
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
            raise InputError(f"a frame is {frame.dtype} {frame.shape}, expected uint8 (H, W, 3) in BGR order")
        if frame.shape[:2] == aim:
            return frame.copy()
        place = _placed(frame.shape[0], frame.shape[1], aim, self.resize)
        for _ in range(self.reduction(*frame.shape[:2]).bit_length() - 1):
            frame = _halved(frame)
        if frame.shape[:2] != (place.height, place.width):
            shrinks = frame.shape[0] > place.height or frame.shape[1] > place.width
            how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR  # AREA averages every pixel: no thin fault is skipped
            frame = cast(Frame, cv2.resize(frame, (place.width, place.height), interpolation=how))
        if (place.height, place.width) == aim:
            return frame
        below, beside = aim[0] - place.top - place.height, aim[1] - place.left - place.width
        return cast(
            Frame, cv2.copyMakeBorder(frame, place.top, below, place.left, beside, cv2.BORDER_CONSTANT, value=BARS)
        )


def _placed(height: int, width: int, aim: tuple[int, int], resize: str) -> Placement:
    rows, columns = aim
    if resize == LETTERBOX:
        scale = min(aim[0] / height, aim[1] / width)
        rows, columns = (max(1, round(side * scale)) for side in (height, width))
    return Placement(columns / width, rows / height, (aim[1] - columns) // 2, (aim[0] - rows) // 2, columns, rows)


def _step(side: int, overlap: float) -> int:
    """Return by how many pixels tiles with this side lie apart: whole cells, where the side has whole ones."""
    unit = 1 if side % CELL else CELL
    return max(unit, round(side * (1 - overlap) / unit) * unit)


def _halved(frame: Frame) -> Frame:
    """Return means of 2 x 2 pixels, which OpenCV computes several times faster than other areas."""
    height, width = frame.shape[:2]
    return cast(Frame, cv2.resize(frame, ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA))


def encode_png(frame: Frame) -> bytes:
    """Return a BGR frame as lossless PNG, as small as can be; golden frames travel over thin links this way."""
    done, data = cv2.imencode(".png", frame, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    if not done:
        raise InputError(f"a frame {frame.dtype} {frame.shape} cannot be written as PNG, expected uint8 (H, W, 3)")
    return data.tobytes()


def decode_png(data: bytes) -> Frame:
    """Return the BGR frame of a verified PNG file; pictures from outside go through `media.image_files` instead."""
    frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if frame is None:
        raise InputError("a golden frame is no readable PNG; the bundle is damaged, pack it again")
    decoded: Frame = frame
    return decoded
