"""A rendered archive: what it writes, the pipeline reads, with the box of every fault."""

from augment.data.sources import check_source
from augment.mini.archive import Share, write_archive
from augment.mini.scenes import FAULT_LABELS, fault_box, station_scene
from augment.settings import DataSettings, Settings


def test_the_manifest_gives_every_fault_its_box_and_healthy_pictures_none(tmp_path):
    counts = {"whole_insulator": 2, "broken_insulator": 2}
    write_archive(tmp_path, {"train": Share(counts, 3), "test": Share(counts, 4)})
    source = check_source(Settings(data=DataSettings(source=str(tmp_path / "manifest.csv"))))
    assert len(source.candidates) == 8
    for candidate in source.candidates:
        assert (tmp_path / candidate.path).is_file()
        assert candidate.path.startswith(candidate.sides[0])
        assert (candidate.boxes is not None) == (candidate.label in FAULT_LABELS)
    box = next(c.boxes[0] for c in source.candidates if c.path == "test/broken_insulator/broken_insulator_0001.jpg")
    assert (box.x, box.y, box.width, box.height) == fault_box(station_scene(4, "broken_insulator", 1), 128)
