import os
import shutil

import numpy as np
import pytest

from augment.labelling.pictures import Looks, list_pictures
from augment.models.image_embedding import Fingerprints
from augment.records import RunFolder
from augment.settings import DataSettings, Settings
from edge_runtime.bundle.errors import InputError
from edge_runtime.labelling.journal import LABEL, Answer, Given
from tests.support.spotted_pictures import write_picture, write_yard


@pytest.fixture
def yard(tmp_path):
    return write_yard(tmp_path / "yard")


def listed(root):
    return list_pictures(DataSettings(source=str(root)))


def test_pictures_without_a_label_stand_beside_those_with_one(yard):
    write_picture(yard / "new.png", spot=True, shade=90)
    found = listed(yard)
    assert found.classes == ["pole_fine", "pole_hot"]
    assert [one.label for one in found.pictures if one.paths == ("new.png",)] == [""]
    assert len(found.pictures) == 10


def test_a_folder_without_any_label_is_listed_too(tmp_path):
    write_picture(tmp_path / "a.png", spot=True, shade=1)
    assert [one.label for one in listed(tmp_path).pictures] == [""]


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no picture"):
        listed(tmp_path)


def test_the_same_file_under_two_labels_is_one_picture_and_its_answer_counts_for_both(yard):
    shutil.copy(yard / "pole_hot" / "hot_000.png", yard / "pole_fine" / "copy.png")
    found = listed(yard)
    (double,) = [one for one in found.pictures if len(one.paths) > 1]
    assert (double.label, double.others) == ("pole_fine", ("pole_hot",))
    given = {double.paths[0]: Given(Answer(double.paths[0], LABEL, "pole_hot"), "anna", "now")}
    assert set(found.of_copies(given)) == {"pole_fine/copy.png", "pole_hot/hot_000.png"}
    assert {one.path for one in found.known({})} >= {"pole_fine/copy.png", "pole_hot/hot_000.png"}


def test_look_alikes_are_one_group_and_what_cannot_be_read_stops_nothing(yard, tmp_path):
    for number in (100, 101):
        write_picture(yard / "pole_fine" / f"shot_{number}.png", spot=False, shade=99)
        path = yard / "pole_fine" / f"shot_{number}.png"
        path.write_bytes(path.read_bytes() + bytes([number]))  # other bytes, the same picture
    (yard / "pole_fine" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    settings, found = Settings(data=DataSettings(source=str(yard))), listed(yard)
    looks = Looks(settings, found, Fingerprints(settings, RunFolder(tmp_path / "cache"), "cpu"))
    groups = dict(zip((one.paths[0] for one in found.pictures), looks.groups(), strict=True))
    assert groups["pole_fine/shot_100.png"] == groups["pole_fine/shot_101.png"]
    assert len(set(groups.values())) > 5
    assert "broken.png" in next(iter(looks.unread.values()))
    assert np.isfinite(looks.vectors).all()


def test_what_is_no_file_is_told_and_not_opened_since_a_fifo_would_block_for_ever(yard):
    os.mkfifo(yard / "pole_hot" / "waiting.png")
    found = listed(yard)
    assert len(found.pictures) == 9
    assert [path for path, _ in found.unread] == ["pole_hot/waiting.png"]
