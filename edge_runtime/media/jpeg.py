"""The one JPEG encoder: heat maps, event pictures, contact sheets and report pages all write theirs with it."""

import cv2

from ..bundle.preprocess import Frame

DEFAULT_QUALITY = 95  # of 100; OpenCV's own default


def encode_jpeg(frame: Frame, quality: int = DEFAULT_QUALITY) -> bytes:
    """Return uint8 (H, W, 3) BGR or (H, W) grey as the bytes of a JPEG file; `quality` is 0 to 100."""
    _, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return data.tobytes()
