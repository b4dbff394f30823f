"""The commands, as the central team gives them."""

import hashlib

import pytest
from click.testing import CliRunner

from augment.cli import main
from augment.updates.commands import PASSPHRASE, PIN
from tests.support.colour_bundle import make_bundle
from tests.support.tuf_reader import offered


@pytest.fixture
def rarefault(tmp_path):
    """Runs a command in tmp_path's keys and repository and returns what it printed; it must end with `code`."""

    def run(*arguments, code=0, environment=None):
        at = {"KEYS": str(tmp_path / "keys"), "REPOSITORY": str(tmp_path / "repository"), "BUNDLE": str(bundle)}
        words = [at.get(word, word) for word in arguments]
        done = CliRunner().invoke(main, words, env={PASSPHRASE: "test"} if environment is None else environment)
        assert done.exit_code == code, done.output
        return done.output

    bundle = make_bundle(tmp_path / "bundle")
    run("keys", "create", "KEYS")
    return run


def test_a_bundle_goes_from_the_first_group_to_the_last(rarefault, tmp_path):
    told = rarefault("publish", "BUNDLE", "--repository", "REPOSITORY", "--keys", "KEYS")
    assert "metadata/1.root.json: edge-station trust" in told
    assert hashlib.sha256((tmp_path / "repository/metadata/1.root.json").read_bytes()).hexdigest() in told
    assert "release 1: colours 1" in told
    for group, number in (("one", 2), ("three", 3)):
        words = ("promote", "--repository", "REPOSITORY", "--keys", "KEYS", "--group", group)
        assert "nobody knows" in rarefault(*words, code=1)
        told = rarefault(*words, "--force", "a trial")
        assert f"release {number}: colours 1" in told
    assert offered(tmp_path / "repository", tmp_path / "state", "all")["release"] == 3


def test_creating_keys_tells_where_they_live_and_what_expires(rarefault):
    told = rarefault("keys", "create", "KEYS", "--groups", "one,north")
    assert told.startswith("group-north-1")
    assert "holds every key already" in rarefault("keys", "create", "KEYS")
    assert "Where keys live" in told
    assert "root after 365 days" in told
    assert "90 days on a USB stick" in told


def test_a_key_is_rotated_and_another_revoked_and_stations_follow(rarefault, tmp_path):
    rarefault("publish", "BUNDLE", "--repository", "REPOSITORY", "--keys", "KEYS")
    offered(tmp_path / "repository", tmp_path / "state")
    told = rarefault("keys", "rotate", "root-1", "--repository", "REPOSITORY", "--keys", "KEYS")
    assert told.startswith("root-")
    assert f"in {tmp_path / 'keys'} signs for root instead" in told
    told = rarefault("keys", "revoke", "targets-1", "--repository", "REPOSITORY", "--keys", "KEYS")
    name = told.split()[0]
    assert name.startswith("targets-")
    shown = rarefault("keys", "show", "--repository", "REPOSITORY", "--keys", "KEYS")
    assert "root: 2 of 3" in shown
    assert f"{name} in" in shown
    assert "targets-1 in" not in shown
    assert offered(tmp_path / "repository", tmp_path / "state")["release"] == 1
    told = rarefault("keys", "revoke", "targets-1", "--repository", "REPOSITORY", "--keys", "KEYS", code=1)
    assert "names 0 keys" in told


def test_a_key_that_cannot_be_replaced_for_want_of_root_keys_changes_nothing_for_stations(rarefault, tmp_path):
    rarefault("publish", "BUNDLE", "--repository", "REPOSITORY", "--keys", "KEYS")
    (tmp_path / "safe").mkdir()
    for path in (tmp_path / "keys").glob("root-*"):
        path.rename(tmp_path / "safe" / path.name)
    held = sorted((tmp_path / "keys").iterdir())
    for how in ("rotate", "revoke"):
        told = rarefault("keys", how, "targets-1", "--repository", "REPOSITORY", "--keys", "KEYS", code=1)
        assert f"0 of the keys of root are at hand in {tmp_path / 'keys'}" in told
    assert sorted((tmp_path / "keys").iterdir()) == held
    rarefault("renew", "--repository", "REPOSITORY", "--keys", "KEYS")
    assert offered(tmp_path / "repository", tmp_path / "state")["release"] == 1


def test_a_new_key_never_takes_the_name_of_one_that_is_not_at_hand(rarefault, tmp_path):
    rarefault("publish", "BUNDLE", "--repository", "REPOSITORY", "--keys", "KEYS")
    for path in (tmp_path / "keys").glob("root-3.*"):
        path.unlink()
    told = rarefault("keys", "rotate", "root-1", "--repository", "REPOSITORY", "--keys", "KEYS")
    assert told.split()[0] not in ("root-1", "root-2", "root-3")


def test_the_daily_renewal_needs_the_online_keys_alone(rarefault, tmp_path):
    rarefault("publish", "BUNDLE", "--repository", "REPOSITORY", "--keys", "KEYS")
    online = tmp_path / "online"
    online.mkdir()
    for path in [*(tmp_path / "keys").glob("snapshot-1.*"), *(tmp_path / "keys").glob("timestamp-1.*")]:
        path.rename(online / path.name)
    assert "stations may wait until" in rarefault("renew", "--repository", "REPOSITORY", "--keys", str(online))
    told = rarefault("renew", "--repository", "REPOSITORY", "--keys", str(online), "--offline", code=1)
    assert "0 of the keys of root are at hand" in told
    rarefault("renew", "--repository", "REPOSITORY", "--keys", str(online), "--keys", "KEYS", "--offline")
    assert offered(tmp_path / "repository", tmp_path / "state")["release"] == 1


def test_a_group_is_added(rarefault):
    rarefault("publish", "BUNDLE", "--repository", "REPOSITORY", "--keys", "KEYS")
    told = rarefault("keys", "add-group", "north", "--repository", "REPOSITORY", "--keys", "KEYS")
    assert "groups: one, three, north, all" in told


def test_a_stick_is_written(rarefault, tmp_path):
    rarefault("publish", "BUNDLE", "--repository", "REPOSITORY", "--keys", "KEYS")
    told = rarefault("stick", "--repository", "REPOSITORY", "--out", str(tmp_path / "stick"), "--keys", "KEYS")
    assert "edge-station import-update" in told
    assert offered(tmp_path / "stick", tmp_path / "state")["release"] == 1


def test_a_passphrase_may_stand_in_a_file_and_a_wrong_one_changes_nothing(rarefault, tmp_path):
    (tmp_path / "passphrase").write_text("test\n")
    words = ("publish", "BUNDLE", "--repository", "REPOSITORY", "--keys", "KEYS")
    assert "does not open" in rarefault(*words, code=1, environment={PASSPHRASE: "wrong"})
    assert not (tmp_path / "repository" / "metadata" / "timestamp.json").exists()
    assert "no terminal to ask" in rarefault(*words, code=1, environment={})
    rarefault(*words, "--passphrase-file", str(tmp_path / "passphrase"), environment={PASSPHRASE: "wrong"})


def test_a_passphrase_file_that_is_no_text_is_named_and_nothing_in_it(rarefault, tmp_path):
    (tmp_path / "passphrase").write_bytes(b"s\xe9cret")
    words = ("publish", "BUNDLE", "--repository", "REPOSITORY", "--keys", "KEYS")
    told = rarefault(*words, "--passphrase-file", str(tmp_path / "passphrase"), code=1)
    assert "--passphrase-file" in told
    assert "E9" not in told.upper().replace(str(tmp_path).upper(), "")


def test_the_key_of_a_group_is_asked_for_by_its_passphrase_whatever_the_group_s_name(rarefault):
    rarefault("keys", "create", "KEYS", "--groups", "PIN", environment={PASSPHRASE: "test", PIN: "0000"})
    rarefault("publish", "BUNDLE", "--repository", "REPOSITORY", "--keys", "KEYS", "--groups", "PIN", "--group", "PIN")


def test_what_is_no_repository_and_groups_that_are_unusable_are_told(rarefault, tmp_path):
    for words in (("renew", "--repository", "REPOSITORY"), ("keys", "show", "--repository", "REPOSITORY")):
        assert "holds no repository" in rarefault(*words, "--keys", "KEYS", code=1)
    at = ("--repository", "REPOSITORY", "--keys", str(tmp_path / "nowhere"))
    told = rarefault("publish", "BUNDLE", *at, code=1)
    assert "no key for root, targets, group-one" in told
    assert "nowhere (not there)" in told
    assert "does not exist" in rarefault("publish", str(tmp_path / "nowhere"), *at, code=2)
    (tmp_path / "empty").mkdir()
    told = rarefault("publish", str(tmp_path / "empty"), "--repository", "REPOSITORY", "--keys", "KEYS", code=1)
    assert "that of a run is RUN/bundle" in told
    assert "no station is enrolled" in rarefault("fleet", "--fleet", str(tmp_path / "fleet"))
    assert "expected each once" in rarefault("keys", "create", "KEYS", "--groups", "one,one", code=1)
