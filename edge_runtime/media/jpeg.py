"""The one JPEG encoder: heat maps, event pictures, contact sheets and report pages all write theirs with it."""

import cv2

from ..bundle.preprocess import Frame
from .file_kinds import OWN_MARK

DEFAULT_QUALITY = 95  # of 100; OpenCV's own default


def encode_jpeg(frame: Frame, quality: int = DEFAULT_QUALITY) -> bytes:
    """Return uint8 (H, W, 3) BGR or (H, W) grey as the bytes of a JPEG file; `quality` is 0 to 100."""
    _, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return data.tobytes()


def mark_own(jpeg: bytes) -> bytes:
    """Return the JPEG with a comment that says that it was drawn here: it is no evidence and nothing to learn from."""
    place = 4 + int.from_bytes(jpeg[4:6], "big")  # behind the first segment, which JFIF wants first
    return jpeg[:place] + b"\xff\xfe" + (2 + len(OWN_MARK)).to_bytes(2, "big") + OWN_MARK + jpeg[place:]
