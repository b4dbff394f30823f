"""Composed without a fault a picture is its host, but for what the generator's codec does to it."""

import numpy as np
import pytest

from augment.methods import parse_method
from augment.models.null_pictures import null_picture

BOX = (30.0, 20.0, 16.0, 12.0)


class Halving:
    """Stands in for a generator whose codec loses half of the brightness; a real one is large and loses less."""

    side = 32

    def paint(self, orders, method, adapter):
        assert method.name == "codec"
        return [order.source // 2 for order in orders]


class Refusing(Halving):
    def paint(self, orders, method, adapter):
        return [None for _ in orders]


def photograph(seed):
    return np.random.default_rng(seed).integers(60, 200, (80, 120, 3), np.uint8)


def test_an_inpainted_hole_has_the_codecs_traces_and_the_rest_is_the_hosts():
    host = photograph(1)
    composed = null_picture(parse_method("inpaint-0.9"), host, photograph(2), BOX, 0, Halving())
    darker = (composed.astype(int) - host).mean(axis=2) < -20
    assert 100 < darker.sum() < 1500
    assert (composed == host).all(axis=2).mean() > 0.8


@pytest.mark.parametrize("name", ["edit-0.5", "img2img-0.5", "codec"])
def test_a_whole_picture_has_them_all_over(name):
    host = photograph(1)
    composed = null_picture(parse_method(name), host, photograph(2), BOX, 0, Halving())
    assert composed.shape == host.shape
    assert composed.mean() == pytest.approx(host.mean() / 2, abs=2)


def test_a_hole_that_does_not_fit_and_a_picture_that_is_refused_leave_the_host():
    host = photograph(1)
    small = host[:10, :12]
    assert null_picture(parse_method("inpaint-0.9"), small, photograph(2), BOX, 0, Halving()) is small
    assert null_picture(parse_method("edit-0.5"), host, host, BOX, 0, Refusing()) is host
