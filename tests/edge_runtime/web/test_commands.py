"""`edge-station hash-password`."""

import pytest
from click.testing import CliRunner

pytest.importorskip("argon2", reason="the extra station is not installed")

from edge_runtime.station.cli import main
from edge_runtime.web.accounts import Accounts, Role


def test_what_it_prints_is_a_users_file(tmp_path):
    done = CliRunner().invoke(main, ["hash-password", "shift.2", "--role", "viewer"], input="four words are enough\n")
    assert done.exit_code == 0, done.output
    assert "four words" not in done.output
    path = tmp_path / "users.toml"
    path.write_text(done.output)
    path.chmod(0o600)
    account = Accounts.read(path).check("shift.2", "four words are enough")
    assert account is not None
    assert account.role is Role.VIEWER


def test_a_short_password_and_a_bad_name_are_refused():
    done = CliRunner().invoke(main, ["hash-password", "anna"], input="123\n")
    assert done.exit_code == 1
    assert "expected 10 to" in done.output
    done = CliRunner().invoke(main, ["hash-password", "an na"], input="four words are enough\n")
    assert done.exit_code == 1
    assert "a name has" in done.output
