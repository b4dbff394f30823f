"""The manifest of what serves follows the slots."""

from edge_runtime.station.page.served_model import ServedModel
from edge_runtime.updates.slots import Slots
from tests.support import spot_bundle
from tests.support.colour_bundle import make_bundle


def test_the_manifest_is_that_of_the_bundle_that_serves(tmp_path):
    factory = make_bundle(tmp_path / "factory", ("fp32",))
    slots = Slots(tmp_path / "state", factory)
    model = ServedModel(slots)
    assert model.manifest().name == "colours"
    assert model.manifest() is model.manifest()  # read once
    spot_bundle.make_bundle(tmp_path / "state" / "slots" / "a")
    (tmp_path / "state" / "slots" / "current").symlink_to("a")
    assert model.manifest().name == "spots"


def test_without_a_usable_bundle_there_is_none(tmp_path):
    assert ServedModel(Slots(tmp_path)).manifest() is None
    (tmp_path / "factory").mkdir()
    (tmp_path / "factory" / "manifest.json").write_text("{}")
    assert ServedModel(Slots(tmp_path, tmp_path / "factory")).manifest() is None
