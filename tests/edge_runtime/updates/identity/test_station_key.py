import json
import stat
import subprocess
import sys

import pytest

pytest.importorskip("securesystemslib", reason="the extra `station` is not installed")

from edge_runtime.bundle.errors import InputError
from edge_runtime.updates.identity.station_key import PRIVATE_FILE, PUBLIC_FILE, canonical, open_station_key, verify
from tests.support import ROOT

REPORT = {"station": "north-7", "blind": 12.25, "tiny": 1e-7, "whole": 3.0, "none": None, "text": "Prüfstelle \udc80"}


def test_what_a_station_signs_is_verified_with_its_public_file_after_a_way_through_json(tmp_path):
    signed = open_station_key(tmp_path).sign(REPORT)
    public = json.loads((tmp_path / PUBLIC_FILE).read_bytes())
    verify(json.loads(json.dumps(signed, indent=2)), public)


def test_the_key_is_made_once_and_only_its_owner_may_read_it(tmp_path):
    first = open_station_key(tmp_path).public
    assert open_station_key(tmp_path).public == first
    assert stat.S_IMODE((tmp_path / PRIVATE_FILE).stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == [PRIVATE_FILE, PUBLIC_FILE]


@pytest.mark.parametrize(
    "change",
    [
        lambda signed: signed.update(blind=0.0),
        lambda signed: signed.update(more=1),
        lambda signed: signed["signature"].update(sig="00" * 64),
        lambda signed: signed["signature"].update(sig="no hex"),
        lambda signed: signed["signature"].update(keyid="0" * 64),
        lambda signed: signed.pop("signature"),
        lambda signed: signed.update(signature="trust me"),
    ],
)
def test_a_document_that_was_changed_is_refused(tmp_path, change):
    key = open_station_key(tmp_path)
    signed = key.sign(REPORT)
    change(signed)
    with pytest.raises(InputError):
        verify(signed, key.public)


def test_another_stations_key_is_refused_and_told_as_such(tmp_path):
    ours, others = open_station_key(tmp_path / "a"), open_station_key(tmp_path / "b")
    with pytest.raises(InputError, match="enrol that"):
        verify(others.sign(REPORT), ours.public)


def test_a_public_document_whose_id_is_another_keys_is_refused(tmp_path):
    ours, others = open_station_key(tmp_path / "a"), open_station_key(tmp_path / "b")
    posing = {**others.public, "keyid": ours.public["keyid"]}
    signed = others.sign(REPORT)
    signed["signature"]["keyid"] = ours.public["keyid"]
    with pytest.raises(InputError, match="another key's"):
        verify(signed, posing)


def test_a_signed_document_can_be_signed_again(tmp_path):
    key = open_station_key(tmp_path)
    assert key.sign(key.sign(REPORT)) == key.sign(REPORT)


def test_the_order_of_fields_is_not_signed_and_numbers_keep_their_kind():
    assert canonical({"b": 1, "a": 1.0}) == canonical({"a": 1.0, "b": 1}) == b'{"a":1.0,"b":1}'


def test_a_damaged_key_is_told_and_never_replaced(tmp_path):
    (tmp_path / PRIVATE_FILE).write_text("nothing")
    with pytest.raises(InputError, match="backup"):
        open_station_key(tmp_path)
    assert (tmp_path / PRIVATE_FILE).read_text() == "nothing"


def test_processes_that_start_together_agree_on_one_key(tmp_path):
    code = "import sys; from pathlib import Path; from edge_runtime.updates.identity import station_key\n"
    code += "print(station_key.open_station_key(Path(sys.argv[1])).public['keyid'])"
    started = [
        subprocess.Popen([sys.executable, "-c", code, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert len({process.communicate(timeout=60)[0] for process in started}) == 1
