import numpy as np
import pytest

from augment.json_objects import from_json
from augment.record_types import CurationRecord, DatasetRecord, GeneratedRecord
from augment.spatial.lessons import Lessons, lessons_of
from augment.training.finetune import Examples
from edge_runtime.bundle.heads import Group, SpatialHead
from edge_runtime.bundle.preprocess import PreprocessSpec
from export.spatial_network import HeadShape

LABELS = ("hot", "ok", "wet")
SQUARE = PreprocessSpec(64, 64, "letterbox")
HEAD = SpatialHead((Group("mast", "ok", {"hot": "hot", "wet": "wet"}),), ("hot", "wet"))
REAL = [
    from_json(DatasetRecord, {"id": "a", "label": "hot", "width": 64, "height": 64, "boxes": [[32, 0, 16, 16]]}),
    from_json(DatasetRecord, {"id": "b", "label": "ok", "width": 64, "height": 64}),
    from_json(DatasetRecord, {"id": "c", "label": "wet", "width": 64, "height": 64}),
    from_json(DatasetRecord, {"id": "d", "label": "ok", "width": 64, "height": 64}),
]


def drawn(number: str, **content: object) -> tuple[CurationRecord, GeneratedRecord]:
    whole = {"id": number, "host": None, "place": None, "source": "a", "path": "x.png", **content}
    return from_json(CurationRecord, whole), from_json(GeneratedRecord, whole)


def lessons(*generated, spec: PreprocessSpec = SQUARE) -> Lessons:
    made = {record.id: record for _, record in generated}
    images = [*REAL, *(image for image, _ in generated)]
    return lessons_of(images, made, LABELS, HEAD, HeadShape(), spec, 0.2, lambda record: (128, 128))


def test_a_boxed_fault_teaches_its_cells_and_one_without_a_box_its_picture_alone():
    found = lessons()
    assert found.pictures.tolist() == [[1, 0], [0, 0], [0, 1], [0, 0]]
    assert found.has_cells.tolist() == [[True, True], [True, True], [True, False], [True, True]]
    assert np.argwhere(found.cells).tolist() == [[0, 0, 0, 0, 2]]  # picture, view, kind, row, column
    assert found.groups.tolist() == [0, 0, 0, 0]


def test_boxes_follow_the_picture_into_the_letterbox_and_into_tiles():
    wide = lessons(spec=PreprocessSpec(64, 128, "letterbox"))  # the picture lies 32 pixels from the left
    assert np.argwhere(wide.cells[0, 0, 0]).tolist() == [[0, 4]]
    tiled = lessons(spec=PreprocessSpec(32, 32, "letterbox", tiles=(2, 2), overlap=0))  # a canvas of 64 x 64
    assert np.argwhere(tiled.cells[0, :, 0]).tolist() == [[1, 0, 0]]  # the tile at the top right


def test_a_generated_fault_with_a_place_teaches_cells_and_one_without_does_not():
    place = drawn("m", label="hot", method="transplant", place=[64, 0, 32, 32])  # of 128 pixels: 32, 0, 16, 16
    found = lessons(place, drawn("n", label="hot", method="text2img"))
    assert (found.cells[4] == found.cells[0]).all()
    assert found.has_cells[4:].tolist() == [[True, True], [False, True]]


def test_a_healed_picture_is_healthy_and_weighs_as_much_as_its_fault():
    found = lessons(drawn("m", label="ok", method="heal", place=[0, 0, 9, 9]), drawn("n", label="hot", method="codec"))
    assert not found.cells[4].any()
    assert found.has_cells[4].all()
    weights = found.weights(_task(range(6), [0, 1, 2, 1, 1, 0], generated=(4, 5)))
    assert weights[4] == pytest.approx(weights[0])
    assert weights[5] == pytest.approx(0.2 * weights[0])
    assert weights[1] == pytest.approx(weights[0] / np.sqrt(2))  # two real healthy pictures, one real fault


def test_generated_pictures_never_lower_the_weight_of_real_ones():
    made = [drawn(f"m{at}", label="hot", method="text2img") for at in range(20)]
    alone = lessons().weights(_task(range(4), [0, 1, 2, 1]))
    beside = lessons(*made).weights(_task(range(24), [0, 1, 2, 1] + [0] * 20, generated=range(4, 24)))
    assert beside[:4].tolist() == alone.tolist()
    assert alone.mean() == pytest.approx(1)


def test_a_class_that_has_only_generated_pictures_weighs_by_them():
    made = [drawn(f"m{at}", label="hot", method="text2img") for at in range(4)]
    found = lessons(*made).weights(_task(range(4, 8), [0] * 4, generated=range(4)))
    assert found.tolist() == [1] * 4


def _task(rows, targets, generated=()):
    """What weights are asked of: a task's examples and labels."""
    rows = np.array(rows)

    class Weighed:
        training = Examples(rows, np.array(targets), ())
        labels = LABELS

    Weighed.generated = np.isin(np.arange(len(rows)), list(generated))
    return Weighed
