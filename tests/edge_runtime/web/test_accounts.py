"""The users file and its passwords."""

import argon2
import pytest

from edge_runtime.bundle.errors import InputError
from edge_runtime.web import accounts
from edge_runtime.web.accounts import Account, Accounts, Role, hash_password
from tests.support.web_pages import PASSWORDS, cheap_hash, write_users


def test_the_right_password_gives_the_account_and_any_other_gives_none(tmp_path):
    known = Accounts.read(write_users(tmp_path))
    found = known.check("anna", PASSWORDS["anna"])
    assert found is not None
    assert (found.name, found.role) == ("anna", Role.OPERATOR)
    assert known.check("wall", PASSWORDS["wall"]).role is Role.VIEWER
    assert known.check("anna", PASSWORDS["wall"]) is None
    assert known.check("nobody", PASSWORDS["anna"]) is None
    assert known.check("anna", "x" * 2000) is None
    assert known.check("anna", "\ud800") is None


def test_an_unknown_name_costs_one_hash_of_the_same_parameters(tmp_path, monkeypatch):
    known = Accounts.read(write_users(tmp_path))
    asked = []
    real = argon2.PasswordHasher.verify
    monkeypatch.setattr(
        argon2.PasswordHasher, "verify", lambda self, hashed, given: asked.append(hashed) or real(self, hashed, given)
    )
    known.check("anna", "wrong password")
    known.check("nobody", "wrong password")
    parameters = [argon2.extract_parameters(hashed) for hashed in asked]
    assert len(parameters) == 2
    assert parameters[0] == parameters[1]


def test_a_new_hash_is_argon2id_by_the_rfc_and_never_the_same_twice():
    one, other = hash_password("four words are enough"), hash_password("four words are enough")
    assert one != other
    assert one.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert argon2.PasswordHasher().verify(one, "four words are enough")


@pytest.mark.parametrize("password", ["short", "x" * 2000])
def test_a_password_that_is_too_short_or_too_long_is_refused_without_being_quoted(password):
    with pytest.raises(InputError, match="expected 10 to 1024") as refused:
        hash_password(password)
    assert password not in str(refused.value)


def test_the_file_is_read_again_when_it_changes_and_the_accounts_before_stay_where_it_is_broken(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(accounts, "LOOK_SECONDS", 0.0)
    path = write_users(tmp_path)
    known = Accounts.read(path)
    path.write_text("[user.anna]\nrole = ")
    for _ in range(3):
        assert known.find("anna") is not None
    assert caplog.text.count("the accounts before stay") == 1
    write_users(tmp_path, {"wall": "viewer"})
    assert known.find("anna") is None
    assert isinstance(known.find("wall"), Account)
    path.unlink()
    assert known.find("wall") is not None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[user.anna]\nrole = 'operator'\npassword = 'open sesame'\n", "no argon2id hash"),
        (
            "[user.anna]\nrole = 'operator'\npassword = '$argon2id$v=19$m=9999999,t=9,p=4$c2FsdHNhbHQ$aGFzaA'\n",
            "no argon2id",
        ),
        (f"[user.anna]\nrole = 'admin'\npassword = '{cheap_hash('x')}'\n", "viewer, operator"),
        (f"[user.'<b>']\nrole = 'viewer'\npassword = '{cheap_hash('x')}'\n", "a name has 1 to 64"),
        ("[users.anna]\nrole = 'viewer'\n", "did you mean user"),
        ("role = ", "no TOML"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_a_sentence_that_quotes_no_secret(tmp_path, text, says):
    path = tmp_path / "users.toml"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(InputError, match=says) as refused:
        Accounts.read(path)
    assert "sesame" not in str(refused.value)


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604])
def test_a_file_that_everybody_may_read_or_others_may_write_is_refused(tmp_path, mode):
    path = write_users(tmp_path)
    path.chmod(mode)
    with pytest.raises(InputError, match="chmod 600"):
        Accounts.read(path)
    path.chmod(0o640)
    assert Accounts.read(path).find("anna") is not None


def test_a_missing_file_is_told_with_the_setting(tmp_path):
    with pytest.raises(InputError, match=r"users_file in \[page\]"):
        Accounts.read(tmp_path / "users.toml")
