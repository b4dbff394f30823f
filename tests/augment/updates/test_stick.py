"""A repository on a stick, read by python-tuf's own client."""

from datetime import datetime, timedelta, timezone

import pytest
from tuf.api.exceptions import ExpiredMetadataError, RepositoryError

from augment.updates.repository import load_repository, open_repository
from augment.updates.stick import write_stick
from edge_runtime.bundle.errors import InputError
from tests.support.central_repository import make_repository
from tests.support.colour_bundle import make_bundle
from tests.support.tuf_reader import client, offered


@pytest.fixture
def repository(released):
    return released


def test_a_stick_offers_what_the_server_offers(repository, tmp_path):
    size = write_stick(repository, tmp_path / "stick")
    release = offered(tmp_path / "stick", tmp_path / "state")
    assert release == offered(repository.folder, tmp_path / "other")
    updater = client(tmp_path / "stick", tmp_path / "state")
    for path in repository.bundle_files(str(release["bundle"])):
        updater.download_target(updater.get_targetinfo(path), str(tmp_path / "fetched"))
    assert size > sum(path.stat().st_size for path in (tmp_path / "bundle").rglob("*.*"))


def test_a_bundle_that_nobody_is_offered_stays_at_home(repository, tmp_path):
    old = repository.releases()["one"].bundle
    new = repository.add_bundle(make_bundle(tmp_path / "other", precisions=("fp32",)))
    repository.release(new, "one")
    repository.commit()
    write_stick(repository, tmp_path / "stick")
    assert [path.name for path in (tmp_path / "stick" / "targets" / "bundles").iterdir()] == [new]
    assert old != new


def test_a_stick_lasts_longer_than_the_server(tmp_path):
    month_ago = datetime.now(timezone.utc) - timedelta(days=30)
    old = make_repository(tmp_path / "repository", clock=lambda: month_ago)
    old.release(old.add_bundle(make_bundle(tmp_path / "bundle")), "one")
    old.commit()
    write_stick(old, tmp_path / "stick")
    assert offered(tmp_path / "stick", tmp_path / "state")["release"] == 1
    with pytest.raises(ExpiredMetadataError):
        offered(old.folder, tmp_path / "other")


def test_a_station_may_go_from_the_server_to_the_stick_and_back(repository, tmp_path):
    state = tmp_path / "state"
    assert offered(repository.folder, state)["release"] == 1
    write_stick(repository, tmp_path / "stick")
    assert offered(tmp_path / "stick", state)["release"] == 1
    assert offered(repository.folder, state)["release"] == 1
    with open_repository(repository.folder, repository.ring) as again:
        again.release(again.releases()["one"].bundle, "one")
    write_stick(load_repository(repository.folder, repository.ring), tmp_path / "stick")  # the same stick, later
    assert offered(tmp_path / "stick", state)["release"] == 2


def test_a_stick_older_than_what_a_station_has_seen_is_refused(repository, tmp_path):
    write_stick(repository, tmp_path / "stick")
    with open_repository(repository.folder, repository.ring) as again:
        again.release(again.releases()["one"].bundle, "one")
    offered(repository.folder, tmp_path / "state")
    with pytest.raises(RepositoryError):
        offered(tmp_path / "stick", tmp_path / "state")


def test_nothing_to_carry_and_the_wrong_folder_are_told(repository, tmp_path):
    with pytest.raises(InputError, match="the repository itself"):
        write_stick(repository, repository.folder)
    empty = make_repository(tmp_path / "empty" / "repository")
    with pytest.raises(InputError, match="publish a bundle first"):
        write_stick(empty, tmp_path / "stick")
