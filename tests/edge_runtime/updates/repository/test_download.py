import hashlib
import json
import random
import threading
import time

import pytest

from edge_runtime.updates.errors import Reason, UpdateDelayed, UpdateRefused
from edge_runtime.updates.rate_limit import RateLimit
from edge_runtime.updates.repository.download import TargetInfo, fetch_file, fetch_files
from edge_runtime.updates.sources import FolderSource, HttpSource
from tests.support.file_server import file_server

DATA = random.Random(5).randbytes(300_000)


def signed(where: str, data: bytes) -> TargetInfo:
    return TargetInfo(where, len(data), {"sha256": hashlib.sha256(data).hexdigest()})


@pytest.fixture
def served(tmp_path):
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "model").write_bytes(DATA)
    with file_server(tmp_path / "served") as server:
        yield server


def fetch(source, target, path, limiter=None, stop=None):
    fetch_file(source, target, path, limiter or RateLimit(), stop or threading.Event())


def test_a_file_whose_connection_is_cut_again_and_again_arrives_without_a_byte_twice(served, tmp_path):
    served.cut_after = 50_000
    fetch(HttpSource(served.url), signed("model", DATA), tmp_path / "model")
    assert (tmp_path / "model").read_bytes() == DATA
    assert [start for _, start in served.asked] == [0, 50_000, 100_000, 150_000, 200_000, 250_000]
    assert served.sent == len(DATA)


def test_a_download_goes_on_where_a_killed_one_stopped(served, tmp_path):
    (tmp_path / "model.part").write_bytes(DATA[:123_456])
    fetch(HttpSource(served.url), signed("model", DATA), tmp_path / "model")
    assert served.asked == [("model", 123_456)]
    assert (tmp_path / "model").read_bytes() == DATA
    assert not (tmp_path / "model.part").exists()


def test_a_server_without_ranges_and_cuts_is_asked_from_the_beginning_until_the_link_holds(served, tmp_path):
    served.ranges, served.cut_after = False, 50_000
    threading.Timer(0.4, lambda: setattr(served, "cut_after", None)).start()
    fetch(HttpSource(served.url), signed("model", DATA), tmp_path / "model")
    assert (tmp_path / "model").read_bytes() == DATA


def test_a_damaged_part_costs_one_more_download_and_no_refusal(served, tmp_path):
    for part in (b"\0" * 100_000, DATA + b"more", b"\0" * len(DATA)):
        (tmp_path / "model.part").write_bytes(part)
        fetch(HttpSource(served.url), signed("model", DATA), tmp_path / "model")
        assert (tmp_path / "model").read_bytes() == DATA


@pytest.mark.parametrize(
    ("offered", "reason"),
    [(DATA[:-1] + b"!", Reason.HASH), (DATA[:-1], Reason.HASH), (b"", Reason.HASH), (DATA + b"!", Reason.SIZE)],
)
@pytest.mark.parametrize("begun", [0, 1000])
def test_another_file_than_the_signed_one_is_refused_and_leaves_nothing(served, tmp_path, offered, reason, begun):
    (served.folder / "model").write_bytes(offered)
    for source in (HttpSource(served.url), FolderSource(served.folder)):
        if begun:
            (tmp_path / "model.part").write_bytes(DATA[:begun])
        with pytest.raises(UpdateRefused) as caught:
            fetch(source, signed("model", DATA), tmp_path / "model")
        assert caught.value.reason == reason
        assert not list(tmp_path.glob("model*"))


def test_endless_data_is_left_after_its_signed_length(served, tmp_path):
    served.endless = "model"
    with pytest.raises(UpdateRefused) as caught:
        fetch(HttpSource(served.url), signed("model", DATA), tmp_path / "model")
    assert caught.value.reason == Reason.SIZE
    assert not list(tmp_path.glob("model*"))


def test_a_hash_that_nobody_knows_proves_nothing(served, tmp_path):
    for hashes in ({"crc32": "0"}, {}, {**signed("model", DATA).hashes, "unknown": "0"}):
        with pytest.raises(UpdateRefused):
            fetch(HttpSource(served.url), TargetInfo("model", len(DATA), hashes), tmp_path / "model")


def test_a_link_that_is_down_is_told_and_what_came_stays(served, tmp_path):
    served.cut_after = 50_000
    stop = threading.Event()
    threading.Timer(0.1, served.status.update, [{"model": 503}]).start()
    with pytest.raises(UpdateDelayed) as caught:
        fetch(HttpSource(served.url), signed("model", DATA), tmp_path / "model", RateLimit(400_000), stop)
    assert caught.value.reason == Reason.LINK
    size = (tmp_path / "model.part").stat().st_size
    assert (tmp_path / "model.part").read_bytes() == DATA[:size]
    assert size >= 50_000


def test_a_limited_download_takes_its_rate_within_a_tenth_though_it_is_cut_every_second(served, tmp_path):
    rate = 64_000
    done = threading.Event()

    def cut() -> None:
        while not done.wait(1.0):
            served.cut()

    cutter = threading.Thread(target=cut)
    cutter.start()
    try:
        began = time.monotonic()
        fetch(HttpSource(served.url, None, rate), signed("model", DATA), tmp_path / "model", RateLimit(rate))
        seconds = time.monotonic() - began
    finally:
        done.set()
        cutter.join()
    assert (tmp_path / "model").read_bytes() == DATA
    assert len(served.asked) > 2
    assert len(DATA) / seconds < rate * 1.1


def test_a_limited_download_over_a_good_link_takes_its_rate_within_a_tenth(served, tmp_path):
    began = time.monotonic()
    fetch(HttpSource(served.url, None, 64_000), signed("model", DATA), tmp_path / "model", RateLimit(64_000))
    assert 0.9 < len(DATA) / 64_000 / (time.monotonic() - began) < 1.1


def test_quiet_hours_that_begin_end_a_download_which_goes_on_after_them(served, tmp_path):
    quiet = threading.Event()
    limiter = RateLimit(1_000_000, quiet.is_set)
    threading.Timer(0.1, quiet.set).start()
    with pytest.raises(UpdateDelayed) as caught:
        fetch(HttpSource(served.url), signed("model", DATA), tmp_path / "model", limiter)
    assert caught.value.reason == Reason.QUIET
    quiet.clear()
    fetch(HttpSource(served.url), signed("model", DATA), tmp_path / "model", limiter)
    assert served.asked[-1][1] > 0
    assert (tmp_path / "model").read_bytes() == DATA


def test_files_that_a_slot_has_under_any_name_are_copied_and_a_tampered_one_is_fetched(served, tmp_path):
    slot, files = tmp_path / "slot", {"a.png": b"a" * 10, "b.png": b"b" * 10, "c.png": b"c" * 10}
    slot.mkdir()
    (slot / "old-a.png").write_bytes(files["a.png"])
    (slot / "b.png").write_bytes(b"changed by..."[:10])
    entries = {"old-a.png": "a.png", "b.png": "b.png", "../../etc/passwd": "c.png"}
    listed = {name: {"sha256": hashlib.sha256(files[of]).hexdigest(), "bytes": 10} for name, of in entries.items()}
    (slot / "manifest.json").write_text(json.dumps({"files": listed}))
    for name, data in files.items():
        (served.folder / name).write_bytes(data)
    targets = {f"golden/{name}": signed(name, data) for name, data in files.items()}
    into = tmp_path / "incoming"
    fetch_files(HttpSource(served.url), targets, into, RateLimit(), threading.Event(), [slot, tmp_path / "no slot"])
    assert {name: (into / "golden" / name).read_bytes() for name in files} == files
    assert [name for name, _ in served.asked] == ["b.png", "c.png"]


def test_files_that_lie_there_whole_are_not_fetched_again(served, tmp_path):
    targets = {"model": signed("model", DATA)}
    for _ in range(2):
        fetch_files(HttpSource(served.url), targets, tmp_path / "into", RateLimit(), threading.Event())
    assert len(served.asked) == 1
    (tmp_path / "into" / "model").write_bytes(DATA[::-1])
    fetch_files(HttpSource(served.url), targets, tmp_path / "into", RateLimit(), threading.Event())
    assert (tmp_path / "into" / "model").read_bytes() == DATA


def test_a_bundle_that_does_not_fit_the_disk_is_not_begun(served, tmp_path):
    huge = TargetInfo("model", 1 << 60, {"sha256": "0" * 64})
    with pytest.raises(UpdateDelayed, match="MB left") as caught:
        fetch_files(HttpSource(served.url), {"model": huge}, tmp_path / "into", RateLimit(), threading.Event())
    assert caught.value.reason == Reason.DISK
    assert served.asked == []
