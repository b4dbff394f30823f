"""Pictures of a source on a store: fetched when asked for and once, whatever happens on the way."""

import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from augment.data.image_store import ImageStore
from augment.data.layouts.listing import PLAIN_SUFFIXES
from augment.data.sources import list_candidates, picture_tree
from augment.records import RunFolder
from augment.settings import DataSettings, Settings
from augment.stages import dataset
from augment.stores.connection import forget_connections
from augment.stores.pictures import PictureTree, place_of
from edge_runtime.bundle.errors import InputError, UnavailableError
from tests.support.stores import Link, sftp_server


def scene(seed: int) -> np.ndarray:
    blocks = np.random.default_rng(seed).integers(0, 256, (5, 6, 1), np.uint8)
    return cv2.resize(np.repeat(blocks, 3, axis=2), (48, 40), interpolation=cv2.INTER_NEAREST)


def scenes(folder: Path, count: int = 6) -> Path:
    for place, label in enumerate(("hot", "ok")):
        (folder / label).mkdir(parents=True)
        for at in range(count):
            cv2.imwrite(str(folder / label / f"{label}{at}0.png"), scene(100 * place + at))
    (folder / "hot" / "hot00.txt").write_text("0 0.5 0.5 0.2 0.2\n")  # a box, as YOLO writes it
    return folder


def settings_for(source: object, cache: Path, **data: object) -> Settings:
    return Settings(device="cpu", data=DataSettings(source=str(source), store_cache=str(cache), **data))


def tree_for(folder: Path, cache: Path, limit: int = 1 << 30) -> PictureTree:
    """The tree of a folder, by fsspec's own way of reading local files."""
    url = f"file://{folder}"
    return PictureTree(url, place_of(url, str(cache)), limit, PLAIN_SUFFIXES)


def fetched(tree: PictureTree) -> list[str]:
    return sorted(p.relative_to(tree.root).as_posix() for p in tree.root.rglob("*.png") if p.stat().st_size)


def test_a_data_set_on_s3_makes_the_document_that_it_makes_on_a_disk(s3, tmp_path):
    images = scenes(tmp_path / "images")
    s3.bucket("same", images, "north/")
    here = dataset.run(settings_for(images, tmp_path), RunFolder(tmp_path / "here"))
    there = dataset.run(settings_for("s3://same/north/", tmp_path / "cache"), RunFolder(tmp_path / "there"))
    assert there.digest == here.digest
    assert any(record.boxes for record in there.records)
    assert "s3:" not in (tmp_path / "there" / "dataset" / "v0001.json").read_text()


def test_a_source_that_seems_empty_is_refused_and_nothing_of_it_is_forgotten(tmp_path):
    images = scenes(tmp_path / "images", 1)
    tree = tree_for(images, tmp_path / "cache")
    tree.refresh()
    tree.ensure(tree.root / "ok/ok00.png")
    images.rename(tmp_path / "elsewhere")  # as a drive that is not mounted leaves its place
    images.mkdir()
    with pytest.raises(InputError, match="holds no files"):
        tree.refresh()
    assert fetched(tree) == ["ok/ok00.png"]


def test_a_data_set_over_sftp_makes_it_too_and_a_server_with_another_key_is_refused(tmp_path, monkeypatch):
    images = scenes(tmp_path / "images", 3)
    with sftp_server(tmp_path, monkeypatch) as host:
        here = list_candidates(DataSettings(source=str(images)))
        source = list_candidates(DataSettings(source=f"sftp://{host}{images}", store_cache=str(tmp_path / "cache")))
        assert [one.path for one in source.candidates] == [one.path for one in here.candidates]
        assert source.digests() == here.digests()
        (tmp_path / ".ssh" / "known_hosts").write_text("")
        forget_connections()
        with pytest.raises(InputError, match=r"not found in known_hosts.*without a question"):
            list_candidates(DataSettings(source=f"sftp://{host}{images}", store_cache=str(tmp_path / "cache")))


def test_a_lost_connection_is_told_and_what_has_arrived_is_not_fetched_again(s3, tmp_path, monkeypatch):
    s3.bucket("cut", scenes(tmp_path / "images", 30))
    link = Link(s3.port)
    s3.use(monkeypatch, link.endpoint)
    tree = PictureTree("s3://cut", place_of("s3://cut", str(tmp_path)), 1 << 30, PLAIN_SUFFIXES, pauses=())
    tree.refresh()
    paths = sorted(tree.root.rglob("*.png"))
    link.left = 30
    with pytest.raises(UnavailableError, match=r"of 60 files have arrived and stay in .*goes on from there"):
        tree.digests(paths)
    arrived = fetched(tree)
    assert 10 < len(arrived) < 60
    link.left, link.asked = float("inf"), []
    assert all(tree.digests(paths))
    asked = [line.split("/cut/")[1].split()[0] for line in link.asked if ".png" in line]
    assert sorted(asked) == sorted({path.relative_to(tree.root).as_posix() for path in paths} - set(arrived))
    link.close()


def test_a_picture_that_changed_on_the_store_is_refused_until_the_dataset_stage_has_seen_it(tmp_path):
    images = scenes(tmp_path / "images")
    settings, folder = settings_for(f"file://{images}", tmp_path / "cache"), RunFolder(tmp_path / "run")
    before = dataset.run(settings, folder)
    record = next(record for record in before.records if record.path == "ok/ok00.png")
    assert ImageStore(settings).frame(record).shape == (40, 48, 3)
    cv2.imwrite(str(images / "ok" / "ok00.png"), scene(999))
    os.utime(images / "ok" / "ok00.png", (1, 1))
    list_candidates(settings.data)
    with pytest.raises(InputError, match=r"ok00.png has changed on the store.*run `rarefault dataset` again"):
        ImageStore(settings).frame(record)
    (images / "ok" / "ok10.png").unlink()
    after = dataset.run(settings, folder)
    assert len(after.records) == len(before.records) - 1
    assert not any(record.path == "ok/ok10.png" for record in after.records)


def test_a_machine_that_has_never_listed_the_store_opens_a_record(tmp_path):
    images = scenes(tmp_path / "images", 3)
    document = dataset.run(settings_for(f"file://{images}", tmp_path / "one"), RunFolder(tmp_path / "run"))
    other = settings_for(f"file://{images}", tmp_path / "two")
    assert ImageStore(other).frame(document.records[0]).shape == (40, 48, 3)
    assert len(fetched(picture_tree(other.data))) == 1


def test_the_limit_holds_and_the_longest_unused_pictures_go_first(tmp_path):
    images = scenes(tmp_path / "images", 10)
    sizes = {path.relative_to(images).as_posix(): path.stat().st_size for path in images.rglob("*.png")}
    limit = sum(sizes.values()) // 2
    tree = tree_for(images, tmp_path / "cache", limit)
    tree.refresh()
    paths = [tree.root / name for name in sorted(sizes)]
    assert all(tree.digests(paths))
    kept = fetched(tree)
    assert 0.3 * limit < sum(sizes[name] for name in kept) <= limit  # one look at everything pushes nothing out
    for age, name in enumerate(kept):
        os.utime(tree.root / name, (1000 + age, 1000 + age))
    missing = next(name for name in sorted(sizes) if name not in kept)
    assert tree.ensure(tree.root / missing).stat().st_size == sizes[missing]
    left = fetched(tree)
    assert missing in left
    assert kept[0] not in left
    assert kept[-1] in left
    assert sum(sizes[name] for name in left) <= limit


def test_threads_that_ask_for_the_same_pictures_all_get_them_whole(tmp_path):
    images = scenes(tmp_path / "images", 5)
    tree = tree_for(images, tmp_path / "cache", 1)
    tree.refresh()
    wrong: list[str] = []

    def ask() -> None:
        for path in sorted(images.rglob("*.png")):
            name = path.relative_to(images)
            if tree.ensure(tree.root / name).read_bytes() != path.read_bytes():
                wrong.append(str(name))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


def test_names_that_no_disk_can_hold_are_told_and_left_out(s3, tmp_path):
    s3.bucket("odd", scenes(tmp_path / "images", 3))
    for key in ("hot//twice.png", "hot/../up.png", "ok\\back.png", "ok/" + "n" * 260 + ".png"):
        s3.client().put_object(Bucket="odd", Key=key, Body=b"x")
    source = list_candidates(DataSettings(source="s3://odd", store_cache=str(tmp_path / "cache")))
    assert len(source.candidates) == 6
    assert len([reason for _, reason in source.unread if "rename it on the store" in reason]) == 4


def test_a_manifest_on_a_store_is_read_and_messages_name_the_url(tmp_path):
    images = scenes(tmp_path / "images", 3)
    (images / "list.csv").write_text("path,label\n" + "".join(f"ok/ok{n}0.png,{'ab'[n % 2]}\n" for n in range(3)))
    data = DataSettings(source=f"file://{images}/list.csv", store_cache=str(tmp_path / "cache"))
    assert [candidate.label for candidate in list_candidates(data).candidates] == ["a", "b", "a"]
    with pytest.raises(InputError, match=f"data.source is file://{images}/none.csv, which does not exist"):
        list_candidates(replace(data, source=f"file://{images}/none.csv"))
    with pytest.raises(InputError, match=r"data.boxes is s3://other, expected a local path or a place below"):
        list_candidates(replace(data, boxes="s3://other"))


def test_a_disk_without_room_is_told_before_anything_is_fetched(tmp_path):
    images = scenes(tmp_path / "images", 3)
    free = shutil.disk_usage(tmp_path).free
    os.truncate(images / "ok" / "ok00.png", 100 << 20)  # holes, which a listing counts
    for number in range(min(free // (100 << 20) + 2, 3000)):
        os.truncate(os.open(images / "ok" / f"large{number}.png", os.O_CREAT | os.O_RDWR), 100 << 20)
    tree = tree_for(images, tmp_path / "cache", limit=1 << 60)
    tree.refresh()
    with pytest.raises(UnavailableError, match=r"GiB left, and .* set data.store_cache to a folder on another disk"):
        tree.digests(sorted(tree.root.rglob("*.png")))
