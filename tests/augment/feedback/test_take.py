"""The way back as a whole: archives of a station into a run, and the dataset stage that goes on from there."""

import shutil

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("securesystemslib", reason="the extra `central` is not installed")

from augment.cli import main
from augment.data.feedback import read_feedback
from augment.data.image_store import ImageStore
from augment.records import DATASET, RunFolder
from augment.settings import DataSettings, Settings, load_settings, write_settings
from augment.stages import dataset
from edge_runtime.judgements.records import Verdict, judge_event
from edge_runtime.judgements.store import Entry
from tests.support.feedback_archives import FeedbackSite
from tests.support.judged_events import alarm_document


def scene(seed):
    """A picture of coarse blocks, which no other seed looks like."""
    blocks = np.random.default_rng(seed).integers(0, 256, (5, 6, 1), np.uint8)
    return cv2.resize(np.repeat(blocks, 3, axis=2), (96, 80), interpolation=cv2.INTER_NEAREST)


class Loop:
    """A run whose data set is split, and an enrolled station."""

    def __init__(self, folder, ready=None):
        self.folder, self.run, self.source = folder, folder / "run", folder / "images"
        if ready is not None:
            shutil.copytree(ready.folder, folder, dirs_exist_ok=True)
            self.first, self.site = ready.first, FeedbackSite(folder)
            return
        for place, label in enumerate(("ok", "oil_leak")):
            (self.source / label).mkdir(parents=True)
            for at in range(10):  # numbers ten apart: no burst
                cv2.imwrite(str(self.source / label / f"{label}{at}0.png"), scene(100 * place + at))
        self.run.mkdir()
        data = DataSettings(source="../images", faults=("oil_leak",))
        write_settings(Settings(data=data), self.run / "pipeline.toml")
        self.first = self.split()

    def split(self):
        return dataset.run(load_settings(self.run / "pipeline.toml"), RunFolder(self.run))

    def take(self, *archives, code=0):
        arguments = ["feedback", str(self.run), *map(str, archives), "--fleet", str(self.site.fleet)]
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == code, done.output
        return done.output

    @property
    def document(self):
        return read_feedback(self.run / "feedback")

    def of_side(self, side):
        return [record for record in self.first.records if record.split == side]


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    return Loop(tmp_path_factory.mktemp("ready"))


@pytest.fixture
def loop(tmp_path, ready):
    return Loop(tmp_path, ready)


def said(number, verdict=Verdict.WRONG, judge="anna", boxes=()):
    return judge_event(alarm_document(number), verdict, judge, "operator", boxes=boxes)


def jpeg(folder, frame, name="a.jpg"):
    path = folder / name
    path.write_bytes(cv2.imencode(".jpg", frame)[1].tobytes())
    return path


def test_judged_pictures_become_training_records_with_their_boxes_and_the_split_stays(loop, tmp_path):
    pictures = [(at, jpeg(tmp_path, scene(900 + at), f"{at}.jpg")) for at in range(3)]
    judgements = [said(0), said(1, Verdict.RIGHT, boxes=[(0.25, 0.5, 0.5, 0.25)]), said(2, Verdict.UNSURE)]
    told = loop.take(loop.site.archive(judgements, pictures))
    assert "2 of 3 judged pictures are to learn from: 1 oil_leak, 1 ok" in told
    assert "left out hill event-2: nobody can tell" in told
    assert "hill north oil_leak 2026-W48: 1 of 2 alarms right" in told
    after = loop.split()
    sides = {record.id: record.split for record in after.records}
    assert {record.id: record.split for record in loop.first.records}.items() <= sides.items()
    new = [record for record in after.records if record.origin == "feedback"]
    assert sorted((record.label, record.split) for record in new) == [("oil_leak", "train"), ("ok", "train")]
    (boxed,) = [record for record in new if record.boxes]
    assert (boxed.label, list(boxed.boxes[0])) == ("oil_leak", [24.0, 40.0, 48.0, 20.0])
    assert ImageStore(load_settings(loop.run / "pipeline.toml")).frame(boxed).shape == (80, 96, 3)
    assert RunFolder(loop.run).require(DATASET).digest == after.digest


def test_taking_an_archive_twice_changes_nothing(loop, tmp_path):
    archive = loop.site.archive([said(0)], [(0, jpeg(tmp_path, scene(900)))])
    loop.take(archive)
    first = {path: path.read_bytes() for path in (loop.run / "feedback").rglob("*") if path.is_file()}
    assert "0 judgements and 0 pictures are new" in loop.take(archive, archive)
    assert {path: path.read_bytes() for path in (loop.run / "feedback").rglob("*") if path.is_file()} == first


def test_nothing_that_shows_a_held_out_picture_comes_in_nor_its_burst(loop, tmp_path):
    test, val = loop.of_side("test")[0], loop.of_side("val")[0]
    store = ImageStore(load_settings(loop.run / "pipeline.toml"))
    pictures = [
        (0, jpeg(tmp_path, store.frame(test), "0.jpg")),
        (1, jpeg(tmp_path, store.frame(val)[:, ::-1], "1.jpg")),  # turned over
        (2, jpeg(tmp_path, scene(902), "2.jpg")),
        (3, jpeg(tmp_path, scene(903), "3.jpg")),
    ]
    archive = loop.site.archive([said(at) for at in range(4)], pictures)
    told = loop.take(archive)
    assert f"event-0: it shows the same as {test.path} of the test set" in told
    assert f"event-1: it shows the same as {val.path} of the val set" in told
    assert [record.event for record in loop.document.records] == ["event-2", "event-3"]


def test_a_burst_goes_as_a_whole(loop, tmp_path):
    test = loop.of_side("test")[0]
    frame = ImageStore(load_settings(loop.run / "pipeline.toml")).frame(test)
    pictures = [(0, jpeg(tmp_path, frame, "0.jpg")), (1, jpeg(tmp_path, scene(901), "1.jpg"))]
    times = ["2026-11-23T02:10:00.000Z", "2026-11-23T02:19:00.000Z"]
    told = loop.take(loop.site.archive([said(0), said(1)], pictures, times))
    assert f"event-1: a picture of its burst shows the same as {test.path}" in told
    assert loop.document.records == []


def test_an_undo_that_comes_later_takes_the_record_away_again(loop, tmp_path):
    judgement = said(0)
    loop.take(loop.site.archive([judgement], [(0, jpeg(tmp_path, scene(900)))]))
    assert len(loop.document.records) == 1
    loop.take(loop.site.archive([Entry("undo-1", None, judgement.id)]))
    assert loop.document.records == []
    assert loop.document.summary.judged == 0


def test_a_bad_archive_keeps_no_good_one_back(loop, tmp_path):
    good = loop.site.archive([said(0)], [(0, jpeg(tmp_path, scene(900)))])
    bad = tmp_path / "bad.zip"
    bad.write_bytes(b"PK")
    told = loop.take(bad, good, code=1)
    assert "1 judgements and 1 pictures are new" in told
    assert "bad.zip is not taken" in told


def test_hard_examples_that_nobody_judged_wait_for_labels(loop, tmp_path):
    told = loop.take(loop.site.archive([], [(0, jpeg(tmp_path, scene(900)))]))
    assert "1 hard examples wait" in told
    assert len(list((loop.run / "feedback" / "unlabelled").iterdir())) == 1
    assert len(loop.split().records) == len(loop.first.records)


def test_a_run_with_folds_takes_feedback_to_the_training_side(loop, tmp_path):
    settings = Settings(data=DataSettings(source="../images", faults=("oil_leak",), folds=3))
    write_settings(settings, loop.run / "pipeline.toml")
    loop.first = loop.split()
    loop.take(loop.site.archive([said(0)], [(0, jpeg(tmp_path, scene(900)))]))
    (new,) = [record for record in loop.split().records if record.origin == "feedback"]
    assert new.split == "train"
