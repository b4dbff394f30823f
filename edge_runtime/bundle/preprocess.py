"""Makes model input of a camera frame, for training, measuring and the edge alike.

Scaling, mean, deviation and RGB order live in the ONNX graph, so what leaves here is still uint8 BGR.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from .errors import InputError

Frame = npt.NDArray[np.uint8]
"""uint8 (H, W, 3), blue-green-red, as OpenCV gives it."""
Frames = npt.NDArray[np.uint8]
"""uint8 (N, H, W, 3), blue-green-red, all at the size of the model's input."""

MAX_SIDE = 4096  # pixels; a model input beyond this is a damaged manifest, not a plan


@dataclass(frozen=True)
class PreprocessSpec:
    """The model's input: `height` x `width` pixels, filled by `resize` from a frame in `colour` order.

    With `decode` "reduced" a large JPEG may be decoded at a half, a quarter or an eighth of its size, instead of being
    made that small afterwards; a bundle says so only where its test images bore it out.
    """

    height: int
    width: int
    resize: str = "halve-area"
    colour: str = "bgr"
    decode: str = "full"

    def __post_init__(self) -> None:
        for name, side in (("height", self.height), ("width", self.width)):
            if type(side) is not int or not 1 <= side <= MAX_SIDE:
                raise InputError(f"the input {name} is {side!r}, expected a whole number from 1 to {MAX_SIDE} (pixels)")
        if self.resize != "halve-area":
            raise InputError(
                f'the resize rule is {self.resize!r}, this version knows "halve-area"; train and export '
                "again with this version, or upgrade rarefault"
            )
        if self.colour != "bgr":
            raise InputError(f'the colour order is {self.colour!r}, this version knows "bgr"; upgrade rarefault')
        if self.decode not in ("full", "reduced"):
            raise InputError(
                f'the decoding is {self.decode!r}, this version knows "full", "reduced"; upgrade rarefault'
            )

    def reduction(self, height: int, width: int) -> int:
        """Return by how much a picture of this size is reduced first: 1, 2, 4 or 8; no side falls below the input's."""
        least = max(self.height, self.width)  # turned upright, the sides may change places
        return next((by for by in (8, 4, 2) if min(height, width) // by >= least), 1)

    def apply(self, frame: Frame) -> Frame:
        """Turn uint8 (H, W, 3) BGR into uint8 (height, width, 3) BGR; InputError for anything else.

        The whole frame is stretched, never cropped: a fault in a corner must reach the model. A large one is halved
        first, up to three times, as long as neither side falls below the longer side of the input.
        """
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
            raise InputError(f"a frame is {frame.dtype} {frame.shape}, expected uint8 (H, W, 3) in BGR order")
        if frame.shape[:2] == (self.height, self.width):
            return frame.copy()
        for _ in range(self.reduction(*frame.shape[:2]).bit_length() - 1):
            frame = _halved(frame)
        shrinks = frame.shape[0] > self.height or frame.shape[1] > self.width
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR  # AREA averages every pixel: no thin fault is skipped
        resized: Frame = cv2.resize(frame, (self.width, self.height), interpolation=how)
        return resized

    def to_json(self) -> dict[str, Any]:
        """Return the manifest's object `input`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "PreprocessSpec":
        """Read what `to_json` wrote; InputError names a missing or unusable field."""
        for key in ("height", "width", "resize", "colour"):
            if key not in data:
                raise InputError(f"the manifest's input has no {key!r}; the bundle is damaged, copy or pack it again")
        return cls(data["height"], data["width"], data["resize"], data["colour"], data.get("decode", "full"))


def _halved(frame: Frame) -> Frame:
    """Return means of 2 x 2 pixels, which OpenCV computes several times faster than other areas."""
    height, width = frame.shape[:2]
    halved: Frame = cv2.resize(frame, ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA)
    return halved


def encode_png(frame: Frame) -> bytes:
    """Return a BGR frame as lossless PNG; golden frames are kept this way."""
    done, data = cv2.imencode(".png", frame)
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
