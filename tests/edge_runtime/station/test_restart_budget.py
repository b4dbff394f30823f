"""The restart budget: times in seconds, by hand."""

from edge_runtime.station.restart_budget import ALLOWED, WITHIN_SECONDS, RestartBudget


def test_one_bad_camera_is_never_the_services_fault():
    budget = RestartBudget(["yard", "gate"])
    assert not any(budget.spent({"yard": count, "gate": 0}, float(count)) for count in range(1000))


def test_all_of_them_again_and_again_are():
    budget = RestartBudget(["yard", "gate"])
    assert not budget.spent({"yard": ALLOWED, "gate": ALLOWED}, 0)
    assert not budget.spent({"yard": ALLOWED + 1, "gate": ALLOWED}, 1)
    assert budget.spent({"yard": ALLOWED + 1, "gate": ALLOWED + 1}, 2)


def test_what_is_long_ago_does_not_count():
    budget = RestartBudget(["yard"])
    apart = WITHIN_SECONDS / ALLOWED + 1
    assert not any(budget.spent({"yard": count}, count * apart) for count in range(100))


def test_no_cameras_no_budget():
    assert not RestartBudget([]).spent({}, 0)
