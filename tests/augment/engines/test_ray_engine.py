"""Both engines held against each other, on a real Ray of this machine, with real processes that are killed."""

import importlib
import os
import pickle
import signal
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack

import pytest

pytest.importorskip("ray", reason="the extra cluster is not installed")

from augment.engines import ray_engine
from augment.engines.local import LocalEngine
from augment.engines.ray_engine import LOSSES, RayEngine, check_room
from edge_runtime.bundle.errors import InputError, UnavailableError
from tests.support import ROOT
from tests.support.drawing_work import Drawing, batches, by_id, journal, lines
from tests.support.sample_events import wait_until

DEADLINE = 240.0  # seconds; Ray starts within some ten where nothing else runs


@pytest.fixture(scope="module")
def ray():
    engine = RayEngine(2)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def locally_drawn(tmp_path_factory):
    work = Drawing(tmp_path_factory.mktemp("local"))
    return work, LocalEngine().map(work, batches(30), journal(work.place), by_id)


def test_a_killed_worker_loses_nothing_and_repeats_nothing(ray, locally_drawn, tmp_path, capsys):
    local, expected = locally_drawn
    work = Drawing(tmp_path, kills="4-1")
    found = ray.map(work, batches(30), journal(tmp_path), by_id)
    assert found == expected
    assert work.pictures() == local.pictures()
    assert len(lines(tmp_path)) == len(set(lines(tmp_path))) == 60
    # The kill came after the first picture of the batch and before its lines, so that picture is drawn once more.
    assert Counter(work.times_drawn().values()) == {1: 59, 2: 1}
    assert len(work.processes()) == 3
    assert "1 lost their worker" in capsys.readouterr().err
    assert not list(tmp_path.glob(".engine-*"))


def test_what_a_person_has_to_mend_arrives_as_the_local_engine_says_it(ray, tmp_path):
    with pytest.raises(InputError, match=r"^0-1 cannot be drawn$"):
        ray.map(Drawing(tmp_path, refuses="0-1"), batches(1), journal(tmp_path), by_id)


def test_a_killed_command_on_a_running_cluster_goes_on_when_it_is_typed_again(ray, locally_drawn, tmp_path):
    local, expected = locally_drawn
    work, address = Drawing(tmp_path), importlib.import_module("ray").get_runtime_context().gcs_address
    LocalEngine().map(work, batches(5), journal(tmp_path), by_id)  # what another engine has done counts
    command = [sys.executable, "-m", "tests.support.drawing_work", str(tmp_path), address]
    driver = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: len(lines(tmp_path)) >= 18, seconds=DEADLINE)
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    workers = set(work.processes()) - {os.getpid()}
    wait_until(lambda: not any(map(alive, workers)), seconds=DEADLINE)
    kept = set(journal(tmp_path).read())
    assert 18 <= len(kept) < 60
    found = ray.map(work, batches(30), journal(tmp_path), by_id)
    assert found == expected
    assert work.pictures() == local.pictures()
    assert {work.times_drawn()[name] for name in kept} == {1}
    assert len(lines(tmp_path)) == len(set(lines(tmp_path))) == 60


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_batch_that_is_handed_out_twice_is_worked_on_once(tmp_path):
    with ray_engine._Token(tmp_path) as token:
        work = Drawing(tmp_path)
        order = pickle.dumps(ray_engine._Order(work, journal(tmp_path), by_id, token))
        row = {"batch": pickle.dumps(batches(1)[0])}
        answers = [ray_engine._Worker(order, str(ROOT), 1)(row) for _ in range(2)]
    first, second = (pickle.loads(answer["answer"]) for answer in answers)  # noqa: S301
    assert first == second
    assert set(work.times_drawn().values()) == {1}


def test_a_batch_at_which_worker_after_worker_is_lost_is_named(tmp_path):
    with ray_engine._Token(tmp_path) as token, ExitStack() as workers:
        for _ in range(LOSSES + 1):
            workers.enter_context(token.begin("7-0"))
        with pytest.raises(UnavailableError, match=r"4 workers were lost .* begins with 7-0, "), token.begin("7-0"):
            pass
        with token.begin("8-0"):
            pass


def test_a_worker_that_does_not_see_the_run_folder_says_so(tmp_path):
    with ray_engine._Token(tmp_path) as token:
        pass
    order = pickle.dumps(ray_engine._Order(Drawing(tmp_path), journal(tmp_path), by_id, token))
    answer = ray_engine._Worker(order, str(ROOT), 1)({"batch": pickle.dumps(batches(1)[0])})
    error = pickle.loads(answer["answer"])  # noqa: S301
    assert isinstance(error, InputError)
    assert f"does not see {tmp_path}: every machine" in str(error)


def test_a_disk_that_takes_no_files_arrives_as_the_error_that_the_command_tells(tmp_path):
    (tmp_path / "pictures").touch()  # where the worker needs a folder
    with ray_engine._Token(tmp_path) as token:
        order = pickle.dumps(ray_engine._Order(Drawing(tmp_path), journal(tmp_path), by_id, token))
        answer = ray_engine._Worker(order, str(ROOT), 1)({"batch": pickle.dumps(batches(1)[0])})
    error = pickle.loads(answer["answer"])  # noqa: S301
    assert isinstance(error, FileExistsError)
    assert error.filename == str(tmp_path / "pictures")


def test_workers_that_would_wait_for_ever_are_refused():
    check_room(3, cpus=4, gpus=None)
    check_room(3, cpus=4, gpus=3)
    with pytest.raises(InputError, match=r"4 workers on a Ray cluster with 4 logical CPUs: .* give --workers 3"):
        check_room(4, cpus=4, gpus=None)
    with pytest.raises(InputError, match=r"3 workers need a GPU each, the Ray cluster has 2: .* give --workers 2"):
        check_room(3, cpus=8, gpus=2)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "somewhere"])
def test_no_cluster_at_an_address_is_said_with_what_to_do(address):
    with pytest.raises(UnavailableError, match=f"no Ray cluster answers at {address} .*leave --ray-address out"):
        RayEngine(2, address)._join(ray_engine.ray_module("ray"), {})
