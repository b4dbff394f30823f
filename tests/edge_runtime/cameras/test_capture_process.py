"""What a capture process publishes. The process as a whole is tested with its cameras, in test_camera_group."""

import math
import os
from contextlib import closing
from types import SimpleNamespace

import numpy as np
import pytest

from edge_runtime.cameras import capture_process
from edge_runtime.cameras.capture_process import Capture
from edge_runtime.cameras.shared_frame import SharedFrame


@pytest.mark.parametrize(
    ("height", "width", "mask"), [(123, 144, (0.73, 0.34, 0.19, 0.31)), (72, 77, (0.23, 0.36, 0.4, 0.1))]
)
def test_a_picture_too_large_is_masked_before_its_pixels_are_mixed(monkeypatch, height, width, mask):
    monkeypatch.setattr(capture_process, "MAX_FRAME_BYTES", height * width)
    bottom, right = math.ceil((mask[1] + mask[3]) * height), math.ceil((mask[0] + mask[2]) * width)
    seen, event = [], os.eventfd(0)
    for secret in (0, 255):  # what nobody may see
        image = np.full((height, width, 3), 90, np.uint8)
        image[int(mask[1] * height) : bottom, int(mask[0] * width) : right] = secret
        with closing(SharedFrame()) as shared:
            assert Capture(SimpleNamespace(masks=(mask,), frame_event=event), shared)._publish(image, 1.0)
            seen.append(shared.take_newest()[0])
    os.close(event)
    assert seen[0].shape[0] < height
    assert np.array_equal(*seen)
