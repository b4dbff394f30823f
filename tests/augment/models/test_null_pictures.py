"""With amplitude zero a picture is its host, but for what a method's codec does to it."""

import cv2
import numpy as np
import pytest

from augment.methods import parse_method
from augment.models.null_pictures import null_picture
from tests.support.thermal_pictures import hotspots, needs_thermal

BOX = (30.0, 20.0, 16.0, 12.0)


class Halving:
    """Stands in for a generator whose codec loses half of the brightness."""

    side = 32

    def paint(self, orders, method, adapter):
        assert method.name == "codec"
        return [order.source // 2 for order in orders]


def photograph(seed):
    return np.random.default_rng(seed).integers(60, 200, (80, 120, 3), np.uint8)


def thermal(seed):
    return cv2.applyColorMap(cv2.blur(photograph(seed)[..., 0], (9, 9)), cv2.COLORMAP_INFERNO)


@pytest.mark.parametrize("name", ["transplant", "heatup", "heal"])
def test_a_thermal_picture_is_its_host_byte_for_byte(name):
    host = thermal(1)
    assert null_picture(parse_method(name), host, thermal(2), BOX, seed=0).tobytes() == host.tobytes()


@needs_thermal
@pytest.mark.parametrize("name", ["transplant", "heatup", "heal"])
def test_a_real_thermal_picture_too(name):
    (host, _), (donor, boxes) = hotspots(2)
    assert null_picture(parse_method(name), host, donor, boxes[0], seed=0).tobytes() == host.tobytes()


def test_photographs_keep_all_but_rounding():
    host = photograph(1)
    cloned = null_picture(parse_method("transplant"), host, photograph(2), BOX, seed=0)
    assert np.abs(cloned.astype(int) - host).max() <= 1
    assert null_picture(parse_method("heal"), host, host, BOX, seed=0).tobytes() == host.tobytes()
    assert null_picture(parse_method("heatup"), host, host, BOX, seed=0) is None


def test_a_generators_codec_is_in_the_hole_or_all_over():
    host = photograph(1)
    painted = null_picture(parse_method("inpaint-0.9"), host, photograph(2), BOX, 0, Halving())
    darker = (painted.astype(int) - host).mean(axis=2) < -20
    assert 100 < darker.sum() < 1500
    whole = null_picture(parse_method("edit-0.5"), host, photograph(2), BOX, 0, Halving())
    assert whole.shape == host.shape
    assert whole.mean() == pytest.approx(host.mean() / 2, abs=2)


@pytest.mark.parametrize("name", ["inpaint-0.9", "edit-0.5", "text2img", "render-station"])
def test_without_a_codec_or_a_host_there_is_none(name):
    assert null_picture(parse_method(name), photograph(1), photograph(2), BOX, seed=0) is None
