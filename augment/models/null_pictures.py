"""Healthy pictures that went through a generator's codec where a method would paint: its traces, and no fault.

`evaluation.null_check` compares their scores with those of their hosts. Methods without a generator (transplant,
heatup, heal) leave no traces: with amplitude zero they give back their host.
"""

import cv2

from augment.data.image_store import resize_by_area
from augment.methods import Method, parse_method
from augment.models.cut_paste import fit
from augment.models.false_colour import Box
from augment.models.inpaint_mask import hole_for
from augment.models.interfaces import Order, Painter
from edge_runtime.bundle.preprocess import Frame

CODEC = parse_method("codec")
LEAVES_TRACES = ("inpaint", "img2img", "edit", "codec")  # kinds of methods that pass a real picture through a codec


def null_picture(method: Method, host: Frame, donor: Frame, box: Box, seed: int, painter: Painter) -> Frame:
    """Return `host`, uint8 (H, W, 3) BGR, as the method leaves it where it paints nothing of the fault.

    Inpainting passes the square around the hole, as large as the donor's `box`, through the generator's codec; the
    other kinds the whole picture. Where the hole does not fit into the host it stays as it is.
    """
    if method.kind != "inpaint":
        return _coded(host, painter)
    fitted = fit(host, donor, box, seed)
    if fitted is None:
        return host
    hole = hole_for(fitted)
    return hole.fill(_coded(hole.crop(painter.side)[0], painter))


def _coded(frame: Frame, painter: Painter) -> Frame:
    """Return a picture as the generator's codec gives it back, in its own size; as it is where a filter refuses it."""
    height, width = frame.shape[:2]
    square = resize_by_area(frame, painter.side, painter.side)
    coded = painter.paint([Order("", 0, square)], CODEC, None)[0]
    return frame if coded is None else cv2.resize(coded, (width, height), interpolation=cv2.INTER_LINEAR)
