import os

import pytest

from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.store import open_bundle
from edge_runtime.updates.errors import UpdateRefused
from edge_runtime.updates.slots import Slots, slot_problem
from tests.support.colour_bundle import make_bundle
from tests.support.update_rehearsal import refuse_link

WAYS = pytest.mark.parametrize("link", [os.symlink, refuse_link], ids=["links", "files"])


@pytest.fixture
def bundles(tmp_path):
    """Three bundles by name, and a function that puts one into a slot and returns its digest."""
    places = {"a": make_bundle(tmp_path / "a", ("fp32",)), "b": make_bundle(tmp_path / "b", ("fp16",))}
    return places | {"c": make_bundle(tmp_path / "c")}


def put(slots, bundle):
    digest = open_bundle(bundle).digest
    incoming = bundle.rename(bundle.with_name(f"incoming-{bundle.name}"))
    assert slots.install(incoming, digest) == slots.folder / digest
    assert not incoming.exists()
    return digest


@WAYS
def test_the_slot_before_serves_again_after_a_roll_back(tmp_path, bundles, link):
    slots = Slots(tmp_path / "state", link=link)
    a, b = put(slots, bundles["a"]), put(slots, bundles["b"])
    slots.activate(a)
    assert slots.previous() is None
    slots.activate(b)
    assert (slots.current().name, slots.previous().name) == (b, a)
    assert (slots.folder / "current").is_symlink() == (link is os.symlink)
    assert slots.roll_back().name == a
    assert slots.current().name == a
    with pytest.raises(InputError, match="no slot to go back to"):
        slots.roll_back()
    assert slots.current().name == a


@WAYS
def test_the_factory_bundle_serves_first_and_last(tmp_path, bundles, link):
    slots = Slots(tmp_path / "state", bundles["c"], link)
    assert slots.current() == bundles["c"]
    assert slots.previous() is None
    slots.activate(put(slots, bundles["a"]))
    assert slots.previous() == bundles["c"]
    slots.roll_back()
    assert slots.current() == bundles["c"]


def test_a_damaged_previous_slot_makes_way_for_the_factory_bundle(tmp_path, bundles):
    slots = Slots(tmp_path / "state", bundles["c"])
    a, b = put(slots, bundles["a"]), put(slots, bundles["b"])
    slots.activate(a)
    slots.activate(b)
    (slots.folder / a / "golden.json").write_text("{}")
    assert slots.roll_back() == bundles["c"]


def test_a_slot_that_was_changed_is_not_activated(tmp_path, bundles):
    slots = Slots(tmp_path / "state", bundles["c"])
    a = put(slots, bundles["a"])
    (slots.folder / a / "model.fp32.onnx").write_bytes(b"another model")
    with pytest.raises(UpdateRefused, match="the copy is damaged"):
        slots.activate(a)
    assert slots.current() == bundles["c"]


def test_a_whole_bundle_under_the_name_of_another_is_a_problem(tmp_path, bundles):
    slots = Slots(tmp_path / "state")
    a, b = put(slots, bundles["a"]), put(slots, bundles["b"])
    (slots.folder / a).rename(slots.folder / "aside")
    (slots.folder / b).rename(slots.folder / a)
    assert f"holds the bundle {b}" in slot_problem(slots.folder / a)
    assert slot_problem(slots.folder / "aside") == ""


def test_a_damaged_slot_makes_way_for_a_whole_copy_and_a_whole_one_stays(tmp_path, bundles):
    slots = Slots(tmp_path / "state")
    a = put(slots, bundles["a"])
    (slots.folder / a / "golden.json").unlink()
    put(slots, make_bundle(tmp_path / "a", ("fp32",)))
    assert slot_problem(slots.folder / a) == ""
    kept = (slots.folder / a).stat().st_ino
    put(slots, make_bundle(tmp_path / "a", ("fp32",)))
    assert (slots.folder / a).stat().st_ino == kept


def test_garbage_is_what_neither_serves_nor_may_serve(tmp_path, bundles):
    slots = Slots(tmp_path / "state")
    a, b, c = (put(slots, bundles[name]) for name in "abc")
    slots.activate(a)
    slots.activate(b)
    (slots.folder / ("0" * 64)).mkdir()
    (slots.folder / ".gone-1").mkdir()
    (slots.folder / ".spare-1").write_text("left by a killed process")
    (slots.folder / "by hand").mkdir()
    slots.collect_garbage(candidate=c)
    assert {path.name for path in slots.folder.iterdir()} == {a, b, c, "current", "previous", "by hand"}
    slots.collect_garbage()
    assert {path.name for path in slots.folder.iterdir()} == {a, b, "current", "previous", "by hand"}


def test_a_link_that_a_person_made_to_a_folder_elsewhere_is_followed_and_gone_back_to(tmp_path, bundles):
    slots = Slots(tmp_path / "state")
    b = put(slots, bundles["b"])
    (slots.folder / "current").symlink_to(bundles["a"])
    assert slots.current() == bundles["a"]
    slots.activate(b)
    slots.collect_garbage()
    slots.roll_back()
    assert slots.current() == bundles["a"]
