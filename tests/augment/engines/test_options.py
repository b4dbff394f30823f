"""The options of the commands, as a person types them."""

import os

import pytest
from click.testing import CliRunner

from augment.cli import main
from augment.engines.local import LocalEngine
from augment.engines.options import LOCAL, open_engine
from augment.engines.ray_engine import ray_module
from edge_runtime.bundle.errors import InputError, UnavailableError


@pytest.mark.parametrize("command", ["run", "caption", "refine", "generate", "curate"])
def test_commands_whose_work_is_spread_have_the_options(command):
    told = CliRunner().invoke(main, [command, "--help"]).output
    for option in ("--engine [local|ray]", "--workers", "--ray-address"):
        assert option in told


@pytest.mark.parametrize(("told", "named"), [({"workers": 2}, "--workers"), ({"ray_address": "auto"}, "--ray-address")])
def test_options_of_ray_without_ray_are_refused(told, named):
    with (
        pytest.raises(InputError, match=f"{named} is given without --engine ray"),
        open_engine({**LOCAL, **told}, gpus=False),
    ):
        pass


def test_more_workers_than_this_machine_has_cpus_are_refused_before_one_starts():
    pytest.importorskip("ray", reason="the extra cluster is not installed")
    many = (os.cpu_count() or 1) + 1
    told = {**LOCAL, "engine": "ray", "workers": many}
    with pytest.raises(InputError, match=f"--workers {many} .*at most {many - 1}, "), open_engine(told, gpus=False):
        pass


def test_without_options_batches_are_worked_on_in_this_process():
    with open_engine(LOCAL, gpus=True) as engine:
        assert isinstance(engine, LocalEngine)


def test_without_ray_the_extra_is_named():
    with pytest.raises(UnavailableError, match=r"pip install 'rarefault\[cluster\]', or leave --engine out"):
        ray_module("ray_that_is_not_there")
