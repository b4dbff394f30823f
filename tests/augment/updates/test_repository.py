"""The written repository, read by python-tuf's own client."""

import json
import os
import random
import signal
import threading
import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from tuf.api.exceptions import ExpiredMetadataError, RepositoryError

from augment.updates.repository import load_repository, open_repository
from edge_runtime.bundle.errors import InputError, UnavailableError
from edge_runtime.bundle.store import open_bundle
from edge_runtime.updates.rate_limit import RateLimit
from edge_runtime.updates.sources import open_source
from edge_runtime.updates.trusted_repository import TrustedRepository, trust_root
from tests.support.central_repository import make_repository
from tests.support.tuf_reader import client, offered


def test_python_tufs_client_finds_the_release_and_every_file_of_the_bundle(repository, bundle, tmp_path):
    digest = repository.add_bundle(bundle)
    repository.release(digest, "one")
    repository.commit()
    release = offered(repository.folder, tmp_path / "state")
    assert (release["release"], release["bundle"], release["name"], release["forced"]) == (1, digest, "colours", None)
    updater = client(repository.folder, tmp_path / "state")
    for path in bundle.rglob("*.*"):
        name = path.relative_to(bundle).as_posix()
        target = updater.get_targetinfo(f"bundles/{digest}/{name}")
        place = tmp_path / "fetched"
        assert Path(updater.download_target(target, str(place))).read_bytes() == path.read_bytes()


def test_a_group_is_offered_nothing_before_it_is_its_turn(repository, bundle, tmp_path):
    repository.release(repository.add_bundle(bundle), "one")
    repository.commit()
    assert offered(repository.folder, tmp_path / "state", "three") == {}


def test_release_numbers_grow_over_all_groups_and_when_a_bundle_is_offered_again(repository, bundle):
    digest = repository.add_bundle(bundle)
    numbers = [repository.release(digest, "one").number, repository.promote("one").number]
    assert [*numbers, repository.release(digest, "one").number] == [1, 2, 3]
    assert repository.promote("three").group == "all"
    with pytest.raises(InputError, match="nobody after it"):
        repository.promote("all")


def test_a_group_can_be_offered_only_what_the_repository_holds(repository):
    with pytest.raises(InputError, match="holds no bundle"):
        repository.release("0" * 64, "one")
    with pytest.raises(InputError, match="no group 'two'"):
        repository.release("0" * 64, "two")


def test_a_group_key_can_sign_for_its_own_group_only(repository, bundle, tmp_path):
    digest = repository.add_bundle(bundle)
    repository.release(digest, "one")
    role = repository.parts["group-one"].signed
    role.targets["groups/all/release.json"] = role.targets["groups/one/release.json"]
    repository.commit()
    assert client(repository.folder, tmp_path / "state").get_targetinfo("groups/all/release.json") is None


def test_what_a_killed_writer_left_is_not_seen_and_is_written_over(repository, bundle, tmp_path):
    repository.release(repository.add_bundle(bundle), "one")
    repository.commit()
    before = (repository.folder / "metadata" / "timestamp.json").read_bytes()
    repository.release(repository.add_bundle(bundle), "one")
    repository.commit()
    (repository.folder / "metadata" / "timestamp.json").write_bytes(before)  # killed before the last file
    assert offered(repository.folder, tmp_path / "state")["release"] == 1
    with open_repository(repository.folder, repository.ring) as again:
        assert again.release(again.releases()["one"].bundle, "three").number == 2
    assert offered(repository.folder, tmp_path / "state", "three")["release"] == 2


def test_metadata_expires_when_the_repository_is_not_renewed(tmp_path):
    week_ago = datetime.now(timezone.utc) - timedelta(days=8)
    repository = make_repository(tmp_path / "repository", clock=lambda: week_ago)
    with pytest.raises(ExpiredMetadataError, match=r"timestamp"):
        client(repository.folder, tmp_path / "state").refresh()
    with open_repository(repository.folder, repository.ring) as again:
        again.touch("timestamp")
    client(repository.folder, tmp_path / "state").refresh()


def test_one_writer_at_a_time(repository):
    with open_repository(repository.folder, repository.ring) as first:
        assert first.releases() == {}
        with pytest.raises(UnavailableError, match="another process"), open_repository(repository.folder, first.ring):
            pass


@pytest.mark.parametrize("role", ["targets", "snapshot", "timestamp", "group-one"])
@pytest.mark.parametrize("stolen", [False, True])
def test_clients_follow_a_rotated_key(repository, bundle, tmp_path, role, stolen):
    repository.release(repository.add_bundle(bundle), "one")
    repository.commit()
    offered(repository.folder, tmp_path / "state")
    owner = repository.targets if role.startswith("group-") else repository.root
    old = owner.get_delegated_role(role).keyids[0]
    repository.replace_key(role, old, repository.ring.create(role).key, stolen)
    repository.commit()
    repository.release(repository.releases()["one"].bundle, "one")
    repository.touch(role)
    repository.commit()
    assert old not in repository.parts[role].signatures
    assert offered(repository.folder, tmp_path / "state")["release"] == 2
    assert offered(repository.folder, tmp_path / "new")["release"] == 2


def test_clients_follow_a_rotation_at_each_moment_of_its_writing(repository, bundle, tmp_path):
    repository.release(repository.add_bundle(bundle), "one")
    repository.commit()
    old = repository.root.roles["timestamp"].keyids[0]
    repository.replace_key("timestamp", old, repository.ring.create("timestamp").key)
    repository.commit()
    (repository.folder / "metadata" / "2.root.json").rename(tmp_path / "2.root.json")  # killed before the last file
    assert offered(repository.folder, tmp_path / "state")["release"] == 1
    (tmp_path / "2.root.json").rename(repository.folder / "metadata" / "2.root.json")
    assert offered(repository.folder, tmp_path / "state")["release"] == 1


def test_root_keys_rotate_one_after_the_other_and_a_client_of_the_first_root_follows(repository, bundle, tmp_path):
    offered(repository.folder, tmp_path / "state")
    for old in list(repository.root.roles["root"].keyids):
        repository.replace_key("root", old, repository.ring.create("root").key)
        repository.commit()
    repository.release(repository.add_bundle(bundle), "one")
    repository.commit()
    assert repository.root.version == 4
    assert offered(repository.folder, tmp_path / "state")["release"] == 1


def test_a_root_below_its_threshold_is_not_written(repository):
    for name in ("root-2", "root-3"):
        (repository.ring.folders[0] / f"{name}.json").unlink()
    again = load_repository(repository.folder, repository.ring)
    again.touch("root")
    with pytest.raises(InputError, match=r"1 of the keys of root are at hand in .*, expected 2"):
        again.commit()
    assert not (repository.folder / "metadata" / "2.root.json").exists()


def test_a_forward_clock_of_a_thief_is_undone_by_new_keys(repository, bundle, tmp_path):
    """Fast-forward: a stolen timestamp key signs version 1000000, and the repository recovers by rotation."""
    repository.release(repository.add_bundle(bundle), "one")
    repository.commit()
    honest = (repository.folder / "metadata" / "timestamp.json").read_bytes()
    stolen = load_repository(repository.folder, repository.ring)
    stolen.committed["timestamp"] = 999_999
    stolen.touch("timestamp")
    stolen.commit()
    offered(repository.folder, tmp_path / "state")
    (repository.folder / "metadata" / "timestamp.json").write_bytes(honest)
    with pytest.raises(RepositoryError):
        client(repository.folder, tmp_path / "state").refresh()
    again = load_repository(repository.folder, repository.ring)
    for role in ("timestamp", "snapshot"):
        again.replace_key(role, again.root.roles[role].keyids[0], again.ring.create(role).key, stolen=True)
    again.commit()
    assert offered(repository.folder, tmp_path / "state")["release"] == 1


def test_a_changed_file_of_the_repository_is_found(repository, bundle):
    repository.release(repository.add_bundle(bundle), "one")
    place = repository.folder / repository.where("groups/one/release.json")
    place.write_bytes(place.read_bytes().replace(b"colours", b"colors!"))
    with pytest.raises(InputError, match="was changed"):
        repository.releases()


def publish_for_ever(folder, ring, bundle):
    """What a child process does until it is killed."""
    while True:
        with open_repository(folder, ring) as repository:
            repository.release(repository.add_bundle(bundle), "one")


def test_a_publisher_that_is_killed_anywhere_leaves_a_whole_repository(repository, bundle, tmp_path):
    chance, seen = random.Random(16), 0
    for _ in range(20):
        child = os.fork()
        if child == 0:
            try:
                publish_for_ever(repository.folder, repository.ring, bundle)
            finally:
                os._exit(1)
        time.sleep(chance.uniform(0.0, 0.15))  # the moment of the kill; nothing is waited for
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        release = offered(repository.folder, tmp_path / "state").get("release", 0)
        assert release >= seen
        seen = release
    with open_repository(repository.folder, repository.ring) as again:
        digest = again.add_bundle(bundle)
        assert again.release(digest, "one").number == seen + 1
    updater = client(repository.folder, tmp_path / "state")
    for path in again.bundle_files(digest):
        updater.download_target(updater.get_targetinfo(path), str(tmp_path / "fetched"))
    assert seen > 3


def test_a_station_takes_the_release_and_knows_every_file_of_the_bundle(repository, bundle, tmp_path):
    digest = repository.add_bundle(bundle)
    repository.release(digest, "one", forced="a trial")
    repository.commit()
    trust_root(tmp_path / "trust", (repository.folder / "metadata" / "1.root.json").read_bytes())
    station = TrustedRepository(tmp_path / "trust", open_source(str(repository.folder)))
    station.refresh()
    assert station.release("one") == repository.releases()["one"]
    assert station.release("one").forced == "a trial"
    names = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*.*")}
    assert set(station.files(digest)) == names
    station.fetch_bundle(digest, tmp_path / "incoming", RateLimit(0), threading.Event())
    assert open_bundle(tmp_path / "incoming").digest == digest


def test_a_group_that_is_added_gets_its_turn_and_its_own_release(repository, bundle, tmp_path):
    offered(repository.folder, tmp_path / "state")
    with open_repository(repository.folder, repository.ring) as again:
        again.add_group("north", again.ring.create("group-north").key, before="all")
        again.release(again.add_bundle(bundle), "three")
    with open_repository(repository.folder, repository.ring) as again:
        assert again.about.groups == ("one", "three", "north", "all")
        assert again.promote("three").group == "north"
        with pytest.raises(InputError, match="a group 'north' already"):
            again.add_group("north", again.ring.create("group-north").key, before="all")
    assert offered(repository.folder, tmp_path / "state", "north")["release"] == 2
    assert offered(repository.folder, tmp_path / "state", "all") == {}


def test_a_group_that_was_written_in_by_hand_is_told(repository):
    replace(repository.about, groups=("one", "north")).write(repository.folder)
    with pytest.raises(InputError, match="rarefault keys add-group"):
        load_repository(repository.folder, repository.ring)


@pytest.mark.parametrize(
    ("change", "why"),
    [({"online_days": 36500}, "online_days is 36500, expected at most 31"), ({"root_days": 0}, "the days are")],
)
def test_nobody_can_have_metadata_signed_for_a_lifetime_by_an_unsigned_file(repository, change, why):
    path = repository.folder / "repository.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=why), open_repository(repository.folder, repository.ring) as again:
        again.touch("timestamp")
