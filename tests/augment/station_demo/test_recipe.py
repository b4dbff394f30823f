"""The bundle of the package: it finds the faults of the demo's own cameras, and its map shows them."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from augment.mini.scenes import COUNTERPARTS
from augment.station_demo.cameras import PROGRAMMES
from augment.station_demo.files import BUNDLE
from augment.station_demo.pictures import Camera, clean_picture, fault_box
from edge_runtime.bundle.store import open_bundle
from edge_runtime.inference.engines import load_engine
from edge_runtime.inference.evaluator import Evaluator

MOST_BYTES = 3_000_000


@pytest.fixture(scope="module")
def evaluator():
    bundle = open_bundle(BUNDLE)
    return Evaluator(bundle, load_engine(bundle, "cpu", "fp32"))


def seen(programme, sight):
    """What a camera delivers of a sight."""
    jpeg = Camera(programme.name, sight.seed).frame(clean_picture(sight), "2026-11-26 03:00:00")
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)


def test_the_bundle_is_small():
    assert sum(path.stat().st_size for path in BUNDLE.rglob("*") if path.is_file()) < MOST_BYTES


@pytest.mark.parametrize("programme", PROGRAMMES, ids=lambda programme: programme.name)
def test_each_camera_is_healthy_without_its_fault_and_the_map_points_at_it_where_it_comes(evaluator, programme):
    healthy = replace(programme.fault, label=COUNTERPARTS[programme.fault.label])
    assert evaluator.evaluate(seen(programme, healthy)).decision.flagged == ()
    frame = seen(programme, programme.fault)
    evaluation = evaluator.evaluate(frame)
    assert evaluation.decision.flagged == (programme.fault.label,)
    cells = evaluation.cam
    row, column = np.unravel_index(np.argmax(cells), cells.shape)
    # The picture fills the canvas but for bars of a pixel or two: the map's cells lie evenly over it.
    x, y = (column + 0.5) / cells.shape[1] * frame.shape[1], (row + 0.5) / cells.shape[0] * frame.shape[0]
    left, top, width, height = fault_box(programme.fault)
    assert left <= x <= left + width
    assert top <= y <= top + height
