import subprocess
import sys

import pytest

from edge_runtime.updates.errors import Reason, UpdateDelayed
from edge_runtime.updates.state import MOST_OUTCOMES, Stage, UpdateRunsError, UpdateState, load, update_lock
from edge_runtime.updates.trusted_repository import Release

RELEASE = Release(7, "ab" * 32, "colours", "2", "one", forced="a person said so")

HOLDER = """
import sys
from pathlib import Path
from edge_runtime.updates.state import update_lock
with update_lock(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_state_comes_back_from_disk_as_it_was(tmp_path):
    state = UpdateState().begun(RELEASE).at(Stage.STAGED).failed(Reason.GOLDEN, "score 0.3, expected 0.9")
    state.save(tmp_path)
    assert load(tmp_path) == state
    assert state.history[0].release == 7
    assert state.history[0].reason == "golden"


def test_a_station_that_was_never_updated_is_idle(tmp_path):
    assert load(tmp_path) == UpdateState()


@pytest.mark.parametrize("text", ["", "[]", "{}", "{" * 100_000, '{"stage": "from a later version"}'])
def test_a_file_that_cannot_be_understood_is_told_and_counts_as_none(tmp_path, caplog, text):
    (tmp_path / "updates").mkdir()
    (tmp_path / "updates" / "state.json").write_text(text)
    assert load(tmp_path) == UpdateState()
    assert "cannot be understood" in caplog.text


def test_only_the_last_outcomes_are_kept_the_newest_first():
    state = UpdateState()
    for number in range(MOST_OUTCOMES + 3):
        state = state.begun(Release(number, "ab" * 32, "colours", "1", "all")).committed()
    assert [outcome.release for outcome in state.history] == list(range(MOST_OUTCOMES + 2, 2, -1))


def test_what_a_repository_does_does_not_push_out_what_bundles_did():
    state = UpdateState().begun(Release(1, "ab" * 32, "colours", "1", "all")).failed(Reason.PROBATION_NAN, "NaN")
    for _ in range(20):
        state = UpdateState(history=state.history).failed(Reason.SIGNATURE, "nobody signed it")
    assert [outcome.release for outcome in state.history] == [None, None, None, 1]


def test_a_state_that_cannot_be_written_is_delayed_by_the_disk(tmp_path):
    (tmp_path / "updates").write_text("a file in the place of the folder")
    with pytest.raises(UpdateDelayed) as refused:
        UpdateState().save(tmp_path)
    assert refused.value.reason is Reason.DISK


def test_one_process_updates_at_a_time_and_a_killed_one_leaves_no_lock(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(UpdateRunsError), update_lock(tmp_path):
            pass
        holder.kill()
        holder.wait(10)
    with update_lock(tmp_path):
        pass


def test_a_reason_that_only_a_later_version_knows_is_told_without_advice():
    assert UpdateState(reason="later", detail="seen").refusal() == "refused (later): seen"
    assert "edge-station check" in UpdateState(reason=Reason.GOLDEN.value, detail="seen").refusal()
