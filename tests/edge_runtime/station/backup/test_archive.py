import json
import shutil
import sqlite3
import stat
import threading
import zipfile
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from edge_runtime.alerts.outbox import Outbox
from edge_runtime.bundle.errors import InputError, UnavailableError
from edge_runtime.bundle.store import open_bundle, read_pointer
from edge_runtime.judgements.store import Judgements
from edge_runtime.station.attention.attention import Attention
from edge_runtime.station.backup.archive import RESTORING, back_up, restore
from edge_runtime.station.cli import main
from edge_runtime.station.retention.retention import Retention
from edge_runtime.station.state_lock import lock_state_folder
from edge_runtime.updates.identity.station_key import open_station_key
from edge_runtime.updates.slots import Slots
from edge_runtime.updates.state import update_lock
from tests.support import ROOT
from tests.support.colour_bundle import make_bundle
from tests.support.sample_events import wait_until

OLD = ROOT / "tests" / "data" / "0.1.0" / "state"
SINKS = ("mqtt", "webhook")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state folder that 0.1.0 left, with a slot that serves and a key; its outbox is full of what waits."""
    folder = Path(shutil.copytree(OLD, tmp_path / "state"))
    digest = open_bundle(make_bundle(tmp_path / "bundle", ("fp32",))).digest
    slots = Slots(folder)
    slots.install(tmp_path / "bundle", digest)
    slots.activate(digest)
    pytest.importorskip("securesystemslib", reason="the extra `station` is not installed")
    open_station_key(folder / "updates")
    (folder / "requests").mkdir()
    (folder / "requests" / "one").write_text("{}")
    return folder


def events(folder: Path) -> list[tuple[object, ...]]:
    base = sqlite3.connect(folder / "outbox.sqlite3")
    rows = base.execute("SELECT id, kind, sink, state, document FROM deliveries JOIN events USING (seq) ORDER BY 1, 3")
    found = rows.fetchall()
    base.close()
    return found


def files(folder: Path) -> dict[str, bytes]:
    kinds = ("evidence", "samples", "slots", "updates")
    paths = (path for kind in kinds for path in (folder / kind).rglob("*") if path.is_file() and not path.is_symlink())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths if path.name != "lock"}


def test_a_state_folder_comes_back_with_events_pictures_slots_and_key(state, tmp_path):
    back_up(state, tmp_path / "file.zip", "north-7")
    again = tmp_path / "again"
    again.mkdir()
    assert restore(tmp_path / "file.zip", again) == "north-7"
    assert events(again) == events(state)
    assert len(events(again)) == 16
    kept = files(again)
    assert {name: data for name, data in kept.items() if not name.startswith("slots/")} == {
        name: data for name, data in files(state).items() if not name.startswith("slots/")
    }
    assert open_bundle(Slots(again).current()).digest == read_pointer(state / "slots" / "current")
    assert open_station_key(again / "updates").public == open_station_key(state / "updates").public
    assert stat.S_IMODE((again / "updates" / "station_key.pem").stat().st_mode) == 0o600
    assert not (again / "requests").exists()
    outbox = Outbox(again, SINKS)
    assert outbox.pending("mqtt") == 8
    outbox.close()


def test_only_its_owner_may_read_a_backup(state, tmp_path):
    back_up(state, tmp_path / "file.zip", "north-7")
    assert stat.S_IMODE((tmp_path / "file.zip").stat().st_mode) == 0o600


def test_pictures_can_be_left_out(state, tmp_path):
    back_up(state, tmp_path / "file.zip", "north-7", pictures=False)
    assert not [name for name in zipfile.ZipFile(tmp_path / "file.zip").namelist() if name.endswith(".jpg")]


def test_what_persons_told_and_the_age_of_files_come_back_and_scores_with_the_pictures(state, tmp_path):
    with closing(Attention(state)) as attention, closing(Judgements(state)) as judgements:
        attention.acknowledge("event-1", "anna")
        judgements.audit("anna", "127.0.0.1", "judge", "event-1")
        with closing(Outbox(state, SINKS)) as outbox, closing(Retention(state, 3, outbox)) as retention:
            retention.sweep()
        (state / "scores").mkdir()
        (state / "scores" / "a.bin").write_bytes(b"scores")
        (state / "scores" / "drift.json").write_text("{}")
        for pictures in (True, False):
            back_up(state, tmp_path / "file.zip", "north-7", pictures)
            again = tmp_path / f"again-{pictures}"
            again.mkdir()
            restore(tmp_path / "file.zip", again)
            assert (again / "scores" / "a.bin").exists() == pictures
            assert (again / "scores" / "drift.json").exists()
            with closing(Attention(again)) as found:
                assert found.acknowledged(["event-1"])["event-1"].by == "anna"
            assert (again / "judgements.sqlite3").exists()
            base = sqlite3.connect(again / "retention.sqlite3")
            assert base.execute("SELECT count(*) FROM files").fetchone()[0] > 0
            base.close()


def test_a_backup_beside_a_writing_service_holds_whole_databases(state, tmp_path):
    """A writer commits all the time; the copy is one moment of it."""
    stop, written = threading.Event(), []

    def write() -> None:
        base = sqlite3.connect(state / "outbox.sqlite3", isolation_level=None)
        base.execute("PRAGMA journal_mode = WAL")
        while not stop.is_set():
            number = len(written)
            base.execute("BEGIN IMMEDIATE")
            for part in "ab":
                row = (f"{number}{part}", "alarm", 0, "yard", "{}", "{}", 0)
                base.execute(
                    "INSERT INTO events (id, kind, rank, camera, document, pictures, bytes) VALUES (?,?,?,?,?,?,?)", row
                )
            base.execute("COMMIT")
            written.append(number)
        base.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        wait_until(lambda: len(written) > 20, 30)
        before = len(written)
        back_up(state, tmp_path / "file.zip", "north-7")
    finally:
        stop.set()
        writer.join()
    (tmp_path / "again").mkdir()
    restore(tmp_path / "file.zip", tmp_path / "again")
    base = sqlite3.connect(tmp_path / "again" / "outbox.sqlite3")
    assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    (count,) = base.execute("SELECT count(*) FROM events WHERE document = '{}'").fetchone()
    base.close()
    assert count % 2 == 0
    assert count >= 2 * before


def test_a_folder_that_holds_something_is_not_written_over(state, tmp_path):
    back_up(state, tmp_path / "file.zip", "north-7")
    with pytest.raises(InputError, match="move it away"):
        restore(tmp_path / "file.zip", state)
    assert len(events(state)) == 16


def test_a_restore_that_was_cut_off_is_begun_anew(state, tmp_path):
    back_up(state, tmp_path / "file.zip", "north-7")
    again = tmp_path / "again"
    (again / RESTORING / "evidence").mkdir(parents=True)
    (again / "slots").mkdir()
    (again / "slots" / "current").write_text("half")
    restore(tmp_path / "file.zip", again)
    assert events(again) == events(state)
    assert not (again / RESTORING).exists()


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "slots/../../outside", "a\\..\\b", "C:file"])
def test_an_archive_with_names_that_lead_elsewhere_is_refused(state, tmp_path, name):
    back_up(state, tmp_path / "file.zip", "north-7")
    with zipfile.ZipFile(tmp_path / "file.zip", "a") as archive:
        archive.writestr(name, "x")
    (tmp_path / "again").mkdir()
    with pytest.raises(InputError, match="do not use it"):
        restore(tmp_path / "file.zip", tmp_path / "again")
    assert list((tmp_path / "again").iterdir()) == []
    assert not (tmp_path / "outside").exists()


def test_an_archive_with_a_link_is_refused(state, tmp_path):
    back_up(state, tmp_path / "file.zip", "north-7")
    with zipfile.ZipFile(tmp_path / "file.zip", "a") as archive:
        link = zipfile.ZipInfo("evidence/link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    (tmp_path / "again").mkdir()
    with pytest.raises(InputError, match="do not use it"):
        restore(tmp_path / "file.zip", tmp_path / "again")


def test_a_damaged_archive_is_a_sentence(state, tmp_path):
    back_up(state, tmp_path / "file.zip", "north-7")
    data = (tmp_path / "file.zip").read_bytes()
    for kept in (b"", data[: len(data) // 2], b"PK nothing"):
        (tmp_path / "file.zip").write_bytes(kept)
        (tmp_path / "again").mkdir(exist_ok=True)
        with pytest.raises(InputError):
            restore(tmp_path / "file.zip", tmp_path / "again")


def test_compressed_data_that_is_none_is_a_sentence_too(state, tmp_path):
    back_up(state, tmp_path / "file.zip", "north-7")
    data = bytearray((tmp_path / "file.zip").read_bytes())
    with zipfile.ZipFile(tmp_path / "file.zip") as archive:
        member = archive.getinfo("outbox.sqlite3")
    start = member.header_offset + 30 + len(member.filename)
    data[start : start + 8] = b"\xff" * 8  # no block of deflate begins so
    (tmp_path / "file.zip").write_bytes(data)
    (tmp_path / "again").mkdir()
    with pytest.raises(InputError, match="is no whole backup"):
        restore(tmp_path / "file.zip", tmp_path / "again")


def test_a_backup_waits_for_an_update_process_to_end(state, tmp_path):
    with update_lock(state), pytest.raises(UnavailableError, match="another process updates"):
        back_up(state, tmp_path / "file.zip", "north-7")
    assert [path.name for path in tmp_path.iterdir() if "spare" in path.name] == []


def test_the_commands_say_what_they_did_and_do_not_restore_under_a_service(state, tmp_path):
    settings = '[station]\nname = "north-7"\nstate_dir = "{}"\n'
    (tmp_path / "a.toml").write_text(settings.format(state))
    (tmp_path / "b.toml").write_text(settings.format(tmp_path / "again"))
    file = str(tmp_path / "file.zip")
    with lock_state_folder(state):  # as a running service has it
        done = CliRunner().invoke(main, ["backup", "--config", str(tmp_path / "a.toml"), file])
    assert done.exit_code == 0, done.output
    assert "private key" in done.output
    with lock_state_folder(tmp_path / "again"):
        done = CliRunner().invoke(main, ["restore", "--config", str(tmp_path / "b.toml"), file])
    assert (done.exit_code, "another edge-station works" in done.output) == (1, True)
    done = CliRunner().invoke(main, ["restore", "--config", str(tmp_path / "b.toml"), file])
    assert done.exit_code == 0, done.output
    assert events(tmp_path / "again") == events(state)
    assert json.loads(zipfile.ZipFile(file).read("backup.json"))["station"] == "north-7"
