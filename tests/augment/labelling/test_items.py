"""The items of a source, with and without a bundle, and with the run that made one."""

import shutil

import pytest

from augment.labelling.items import SourceItems
from augment.labelling.pictures import Looks, list_pictures
from augment.models.image_embedding import Fingerprints
from augment.records import RunFolder
from augment.settings import DataSettings, Settings
from edge_runtime.bundle.store import open_bundle
from edge_runtime.inference.engines import open_engine
from edge_runtime.inference.evaluator import Evaluator
from edge_runtime.labelling.items import CONTRADICTED, UNBOXED, UNLABELLED
from tests.support.spot_bundle import FAULTS, LABELS, make_bundle
from tests.support.spotted_pictures import SPOT, write_picture, write_yard


@pytest.fixture(scope="module")
def evaluator(tmp_path_factory):
    bundle = open_bundle(make_bundle(tmp_path_factory.mktemp("spots")))
    return Evaluator(bundle, open_engine(bundle).engine)


def items_of(root, evaluator=None, looked_at=False) -> SourceItems:
    settings = Settings(data=DataSettings(source=str(root)))
    listed = list_pictures(settings.data)
    labels, faults = (LABELS, FAULTS) if evaluator else (listed.classes, ["pole_hot"])
    items = SourceItems(settings, listed, labels, faults, evaluator)
    if looked_at:
        cache = RunFolder(root.parent / "cache")
        items.look_at_all(Looks(settings, listed, Fingerprints(settings, cache, "cpu")), None)
    return items


def test_a_wrong_label_comes_first_and_a_fault_without_box_before_the_rest(tmp_path):
    root = write_yard(tmp_path / "yard", fine=12, hot=8)
    write_picture(root / "pole_fine" / "wrong.png", spot=True, shade=70)
    order = items_of(root, looked_at=True).order
    assert (order[0].id, order[0].reason, order[0].rival) == ("pole_fine/wrong.png", CONTRADICTED, "pole_hot")
    assert [item.reason for item in order[1:9]] == [UNBOXED] * 8
    assert len(order) == 21


def test_files_that_contradict_each_other_come_before_all(tmp_path):
    root = write_yard(tmp_path / "yard")
    shutil.copy(root / "pole_hot" / "hot_000.png", root / "pole_fine" / "copy.png")
    first = items_of(root).order[0]
    assert (first.id, first.reason, first.rival, first.chance) == ("pole_fine/copy.png", CONTRADICTED, "pole_hot", None)


def test_a_bundle_proposes_label_and_box_and_judges_what_has_no_label(tmp_path, evaluator):
    root = write_yard(tmp_path / "yard")
    write_picture(root / "new.png", spot=True, shade=90)
    items = items_of(root, evaluator)
    (new,) = [item for item in items.order if item.id == "new.png"]
    look = items.look(new)
    assert new.reason == UNLABELLED
    assert look.proposal.label == "pole_hot"
    assert look.proposal.boxes["pole_hot"] == pytest.approx(SPOT, abs=24)
    assert look.drawn_map("pole_hot", 80).shape == (40, 80, 3)
    assert items.picture(new).shape == (160, 320, 3)


def test_boxes_of_the_source_are_shown_in_pixels_and_measured_for_exports(tmp_path):
    root = write_yard(tmp_path / "yard")
    (root / "pole_hot" / "hot_000.txt").write_text("0 0.5 0.5 0.25 0.5\n")
    items = items_of(root)
    (item,) = [one for one in items.order if one.id == "pole_hot/hot_000.png"]
    assert items.look(item).boxes == ((120, 40, 80, 80),)
    boxes, sizes = items.stated_boxes(every=True)
    assert list(boxes.values()).count(((120, 40, 80, 80),)) == 1
    assert sizes["pole_fine/fine_000.png"] == (320, 160)
