"""What somebody without our keys writes into a repository is never signed by them."""

import json
from pathlib import Path

import pytest

from augment.updates.keys import KeyRing
from augment.updates.own_signatures import roles_signed_by_us
from augment.updates.repository import load_repository, open_repository
from edge_runtime.bundle.errors import InputError
from tests.support.central_repository import make_repository
from tests.support.colour_bundle import make_bundle


@pytest.fixture
def repository(released):
    return released


def ring_of(tmp_path, name, *patterns):
    """A folder with those of the keys beside the repository that fit the patterns."""
    folder = tmp_path / name
    folder.mkdir()
    for pattern in patterns:
        for path in (tmp_path / "keys").glob(pattern):
            (folder / path.name).write_bytes(path.read_bytes())
    return KeyRing([folder], lambda _: "test")


def change(path: Path, edit):
    """Change a file of metadata as an intruder would, who cannot sign it."""
    document = json.loads(path.read_bytes())
    edit(document["signed"])
    path.write_text(json.dumps(document))


def add_target(signed):
    signed["targets"]["bundles/" + "e" * 64 + "/manifest.json"] = {"length": 1, "hashes": {"sha256": "e" * 64}}


def test_files_that_an_intruder_lists_are_not_signed_at_the_next_release(repository, tmp_path):
    change(repository.folder / "metadata" / "2.targets.json", add_target)
    ring = ring_of(tmp_path, "publisher", "targets-*", "group-*", "snapshot-*", "timestamp-*")
    before = {path: path.read_bytes() for path in repository.folder.rglob("*.json")}
    with pytest.raises(InputError, match="targets"), open_repository(repository.folder, ring) as opened:
        opened.release(opened.add_bundle(make_bundle(tmp_path / "new", ("fp32",))), "one")
    assert not list((repository.folder / "metadata").glob("3.targets.json"))
    assert all(path.read_bytes() == data for path, data in before.items())


@pytest.mark.parametrize("name", ["1.root.json", "2.targets.json", "2.group-one.json", "2.snapshot.json"])
def test_changed_metadata_is_found_where_all_keys_are_at_hand(repository, name):
    change(repository.folder / "metadata" / name, lambda signed: signed.update(expires="2099-01-01T00:00:00Z"))
    with pytest.raises(InputError, match="changed"), open_repository(repository.folder, repository.ring) as opened:
        opened.touch(*opened.parts)


def test_the_keys_of_another_root_are_not_taken_for_ours(repository, tmp_path):
    other = make_repository(tmp_path / "other" / "repository")
    for path in (other.folder / "metadata").glob("*.json"):
        (repository.folder / "metadata" / path.name).write_bytes(path.read_bytes())
    assert roles_signed_by_us(other.parts, repository.ring.cards()) == set()
    with pytest.raises(InputError, match="keys of"), open_repository(repository.folder, repository.ring) as opened:
        opened.touch("targets")


def test_a_group_counts_by_the_key_that_our_targets_give_it(repository, tmp_path):
    parts = load_repository(repository.folder, repository.ring).parts
    of_targets = roles_signed_by_us(parts, ring_of(tmp_path, "targets", "targets-*").cards())
    assert of_targets == {"targets", "group-one", "group-three", "group-all"}
    assert roles_signed_by_us(parts, ring_of(tmp_path, "daily", "snapshot-*").cards()) == {"snapshot"}
    assert roles_signed_by_us(parts, ring_of(tmp_path, "safe", "root-2.*").cards()) == set(parts)


def test_a_lost_key_is_replaced_where_the_owner_vouches_for_what_it_signed(repository, tmp_path):
    ring = ring_of(tmp_path, "rest", "root-*", "group-*", "snapshot-*", "timestamp-*")  # that of targets is gone
    with open_repository(repository.folder, ring) as opened:
        (old,) = opened.root.roles["targets"].keyids
        opened.replace_key("targets", old, ring.create("targets").key, stolen=True)
    assert load_repository(repository.folder, ring).ours == set(repository.parts)
