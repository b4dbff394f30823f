"""Every engine and precision of a bundle: whether it agrees, and how fast."""

import numpy as np
import pytest

from edge_runtime.bundle.errors import UnavailableError
from edge_runtime.bundle.golden import load_golden
from edge_runtime.bundle.store import open_bundle
from edge_runtime.inference.device_check import check_engine, check_engines, idle_gpu
from edge_runtime.inference.engines import engines_for_auto, load_engine
from edge_runtime.inference.gpu_driver import Driver, Gpu

H100 = Driver("580.65.06", "13.0", (Gpu("NVIDIA H100", "9.0", 80 << 30),))


def test_each_precision_agrees_and_has_its_speed(packed):
    bundle = open_bundle(packed)
    found = list(check_engines(bundle, load_golden(bundle), ["cpu"]))
    assert [one.precision for one in found] == list(bundle.manifest.precisions)
    for one in found:
        assert one.agrees
        assert one.worst <= one.allowed
        assert one.milliseconds > 0
        assert one.per_second > 0
        assert "agrees" in one.sentence
        assert "frames/s" in one.sentence


def test_an_engine_that_does_not_load_is_a_sentence_without_figures(packed):
    def load():
        raise UnavailableError("its driver is missing")

    found = check_engine("cuda", "fp16", load_golden(open_bundle(packed)), load)
    assert (found.agrees, found.sentence) == (False, "cuda fp16: its driver is missing")
    assert (found.worst, found.milliseconds, found.per_second) == (None, None, None)


def test_an_engine_that_answers_wrongly_is_found_out(packed):
    bundle = open_bundle(packed)
    honest = load_engine(bundle, "cpu", "fp32")

    class Wrong:
        name, precision = "wrong", "fp32"

        def run(self, frames):
            return {name: np.asarray(values) + 1 for name, values in honest.run(frames).items()}

    found = check_engine("wrong", "fp32", load_golden(bundle), Wrong)
    assert not found.agrees
    assert "DIFFERS" in found.sentence


@pytest.mark.skipif(bool({"cuda", "tensorrt"} & set(engines_for_auto())), reason="an engine here can use a GPU")
def test_a_gpu_that_no_engine_can_use_is_told_with_what_to_install():
    assert "no engine here can use NVIDIA H100" in idle_gpu(H100)
    assert "with the extra gpu" in idle_gpu(H100)
