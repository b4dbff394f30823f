"""Pictures are downloaded whole or not at all, and dealt out as each draw asks."""

import hashlib
import io
import tarfile

import pytest
from torchvision.datasets import OxfordIIITPet

from augment.data.sources import list_candidates
from augment.reference.pictures import deal, obtain, write_manifest
from augment.reference.protocol import Sizes
from augment.settings import DataSettings
from edge_runtime.bundle.errors import InputError, UnavailableError
from edge_runtime.media.jpeg import encode_jpeg
from tests.support.file_server import file_server
from tests.support.pictures import GREEN, RED, picture, write

BREEDS = ("Bengal", "american_bulldog")
SIZES = Sizes(train=2, validation=1)


def archive(path, files):
    """Write a .tar.gz of `files` (name -> bytes); returns its MD5."""
    with tarfile.open(path, "w:gz") as packed:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def robots(tmp_path, monkeypatch):
    """The server of Oxford-IIIT Pet in small: 6 pictures of each of two breeds, 2 of them in the list of the test."""
    served = tmp_path / "served"
    served.mkdir()
    names = [f"{breed}_{number}" for breed in BREEDS for number in range(6)]
    images = {f"images/{name}.jpg": encode_jpeg(picture(GREEN)) for name in names}
    lists = {"test": [n for n in names if n[-1] in "01"], "trainval": [n for n in names if n[-1] not in "01"]}
    lines = {f"annotations/{key}.txt": "".join(f"{n} 1 1 1\n" for n in own).encode() for key, own in lists.items()}
    sums = [archive(served / "images.tar.gz", images), archive(served / "annotations.tar.gz", lines)]
    with file_server(served) as server:
        urls = [f"{server.url}/{name}.tar.gz" for name in ("images", "annotations")]
        monkeypatch.setattr(OxfordIIITPet, "_RESOURCES", tuple(zip(urls, sums, strict=True)))
        yield server


def test_a_download_that_was_cut_leaves_nothing_that_counts_and_the_next_one_is_whole(robots, tmp_path):
    robots.status["annotations.tar.gz"] = 503
    with pytest.raises(UnavailableError, match="name the folder above it with --data"):
        obtain(tmp_path / "out", "")
    assert not (tmp_path / "out" / "data").exists()
    assert (tmp_path / "out" / "data.part" / "oxford-iiit-pet" / "images").is_dir()  # torchvision would call it whole
    (tmp_path / "out" / "data.part" / "oxford-iiit-pet" / "images" / "Bengal_0.jpg").unlink()
    robots.status.clear()
    source = obtain(tmp_path / "out", "")
    assert source.classes == {"American Bulldog": 6, "Bengal": 6}
    assert not list((tmp_path / "out").rglob("*.tar.gz"))
    assert obtain(tmp_path / "out", "") == source


def test_an_archive_with_another_digest_is_refused(robots, tmp_path):
    (robots.folder / "images.tar.gz").write_bytes(b"a page that asks for a login")
    with pytest.raises(UnavailableError, match="corrupted"):
        obtain(tmp_path / "out", "")


def test_every_draw_has_its_own_training_pictures_and_the_test_pictures_of_the_list(robots, tmp_path):
    source = obtain(tmp_path, "")
    draws = [deal(source, draw, SIZES) for draw in range(4)]
    sides = [{side: {c.path for c, s in dealt if s == side} for side in ("train", "val", "test")} for dealt in draws]
    assert all(found["test"] == {f"images/{breed}_{n}.jpg" for breed in BREEDS for n in (0, 1)} for found in sides)
    assert all((len(found["train"]), len(found["val"])) == (4, 2) for found in sides)
    assert len({frozenset(found["train"]) for found in sides}) > 1
    assert deal(source, 3, SIZES) == draws[3]


def test_what_a_manifest_says_is_what_was_dealt(robots, tmp_path):
    source = obtain(tmp_path, "")
    dealt = deal(source, 0, SIZES)
    write_manifest(tmp_path / "draw-0.csv", source, dealt)
    listed = list_candidates(DataSettings(source=str(tmp_path / "draw-0.csv")))
    assert not listed.problems
    found = {(c.path.rpartition("/")[2], c.label, c.sides) for c in listed.candidates}
    assert found == {(c.path.rpartition("/")[2], c.label, (side,)) for c, side in dealt}


def test_pictures_brought_along_are_copied_once_and_a_class_of_few_is_refused(tmp_path):
    given = tmp_path / "given"
    for label, count in (("a", 5), ("b", 4)):
        (given / label).mkdir(parents=True)
        for number in range(count):
            write(given / label / f"{number}.png", picture(RED))
    source = obtain(tmp_path / "out", str(given))
    assert source.classes == {"a": 5, "b": 4}
    assert source.root == tmp_path / "out" / "data"
    (given / "b" / "3.png").unlink()
    with pytest.raises(InputError, match="of b fewer than 4 pictures"):
        obtain(tmp_path / "other", str(given))
