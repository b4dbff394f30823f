"""Healthy pictures that went through a method's composition with amplitude zero: its traces, and no fault.

`evaluation.null_check` compares their scores with those of their hosts.
"""

import cv2

from augment.data.image_store import resize_by_area
from augment.methods import Method, parse_method
from augment.models.cut_paste import fit, fit_heat, heat_up, transplant
from augment.models.false_colour import Box
from augment.models.heal import healed
from augment.models.inpaint_mask import hole_for
from augment.models.interfaces import Order, Painter
from edge_runtime.bundle.preprocess import Frame

CODEC = parse_method("codec")


def null_picture(
    method: Method, host: Frame, donor: Frame, box: Box, seed: int, painter: Painter | None = None
) -> Frame | None:
    """Return `host`, uint8 (H, W, 3) BGR, composed by `method` with nothing of the fault in the donor's `box`.

    A generator's part is played by its codec, which `painter` must have: inpainting passes the square around the hole
    through it, img2img and edit the whole picture. None where the method has no host, the patch does not fit, or a
    painter is needed and not there.
    """
    if method.kind == "heal":
        return healed(host, [box], amplitude=0)[0]
    if method.kind == "heatup":
        heat = fit_heat(host, donor, [box], box, seed)
        return heat_up(heat, amplitude=0) if heat else None
    if method.kind in ("img2img", "edit", "codec"):
        return _coded(host, painter) if painter else None
    fitted = fit(host, donor, box, seed) if method.inserts else None
    if fitted is None:
        return None
    if method.kind == "transplant":
        return transplant(fitted, amplitude=0)
    hole = hole_for(fitted)
    square = _coded(hole.crop(painter.side)[0], painter) if painter else None
    return None if square is None else hole.fill(square)


def _coded(frame: Frame, painter: Painter) -> Frame | None:
    """Return a picture as the generator's codec gives it back, in its own size."""
    height, width = frame.shape[:2]
    square = resize_by_area(frame, painter.side, painter.side)
    coded = painter.paint([Order("", 0, square)], CODEC, None)[0]
    return None if coded is None else cv2.resize(coded, (width, height), interpolation=cv2.INTER_LINEAR)
