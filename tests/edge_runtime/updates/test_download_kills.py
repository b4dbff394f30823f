"""A station that is killed at random moments while it fetches over a link that is cut."""

import pytest

pytest.importorskip("tuf", reason="the extra `station` is not installed")
pytest.importorskip("onnx", reason="what checks models is not installed")

from edge_runtime.updates.slots import Slots, slot_problem
from edge_runtime.updates.state import UPDATES
from edge_runtime.updates.trusted_repository import trust_root
from tests.support.colour_bundle import make_bundle
from tests.support.file_server import file_server
from tests.support.killed_downloads import cutting, update_with_kills
from tests.support.signed_rehearsal import TRUST, padded_bundle
from tests.support.tuf_repository import TufRepository
from tests.support.update_rehearsal import GROUP, first_life


def test_a_station_that_is_killed_while_it_fetches_goes_on_until_the_signed_bundle_serves(tmp_path):
    repository, state, new = TufRepository(tmp_path / "repository"), tmp_path / "state", tmp_path / "new"
    trust_root(state / UPDATES / TRUST, repository.first_root)
    first_life(state, make_bundle(tmp_path / "old"))
    digest = repository.put_folder(padded_bundle(new, 200_000))
    repository.put_release(GROUP, digest)
    repository.publish(("targets", f"group-{GROUP}"))
    with file_server(repository.folder) as server, cutting(server, 0.3):
        kills = update_with_kills(state, server.url, new, seed=1, rate=200_000, longest=0.5)
    assert "idle" in kills.stages  # nobody fetches 200 kB in half a second at this rate
    assert kills.problems == []
    assert Slots(state).is_current(digest)
    assert slot_problem(Slots(state).current()) == ""
