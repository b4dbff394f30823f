"""A run that is mirrored to a store: another machine goes on from there, and two never mix."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from augment.cli import main
from augment.records import CAPTIONS, DATASET, RunFolder
from augment.settings import DataSettings, Settings, write_settings
from augment.stores.run_mirror import Mirror, MirroredRun, mirrored
from edge_runtime.bundle.errors import InputError, UnavailableError
from tests.augment.stores.test_pictures import scenes
from tests.support.made_documents import made
from tests.support.stores import Link, sftp_server


def run_with(folder: Path, **documents: object) -> Path:
    """A run folder with a picture, what is unfinished, and a document with the parent that is named."""
    for name, content in {
        "synthetic/images/hot/1.png": b"picture",
        "cache/features.npy": b"",
        "pipeline.toml": b"a",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "captions").mkdir()
    (folder / "captions" / "journal.jsonl").write_text("{}\n")
    RunFolder(folder).write(made(DATASET, **documents))
    return folder


def content(folder: Path) -> dict[str, bytes]:
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {
        name: data
        for name, data in found.items()
        if not name.startswith("cache/") and "journal" not in name and name != "store.json"
    }


def store_in(folder: Path) -> str:
    folder.mkdir()
    return f"file://{folder}"


def mirror_passes(url: str, tmp_path: Path) -> None:
    here, there = run_with(tmp_path / "here"), tmp_path / "there"
    assert Mirror(url, here).push() == 3
    assert Mirror(url, here).push() == 0
    there.mkdir()
    assert Mirror(url, there).pull() == 3
    assert content(there) == content(here)
    MirroredRun(there, Mirror(url, there)).write(made(CAPTIONS, "1"))
    assert Mirror(url, here).pull() == 1
    assert RunFolder(here).latest(CAPTIONS).digest == RunFolder(there).latest(CAPTIONS).digest


def test_another_machine_goes_on_over_a_mounted_folder(tmp_path):
    mirror_passes(store_in(tmp_path / "store"), tmp_path)
    names = [path.name for path in (tmp_path / "store" / "files" / "synthetic" / "images" / "hot").iterdir()]
    assert [name.partition(".")[2] for name in names] == ["1.png"]  # a person who looks there knows it again


def test_another_machine_goes_on_over_s3_and_a_misspelt_bucket_is_not_made(s3, tmp_path):
    s3.client().create_bucket(Bucket="runs")
    mirror_passes("s3://runs/north", tmp_path)
    with pytest.raises(InputError, match="s3://rnus/north or what it should hold does not exist"):
        Mirror("s3://rnus/north", tmp_path / "here").push()
    assert "rnus" not in [bucket["Name"] for bucket in s3.client().list_buckets()["Buckets"]]


def test_another_machine_goes_on_over_sftp(tmp_path, monkeypatch):
    with sftp_server(tmp_path, monkeypatch) as host:
        mirror_passes(f"sftp://{host}{tmp_path}/store", tmp_path)


def test_two_machines_that_made_the_same_agree_and_two_that_differ_are_told(tmp_path):
    url = store_in(tmp_path / "store")
    first, same, other = run_with(tmp_path / "a"), run_with(tmp_path / "b"), run_with(tmp_path / "c", parent="else")
    path = same / "dataset" / "v0001.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "created": "another time"}))
    Mirror(url, first).push()
    assert Mirror(url, same).push() == 0
    before = content(other)
    with pytest.raises(InputError, match=r"v0001.json says other than .*which .* pushed at .*Keep one"):
        Mirror(url, other).push()
    assert content(other) == before
    assert len(list((tmp_path / "store" / "commits").iterdir())) == 1


@pytest.mark.parametrize("kind", ["file", "s3"])
def test_of_two_pushes_at_once_one_comes_second_and_takes_the_first_ones_results_over(kind, request, tmp_path):
    url = store_in(tmp_path / "store")
    if kind == "s3":
        request.getfixturevalue("s3").client().create_bucket(Bucket="race")
        url = "s3://race/north"
    one, two = run_with(tmp_path / "a"), run_with(tmp_path / "b")
    (one / "only-a.txt").write_text("a")
    (two / "only-b.txt").write_text("b")
    late = Mirror(url, two)
    late.pull()  # sees an empty store
    assert Mirror(url, one).push() == 4
    entries = [entry for path in late._own_files() if (entry := late._new_entry(path))]
    late._upload(entries)
    assert not late._commit(entries)
    assert late.push() == 1
    Mirror(url, one).pull()
    assert content(one).keys() == content(two).keys()


def test_a_push_that_was_cut_off_counts_for_nothing_and_is_gone_on_with(s3, tmp_path, monkeypatch):
    s3.client().create_bucket(Bucket="cutpush")
    run = run_with(tmp_path / "run")
    for number in range(20):
        (run / "synthetic" / "images" / "hot" / f"{number}.png").write_bytes(bytes([number]) * 9)
    link = Link(s3.port)
    s3.use(monkeypatch, link.endpoint)
    link.left = 20
    with pytest.raises(UnavailableError, match="files are through, and the same command goes on from there"):
        Mirror("s3://cutpush/run", run, pauses=()).push()
    (tmp_path / "else").mkdir()
    link.left, link.asked = float("inf"), []
    assert Mirror("s3://cutpush/run", tmp_path / "else").pull() == 0
    assert Mirror("s3://cutpush/run", run).push() == 22
    assert 0 < len([line for line in link.asked if line.startswith("PUT") and ".png" in line]) < 20
    link.close()


def test_a_store_that_was_emptied_or_damaged_is_told(tmp_path):
    url, run = store_in(tmp_path / "store"), run_with(tmp_path / "run")
    Mirror(url, run).push()
    (stored,) = (tmp_path / "store" / "files" / "synthetic" / "images" / "hot").iterdir()
    stored.write_bytes(b"pictur!")
    (tmp_path / "else").mkdir()
    with pytest.raises(InputError, match="is damaged"):
        Mirror(url, tmp_path / "else").pull()
    assert not list((tmp_path / "else").rglob("v*.json"))  # documents come last
    shutil.rmtree(tmp_path / "store" / "commits")
    with pytest.raises(InputError, match=r"no longer holds what .* was last equal to \(commit 1\)"):
        Mirror(url, run).push()


def test_an_unreachable_store_does_not_end_a_run(s3, tmp_path, monkeypatch, capsys):
    s3.client().create_bucket(Bucket="away")
    run = run_with(tmp_path / "run")
    link = Link(s3.port)
    s3.use(monkeypatch, link.endpoint)
    mirror = Mirror("s3://away/run", run, pauses=())
    link.left = 0
    MirroredRun(run, mirror).write(made(CAPTIONS, "1"))
    assert "the run goes on" in capsys.readouterr().err
    link.left = float("inf")
    assert mirror.push() == 4
    link.close()


def test_the_command_mirrors_and_a_machine_with_nothing_but_the_url_goes_on(tmp_path):
    url, images = store_in(tmp_path / "store"), scenes(tmp_path / "images", 3)
    settings = Settings(device="cpu", data=DataSettings(source=f"file://{images}", store_cache=str(tmp_path / "c")))
    (tmp_path / "a").mkdir()
    write_settings(settings, tmp_path / "a" / "pipeline.toml")
    for run, said in (("a", "is whole at"), ("b", "files of")):
        command = ["run", str(tmp_path / run / "pipeline.toml"), "--until", "dataset", "--store", url]
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 0, done.output
        assert said in done.output
    assert RunFolder(tmp_path / "b").latest(DATASET).digest == RunFolder(tmp_path / "a").latest(DATASET).digest
    refused = CliRunner().invoke(main, ["run", str(tmp_path / "a"), "--store", "runs/north"])
    assert refused.exit_code == 1
    assert "--store is runs/north, expected such as s3://bucket/runs/north" in refused.output
    with pytest.raises(InputError, match="--store is a URL of"), mirrored(tmp_path / "a", "s3://me:secret@bucket"):
        pass
