"""Child processes: a module is found wherever we are, an end is an end, and too many restarts are counted."""

import subprocess

from edge_runtime.child_process import (
    ALLOWED_RESTARTS,
    WITHIN_SECONDS,
    RestartBudget,
    end_child,
    module_command,
    start_child,
)


def test_the_module_is_found_from_any_folder_and_nothing_there_is_imported(tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise SystemExit('imported from the user's folder')")
    monkeypatch.chdir(tmp_path)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    child = start_child(module_command("edge_runtime.classify", "--help"), **pipes)
    assert b"Usage" in child.stdout.read()
    assert child.wait(60) == 0
    assert end_child(child) == 0


def test_a_child_that_waits_is_killed_and_its_pipes_are_closed():
    child = start_child(
        module_command("code"), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    assert end_child(child) == -9
    assert child.stdin.closed


def test_a_child_that_died_before_it_read_its_orders_can_still_be_ended():
    child = start_child(module_command("no_such_module"), stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    child.wait(60)
    child.stdin.write(b"orders")  # stays in the buffer: there is nobody to read it
    assert end_child(child) == 1


def test_one_bad_camera_is_never_the_services_fault():
    budget = RestartBudget(["yard", "gate"])
    assert not any(budget.spent({"yard": count, "gate": 0}, float(count)) for count in range(1000))


def test_all_of_them_again_and_again_are():
    budget = RestartBudget(["yard", "gate"])
    assert not budget.spent({"yard": ALLOWED_RESTARTS, "gate": ALLOWED_RESTARTS}, 0)
    assert not budget.spent({"yard": ALLOWED_RESTARTS + 1, "gate": ALLOWED_RESTARTS}, 1)
    assert budget.spent({"yard": ALLOWED_RESTARTS + 1, "gate": ALLOWED_RESTARTS + 1}, 2)


def test_what_is_long_ago_does_not_count():
    budget = RestartBudget(["yard"])
    apart = WITHIN_SECONDS / ALLOWED_RESTARTS + 1
    assert not any(budget.spent({"yard": count}, count * apart) for count in range(100))


def test_no_cameras_no_budget():
    assert not RestartBudget([]).spent({}, 0)
