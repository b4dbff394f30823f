"""The lock of a state folder."""

import pytest

from edge_runtime.bundle.errors import UnavailableError
from edge_runtime.station.state_lock import StateFolderInUseError, is_running, lock_state_folder


def test_one_at_a_time_works_on_a_folder_and_others_see_it(tmp_path):
    assert not is_running(tmp_path / "state")
    with lock_state_folder(tmp_path / "state"):
        assert is_running(tmp_path / "state")
        with pytest.raises(StateFolderInUseError, match=r"another edge-station works on .*state; stop it"):
            lock_state_folder(tmp_path / "state")
    assert not is_running(tmp_path / "state")


def test_a_look_writes_nothing_since_the_disk_may_take_nothing(tmp_path):
    assert not is_running(tmp_path / "state")
    assert not (tmp_path / "state").exists()


def test_a_folder_that_cannot_be_is_a_sentence(tmp_path):
    (tmp_path / "state").write_text("in the way")
    with pytest.raises(UnavailableError, match="state cannot be written"):
        lock_state_folder(tmp_path / "state")
