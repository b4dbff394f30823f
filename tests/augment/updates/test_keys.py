"""Keys in files and in a PKCS#11 token."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from augment.updates.keys import KeyRing, create_keys
from augment.updates.repository import GROUPS, create_repository
from edge_runtime.bundle.errors import InputError, UnavailableError
from tests.support.central_repository import make_ring
from tests.support.tuf_reader import client

SOFTHSM = Path("/usr/lib/softhsm/libsofthsm2.so")


def test_a_repository_gets_a_key_for_each_role_and_three_for_root(tmp_path):
    roles = [card.role for card in make_ring(tmp_path / "keys", ("one", "all")).cards()]
    assert sorted(roles) == ["group-all", "group-one", "root", "root", "root", "snapshot", "targets", "timestamp"]


def test_keys_that_are_there_are_kept(tmp_path):
    ring = make_ring(tmp_path / "keys")
    before = [card.key.keyid for card in ring.cards()]
    assert [card.role for card in create_keys(ring, ("one", "three", "all", "north"))] == ["group-north"]
    assert set(before) < {card.key.keyid for card in ring.cards()}


def test_a_key_whose_card_was_not_written_before_a_kill_is_in_nobody_s_way(tmp_path):
    make_ring(tmp_path / "keys")
    (tmp_path / "keys" / "targets-1.json").unlink()
    left = (tmp_path / "keys" / "targets-1.pem").read_bytes()
    assert [card.name for card in create_keys(KeyRing([tmp_path / "keys"], lambda _: "test"), GROUPS)] == ["targets-2"]
    assert (tmp_path / "keys" / "targets-1.pem").read_bytes() == left


def test_a_private_key_is_locked_and_its_owner_s_alone(tmp_path):
    for card in make_ring(tmp_path / "keys").cards():
        assert stat.S_IMODE(card.file.stat().st_mode) == 0o600
        assert card.file.read_text().startswith("-----BEGIN ENCRYPTED PRIVATE KEY")
        assert b"PRIVATE" not in card.file.with_suffix(".json").read_bytes()


def test_keys_that_lie_in_several_folders_sign_together_and_each_is_unlocked_once(tmp_path):
    first, second = make_ring(tmp_path / "first"), make_ring(tmp_path / "second")
    asked = []
    ring = KeyRing([*first.folders, *second.folders], lambda what: asked.append(what) or "test")
    keyids = [first.cards()[0].key.keyid, second.cards()[0].key.keyid, "0" * 64]
    assert [signer.public_key.keyid for signer in ring.signers(keyids)] == keyids[:2]
    assert len(ring.signers(keyids)) == len(asked) == 2


def test_a_wrong_passphrase_and_an_empty_one_are_told(tmp_path):
    keyids = [card.key.keyid for card in make_ring(tmp_path / "keys").cards()]
    with pytest.raises(InputError, match="does not open with this passphrase"):
        KeyRing([tmp_path / "keys"], lambda _: "wrong").signers(keyids)
    with pytest.raises(InputError, match="is empty"):
        KeyRing([tmp_path / "other"], lambda _: "").create("targets")


def test_a_file_that_is_no_card_is_named(tmp_path):
    (tmp_path / "notes.json").write_text("{}")
    with pytest.raises(InputError, match=r"notes\.json is no card"):
        KeyRing([tmp_path], lambda _: "test").cards()


def test_an_address_that_is_no_token_is_refused(tmp_path):
    with pytest.raises(InputError, match="hsm:2"):
        KeyRing([tmp_path], lambda _: "test").adopt("targets", "usb:1")
    with pytest.raises(InputError, match="no role sales"):
        create_keys(KeyRing([tmp_path], lambda _: "test"), ("one",), {"sales": "hsm:1"})


@pytest.fixture
def token(tmp_path, monkeypatch):
    """A PKCS#11 token by SoftHSM with an ECDSA key of number 2; its PIN is 1234."""
    pytest.importorskip("pkcs11")
    if not SOFTHSM.exists() or shutil.which("softhsm2-util") is None:
        pytest.skip("softhsm2 is not installed")
    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm2.conf"))
    monkeypatch.setenv("PYKCS11LIB", str(SOFTHSM))
    made = "--init-token --free --label HQ --pin 1234 --so-pin 5678"
    subprocess.run(["softhsm2-util", *made.split()], check=True, capture_output=True, env=os.environ)
    import pkcs11
    from pkcs11.util import biginteger
    from pkcs11.util.ec import encode_named_curve_parameters

    library = pkcs11.lib(str(SOFTHSM))
    library.reinitialize()
    with library.get_token(token_label="HQ").open(user_pin="1234", rw=True) as session:
        curve = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
        parameters = session.create_domain_parameters(pkcs11.KeyType.EC, curve, local=True)
        parameters.generate_keypair(mechanism=pkcs11.Mechanism.EC_KEY_PAIR_GEN, store=True, id=biginteger(2), label="2")
    return "hsm:2?label=HQ"


def test_a_key_in_a_token_signs_and_never_leaves_it(tmp_path, token):
    ring = KeyRing([tmp_path / "keys"], lambda what: "1234" if "PIN" in what else "test")
    cards = create_keys(ring, ("one",), {"targets": token})
    (card,) = [card for card in cards if card.role == "targets"]
    assert card.where == token
    assert not card.file.exists()
    (signer,) = KeyRing([tmp_path / "keys"], ring.secret).signers([card.key.keyid])
    card.key.verify_signature(signer.sign(b"metadata"), b"metadata")


def test_clients_take_a_repository_whose_targets_key_is_in_a_token(tmp_path, token):
    ring = KeyRing([tmp_path / "keys"], lambda what: "1234" if "PIN" in what else "test")
    create_keys(ring, GROUPS, {"targets": token})
    repository = create_repository(tmp_path / "repository", ring)
    assert repository.root.get_key(repository.root.roles["targets"].keyids[0]).scheme == "ecdsa-sha2-nistp256"
    client(tmp_path / "repository", tmp_path / "state").refresh()


def test_a_token_that_does_not_sign_is_told_and_nothing_is_written(tmp_path, token):
    create_keys(
        KeyRing([tmp_path / "keys"], lambda what: "1234" if "PIN" in what else "test"), GROUPS, {"targets": token}
    )
    wrong = KeyRing([tmp_path / "keys"], lambda what: "9999" if "PIN" in what else "test")
    with pytest.raises(UnavailableError, match="a key of targets does not sign"):
        create_repository(tmp_path / "repository", wrong)
    assert not (tmp_path / "repository" / "metadata" / "timestamp.json").exists()


def test_a_token_that_is_not_there_is_told(tmp_path, token):
    with pytest.raises(UnavailableError, match="PYKCS11LIB"):
        KeyRing([tmp_path / "keys"], lambda _: "1234").adopt("targets", "hsm:2?label=other")
