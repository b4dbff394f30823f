import numpy as np
import pytest

from augment.evaluation import metrics, paint_out
from augment.evaluation.paint_out import Copies

GREY = np.full((60, 80, 3), 90, np.uint8)


def spotted(x: int, y: int, width: int, height: int) -> np.ndarray:
    frame = GREY.copy()
    frame[y : y + height, x : x + width] = 250
    return frame


def test_a_spot_is_gone_and_the_rest_stays_byte_for_byte():
    frame = spotted(30, 20, 10, 8)
    frame[50:55, 60:70] = 7  # something else, far from the box
    painted = paint_out.paint_out(frame, [(30, 20, 10, 8)])
    assert np.abs(painted[20:28, 30:40].astype(int) - 90).max() <= 5  # the spot is 160 brighter
    outside = np.ones((60, 80), bool)
    outside[17:31, 27:43] = False
    assert np.array_equal(painted[outside], frame[outside])
    assert frame[24, 35, 0] == 250  # the picture itself is not touched


def test_a_box_at_the_border_is_painted_too():
    painted = paint_out.paint_out(spotted(70, 50, 10, 10), [(70, 50, 10, 10)])
    assert np.abs(painted.astype(int) - 90).max() <= 5


def test_the_control_has_the_same_shapes_elsewhere_and_is_the_same_every_time():
    boxes = [(5.0, 5.0, 12.0, 9.0), (40.0, 30.0, 8.0, 8.0)]
    moved = paint_out.elsewhere(boxes, 60, 80, seed=3)
    assert [tuple(box[2:]) for box in moved] == [(12.0, 9.0), (8.0, 8.0)]
    assert moved == paint_out.elsewhere(boxes, 60, 80, seed=3)
    painted = paint_out.paint_out(spotted(5, 5, 12, 9), moved)
    assert np.array_equal(painted[5:14, 5:17], spotted(5, 5, 12, 9)[5:14, 5:17])  # the fault itself stays
    for x, y, width, height in moved:
        assert 0 <= x <= 80 - width
        assert 0 <= y <= 60 - height


def test_a_picture_without_room_elsewhere_has_no_control():
    assert paint_out.elsewhere([(10, 5, 60, 50)], 60, 80, seed=0) is None


def test_measures_by_hand():
    # Two trainings that agree; three faults of which two are found; one stays found once painted.
    rows = {
        "as_is": [5.0, 4.0, 1.0],
        "painted": [3.5, 0.5, 1.0],
        "control": [5.0, np.nan, 1.0],
        "healthy": [0.0, 2.0],
    }
    copies = Copies(
        **{name: np.array([values, values]) for name, values in rows.items()}, thresholds=np.full((2, 3), 3.0)
    )
    groups = list("abcde")
    draws = metrics.draw(np.array([0, 0, 0, 1, 1]), groups, 2, 100, np.random.default_rng(0)).with_all
    weights = draws.of_images(groups)
    found = paint_out.measure(copies, weights[:, :3], weights[:, 3:], draws).intervals(0.9)
    assert found["boxed_auc"].value == pytest.approx(5 / 6)
    assert found["painted_auc"].value == pytest.approx(4 / 6)
    assert found["gap"].value == pytest.approx(1 / 6)
    assert found["twin"].value == pytest.approx((3 + 3 + 1.5) / 9)
    assert found["keep"].value == pytest.approx(1 / 2)
    assert found["control_keep"].value == 1  # of the one found picture that has a control
    assert found["gap"].low <= found["gap"].value <= found["gap"].high
    evidence = paint_out.measure(copies, weights[:, :3], weights[:, 3:], draws)
    supported, why = paint_out.verdict("line_hotspot", evidence, 0.9, paint_out.ENOUGH_PICTURES)
    assert not supported
    assert why.startswith("line hotspot: not supported: the score does not rest on the fault (AUC 83.3 with the fault")


def test_few_pictures_support_nothing_whatever_the_gap():
    even = np.full(101, 0.5)
    evidence = paint_out.Evidence(**dict.fromkeys(paint_out.Evidence.__dataclass_fields__, even))
    assert paint_out.verdict("leak", evidence, 0.95, paint_out.ENOUGH_PICTURES)[0]
    supported, why = paint_out.verdict("leak", evidence, 0.95, 5)
    assert not supported
    assert why.startswith("leak: not supported: 5 test pictures with boxes are too few to tell, 10 are needed (")
