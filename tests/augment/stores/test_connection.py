"""What is said of a store that cannot be used, and that no secret gets into a file."""

import sys
import time

import pytest

from augment.data.sources import list_candidates
from augment.settings import DataSettings
from augment.store_urls import is_url
from augment.stores import connection
from augment.stores.connection import forget_connections, patiently
from augment.stores.listing import pages
from edge_runtime.bundle.errors import InputError, UnavailableError


def listed(url, tmp_path):
    return list_candidates(DataSettings(source=url, store_cache=str(tmp_path)))


@pytest.mark.parametrize("text", ["s3://bucket/folder", "sftp://host/a", "file:///mnt/a", "S3://bucket"])
def test_a_url_is_told_from_a_path(text):
    assert is_url(text)
    assert not is_url(text.partition("://")[2])
    assert not is_url("C://pictures")


@pytest.mark.parametrize(
    "url", ["sftp://me:secret@host/a", "s3://bucket/a?token=secret", "s3:///a", "s3://bucket/../a"]
)
def test_a_url_with_a_secret_or_without_a_place_is_refused_and_the_secret_not_repeated(url):
    (sentence,) = DataSettings(source=url).contradictions()
    assert sentence.startswith("data.source is ")
    assert "secret" not in sentence


def test_a_misspelt_bucket_and_a_misspelt_folder_are_named(s3, tmp_path):
    s3.client().create_bucket(Bucket="spelt")
    with pytest.raises(InputError, match=r"s3://spellt/a or what it should hold does not exist.*correct the spelling"):
        listed("s3://spellt/a", tmp_path)
    with pytest.raises(InputError, match="s3://spelt/b holds no files"):
        listed("s3://spelt/b", tmp_path)


def test_wrong_credentials_and_none_are_told_with_the_places_where_they_are_looked_for(s3, tmp_path, monkeypatch):
    s3.client().create_bucket(Bucket="locked")
    with s3.checking_keys(), pytest.raises(InputError, match=r"s3://locked/a refuses .*AWS_ACCESS_KEY_ID"):
        listed("s3://locked/a", tmp_path)
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(key)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    forget_connections()
    with pytest.raises(InputError, match=r"s3://locked/a refuses .*redentials.*AWS_ACCESS_KEY_ID"):
        listed("s3://locked/a", tmp_path)


def test_a_store_that_cannot_be_reached_is_asked_again_and_then_told(s3, monkeypatch):
    s3.use(monkeypatch, "http://127.0.0.1:9")  # the port of `discard`, where nobody listens
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    started = time.monotonic()
    with pytest.raises(UnavailableError, match="listing: s3://far/a cannot be used now"):
        patiently("s3://far/a", "listing", lambda: list(pages("s3://far/a")), pauses=(0.1,))
    assert time.monotonic() - started < 60


def test_without_the_extra_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(InputError, match=r"pip install 'rarefault\[stores\]'"):
        connection.open_store("s3://bucket/a")


def test_s3_gives_its_names_in_pages_and_all_of_them_come(s3):
    client = s3.client()
    client.create_bucket(Bucket="paged")
    for number in range(25):
        client.put_object(Bucket="paged", Key=f"a/{number:02d}.png", Body=bytes(number))
    client.put_object(Bucket="paged", Key="a/", Body=b"")  # how some programs make a folder visible
    found = list(pages("s3://paged/a", page=7))
    assert [len(page) for page in found] == [6, 7, 7, 5]  # the marker is no file
    assert [(file.path, file.size) for page in found for file in page] == [(f"{n:02d}.png", n) for n in range(25)]
