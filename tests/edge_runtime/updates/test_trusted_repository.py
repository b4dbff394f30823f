"""The attack list on metadata and names, over a real repository that python-tuf's own signing made."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from datetime import datetime, timedelta, timezone

import pytest
from securesystemslib.signer import CryptoSigner

from edge_runtime.updates.errors import Reason, UpdateDelayed, UpdateRefused
from edge_runtime.updates.rate_limit import RateLimit
from edge_runtime.updates.sources import FolderSource, HttpSource
from edge_runtime.updates.trusted_repository import TrustedRepository, trust_root
from tests.support import ROOT
from tests.support.file_server import file_server
from tests.support.tuf_repository import TufRepository, in_days

BUNDLE = {"manifest.json": b'{"name": "one"}', "model.fp32.onnx": b"m" * 5000, "golden/00.png": b"p" * 300}
NEWER = {"manifest.json": b'{"name": "two"}', "model.fp32.onnx": b"n" * 5000}


@pytest.fixture
def repository(tmp_path):
    repository = TufRepository(tmp_path / "repository")
    repository.offer(BUNDLE)
    return repository


@pytest.fixture
def trust(tmp_path, repository):
    trust_root(tmp_path / "updates" / "trust", repository.first_root)
    return tmp_path / "updates" / "trust"


def look(trust, repository, now=lambda: in_days(0)):
    found = TrustedRepository(trust, FolderSource(repository.folder), now)
    found.refresh()
    return found


def fetch(found, into, group="all"):
    found.fetch_bundle(found.release(group).bundle, into, RateLimit(), threading.Event())


def refusal(trust, repository, into, now=lambda: in_days(0)) -> Reason:
    """Why a whole attempt is refused. What the station trusts must be the same afterwards, by a look that is honest."""
    with pytest.raises(UpdateRefused) as caught:
        fetch(look(trust, repository, now), into)
    assert caught.value.reason.advice in str(caught.value)
    return caught.value.reason


def cache(trust):
    """What the station has kept of the repository."""
    files = (path for path in (trust / "metadata").rglob("*") if path.is_file())
    return {str(path.relative_to(trust)): path.read_bytes() for path in files}


def test_an_honest_repository_gives_its_release_and_every_file(trust, repository, tmp_path):
    found = look(trust, repository)
    release = found.release("all")
    assert (release.number, release.name, release.version, release.group, release.forced) == (
        1,
        "yard",
        "1",
        "all",
        None,
    )
    fetch(found, tmp_path / "into")
    into = tmp_path / "into"
    assert {path.relative_to(into).as_posix(): path.read_bytes() for path in into.rglob("*.*")} == BUNDLE


def test_a_group_sees_its_own_release_and_no_other(trust, repository):
    repository.put_release("one", repository.put_bundle(NEWER), 2)
    repository.publish(("targets", "group-one"))
    found = look(trust, repository)
    assert (found.release("one").number, found.release("all").number) == (2, 1)
    for group in ("three", "unknown"):
        with pytest.raises(UpdateDelayed) as caught:
            found.release(group)
        assert caught.value.reason == Reason.MISSING


def test_a_station_without_a_root_says_what_to_do(tmp_path, repository):
    with pytest.raises(UpdateRefused, match="edge-station trust"):
        look(tmp_path / "nothing", repository)


@pytest.mark.parametrize("role", ["targets", "snapshot", "timestamp", "group-all"])
def test_metadata_without_a_signature_or_with_a_strange_one_is_refused(trust, repository, tmp_path, role):
    look(trust, repository).release("all")
    before = cache(trust)
    for signers in ([], [CryptoSigner.generate_ed25519()]):
        repository.signers[role] = signers
        repository.publish((role,) if role not in ("snapshot", "timestamp") else ("targets",))
        assert refusal(trust, repository, tmp_path / "into") == Reason.SIGNATURE
    kept = {name for name, data in cache(trust).items() if before.get(name) != data}
    assert f"metadata/{role}.json" not in kept


def test_a_group_cannot_sign_for_the_central_team_or_for_another_group(trust, repository, tmp_path):
    for role in ("targets", "group-all"):
        own, repository.signers[role] = repository.signers[role], repository.signers["group-one"]
        repository.publish((role,))
        assert refusal(trust, repository, tmp_path / "into") == Reason.SIGNATURE
        repository.signers[role] = own


def test_a_root_below_its_threshold_is_refused_and_one_of_enough_keys_is_taken(trust, repository):
    signers = repository.signers["root"]
    for enough in (False, True):
        repository.signers["root"] = signers[:2] if enough else signers[:1]
        repository.root.version = 2
        repository.write("root")
        if enough:
            look(trust, repository)
        else:
            with pytest.raises(UpdateRefused) as caught:
                look(trust, repository)
            assert caught.value.reason == Reason.SIGNATURE
    assert (trust / "root.json").read_bytes() == repository.first_root  # the first root stays what it was
    assert json.loads((trust / "metadata" / "root.json").read_text())["signed"]["version"] == 2


def test_an_older_repository_is_refused(trust, repository, tmp_path):
    saved = (repository.metadata / "timestamp.json").read_bytes()
    repository.offer(NEWER, number=2)
    assert look(trust, repository).release("all").number == 2
    before = cache(trust)
    (repository.metadata / "timestamp.json").write_bytes(saved)
    assert refusal(trust, repository, tmp_path / "into") == Reason.ROLLBACK
    assert cache(trust) == before


def test_an_older_role_in_newer_snapshots_is_refused(trust, repository, tmp_path):
    repository.offer(NEWER, number=2)
    look(trust, repository)
    repository.roles["targets"].version -= 1
    repository.publish(("group-all",))
    assert refusal(trust, repository, tmp_path / "into") == Reason.ROLLBACK


def test_files_of_two_states_are_refused_together(trust, repository, tmp_path):
    older = {path.name: path.read_bytes() for path in repository.metadata.iterdir()}
    repository.offer(NEWER, number=2)
    snapshot = repository.roles["snapshot"].version
    (repository.metadata / f"{snapshot}.snapshot.json").write_bytes(older[f"{snapshot - 1}.snapshot.json"])
    assert refusal(trust, repository, tmp_path / "into") == Reason.HASH
    repository.publish()
    targets = repository.roles["targets"].version
    (repository.metadata / f"{targets}.targets.json").write_bytes(older["2.targets.json"])
    assert refusal(trust, repository, tmp_path / "into") == Reason.HASH


def test_a_repository_that_stands_still_is_refused_once_it_has_expired(trust, repository, tmp_path):
    look(trust, repository)
    assert refusal(trust, repository, tmp_path / "into", lambda: in_days(8)) == Reason.EXPIRED


@pytest.mark.parametrize("role", ["root", "targets", "snapshot", "group-all"])
def test_an_expired_role_is_refused_though_the_timestamp_is_fresh(trust, repository, tmp_path, role):
    repository.roles[role].expires = in_days(-1)
    if role == "root":
        repository.root.version += 1
        repository.write("root")
    repository.publish((role,) if role in ("targets", "group-all") else ("targets",))
    assert refusal(trust, repository, tmp_path / "into") == Reason.EXPIRED


def test_a_dead_clock_does_not_bring_expired_metadata_back_to_life(trust, repository, tmp_path):
    look(trust, repository)  # the floor is today
    repository.roles["timestamp"].expires = in_days(-1)
    repository.publish()
    in_1970 = datetime(1970, 1, 1, 0, 1, tzinfo=timezone.utc)
    assert refusal(trust, repository, tmp_path / "into", lambda: in_1970) == Reason.EXPIRED
    repository.roles["timestamp"].expires = in_days(7)
    repository.publish()
    assert look(trust, repository, lambda: in_1970).release("all").number == 1


def test_a_clock_that_stood_in_2040_does_no_harm_once_it_is_right_again(trust, repository, tmp_path):
    in_2040 = datetime(2040, 1, 1, tzinfo=timezone.utc)
    assert refusal(trust, repository, tmp_path / "into", lambda: in_2040) == Reason.EXPIRED
    assert look(trust, repository).release("all").number == 1
    assert refusal(trust, repository, tmp_path / "into", lambda: in_2040) == Reason.EXPIRED
    assert look(trust, repository).release("all").number == 1


def test_a_clock_a_little_ahead_leaves_a_floor_that_fresh_metadata_passes(trust, repository):
    ahead = in_days(3)
    look(trust, repository, lambda: ahead)
    assert json.loads((trust / "floor.json").read_text()) == {"time": ahead.isoformat()}
    assert look(trust, repository, lambda: ahead - timedelta(days=3)).release("all").number == 1


def test_versions_that_ran_away_are_ended_by_new_keys(trust, repository, tmp_path):
    """Whoever has stolen the online keys may count up to the end (fast-forward); rotation lets honest ones return."""
    honest = {role: repository.roles[role].version for role in ("snapshot", "timestamp")}
    for role in honest:
        repository.roles[role].version = 2**31
    repository.publish()
    look(trust, repository)
    for role, version in honest.items():
        repository.roles[role].version = version
    repository.publish()
    assert refusal(trust, repository, tmp_path / "into") == Reason.ROLLBACK
    repository.rotate("snapshot", "timestamp")
    repository.publish()
    assert look(trust, repository).release("all").number == 1


def test_a_key_that_was_revoked_signs_nothing_more(trust, repository, tmp_path):
    stolen = repository.signers["targets"]
    repository.rotate("targets")
    repository.publish()
    look(trust, repository)
    repository.signers["targets"] = stolen
    repository.publish()
    assert refusal(trust, repository, tmp_path / "into") == Reason.SIGNATURE


@pytest.mark.parametrize("file", ["timestamp.json", "3.snapshot.json", "3.targets.json", "2.root.json"])
def test_endless_metadata_is_left_at_its_limit(trust, repository, tmp_path, file):
    repository.publish()
    if file == "2.root.json":
        (repository.metadata / file).touch()
    with file_server(repository.folder) as served:
        served.endless = file
        found = TrustedRepository(trust, HttpSource(served.url))
        with pytest.raises(UpdateRefused) as caught:
            found.refresh()
        assert caught.value.reason == Reason.SIZE
        assert served.sent < 10_000_000


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[" * 100_000, b"null", b"\xff\xfe", b'{"signed": {}, "signatures": []}']
)
def test_damaged_metadata_is_refused_in_a_sentence(trust, repository, tmp_path, damage):
    look(trust, repository)
    before = cache(trust)
    (repository.metadata / "timestamp.json").write_bytes(damage)
    assert refusal(trust, repository, tmp_path / "into") in (Reason.METADATA, Reason.SIZE)
    assert cache(trust) == before


def test_a_swapped_file_is_refused_and_the_honest_one_arrives_later(trust, repository, tmp_path):
    digest = hashlib.sha256(BUNDLE["manifest.json"]).hexdigest()
    file = repository.file(f"bundles/{digest}/model.fp32.onnx")
    file.write_bytes(b"M" * 5000)
    assert refusal(trust, repository, tmp_path / "into") == Reason.HASH
    file.write_bytes(BUNDLE["model.fp32.onnx"])
    fetch(look(trust, repository), tmp_path / "into")
    assert (tmp_path / "into" / "model.fp32.onnx").read_bytes() == BUNDLE["model.fp32.onnx"]


def test_a_link_on_a_stick_in_place_of_a_file_is_refused(trust, repository, tmp_path):
    digest = hashlib.sha256(BUNDLE["manifest.json"]).hexdigest()
    file = repository.file(f"bundles/{digest}/model.fp32.onnx")
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    # It says nothing about the release, which is tried again from a clean copy.
    assert refusal(trust, repository, tmp_path / "into") == Reason.HASH


@pytest.mark.parametrize(
    "name",
    [
        *("../evil", "golden/../../evil", "/etc/evil", "golden//x.png", "a\\b", "..", ".hidden", "golden/.hidden"),
        *(
            "C:evil",
            "nul.txt",
            "model.onnx.part",
            "a b",
            f"{'x' * 101}/{'x' * 101}",
            "a/b/c/d/e",
            "evil\n",
            "evil.",
            "%2e%2e/evil",
            "é",
        ),
        *("MODEL.fp32.onnx", "golden", "golden/00.png/x", ""),
    ],
)
def test_a_signed_name_that_could_leave_the_folder_or_hide_is_refused(trust, repository, tmp_path, name):
    repository.offer({**BUNDLE, name: b"evil"}, number=2)
    assert refusal(trust, repository, tmp_path / "into") == Reason.NAME
    assert not list(tmp_path.rglob("evil*"))


def test_too_many_files_and_too_many_bytes_are_refused_before_any_is_fetched(trust, repository, tmp_path):
    digest = repository.put_bundle({**BUNDLE, **{f"golden/{n}.png": b"" for n in range(1001)}})
    repository.publish()
    with pytest.raises(UpdateRefused) as caught:
        look(trust, repository).files(digest)
    assert caught.value.reason == Reason.SIZE
    digest = repository.put_bundle({**NEWER})
    repository.roles["targets"].targets[f"bundles/{digest}/model.fp32.onnx"].length = 3 << 30
    repository.publish()
    with pytest.raises(UpdateRefused) as caught:
        look(trust, repository).files(digest)
    assert caught.value.reason == Reason.SIZE


def test_a_manifest_that_is_not_the_one_of_the_digest_is_refused(trust, repository):
    repository.put("bundles/" + "ab" * 32 + "/manifest.json", b"{}")
    repository.put("bundles/" + "cd" * 32 + "/model.fp32.onnx", b"{}")
    repository.publish()
    found = look(trust, repository)
    for digest, reason in (("ab" * 32, Reason.HASH), ("cd" * 32, Reason.MISSING), ("ef" * 32, Reason.MISSING)):
        with pytest.raises(UpdateRefused) as caught:
            found.files(digest)
        assert caught.value.reason == reason
    with pytest.raises(UpdateRefused) as caught:
        found.files("../" * 20)
    assert caught.value.reason == Reason.NAME


@pytest.mark.parametrize(
    "change",
    [
        *({"bundle": "../x"}, {"release": 0}, {"release": "7"}, {"release": True}, {"group": "one"}, {"forced": 5}),
        *({"name": "\x1b[2J"}, {"version": "1\n2"}, {"forced": "x" * 1001}),
        *({"schema_version": 2}, {"schema_version": "2"}, {"schema": "other"}, {"name": None}),
    ],
)
def test_a_signed_release_that_makes_no_sense_is_refused(trust, repository, tmp_path, change):
    path = "groups/all/release.json"
    document = json.loads(repository.file(path).read_text()) | change
    repository.roles["group-all"].targets[path] = repository._target(path, json.dumps(document).encode())
    repository.publish(("group-all",))
    later = change == {"schema_version": 2}
    assert refusal(trust, repository, tmp_path / "into") == (Reason.SOFTWARE if later else Reason.METADATA)


def test_without_a_link_the_update_waits_and_nothing_is_refused(trust, repository):
    with file_server(repository.folder) as served:
        served.status["metadata/timestamp.json"] = 502
        with pytest.raises(UpdateDelayed) as caught:
            TrustedRepository(trust, HttpSource(served.url)).refresh()
        assert caught.value.reason == Reason.LINK
        served.status.clear()
        TrustedRepository(trust, HttpSource(served.url)).refresh()


def test_metadata_arrives_over_a_link_that_is_cut_again_and_again(trust, repository):
    with file_server(repository.folder) as served:
        served.cut_after = 1000
        threading.Timer(0.3, lambda: setattr(served, "cut_after", 2000)).start()  # the timestamp comes as a whole
        TrustedRepository(trust, HttpSource(served.url)).refresh()
        assert any(start for name, start in served.asked if name != "metadata/timestamp.json")


def test_a_folder_that_is_no_repository_is_told_as_a_link_that_is_down(trust, tmp_path):
    with pytest.raises(UpdateDelayed, match=r"has no metadata/timestamp\.json"):
        TrustedRepository(trust, FolderSource(tmp_path)).refresh()


def test_a_root_that_is_trusted_anew_forgets_the_old_repository_and_the_same_one_forgets_nothing(
    trust, repository, tmp_path
):
    look(trust, repository)
    before = cache(trust)
    trust_root(trust, repository.first_root)
    assert cache(trust) == before
    other = TufRepository(tmp_path / "other")
    other.offer(NEWER)
    with pytest.raises(UpdateRefused):
        look(trust, other)
    trust_root(trust, other.first_root)
    assert not (trust / "floor.json").exists()
    assert look(trust, other).release("all").number == 1


@pytest.mark.parametrize("what", ["nothing", "timestamp", "one key"])
def test_a_root_that_its_own_keys_did_not_sign_is_never_trusted(tmp_path, repository, what):
    data = b"{}"
    if what == "timestamp":
        data = (repository.metadata / "timestamp.json").read_bytes()
    elif what == "one key":
        repository.signers["root"] = repository.signers["root"][:1]
        data = repository.write("root")
    with pytest.raises(UpdateRefused):
        trust_root(tmp_path / "new", data)
    assert not (tmp_path / "new" / "root.json").exists()


def test_everything_that_the_station_trusts_is_synced_before_it_gets_its_name(trust, repository, tmp_path):
    """By the system's own record of calls: each rename into the trust folder follows an fsync of what is renamed."""
    log = tmp_path / "calls"
    code = (
        "import sys; from pathlib import Path; from edge_runtime.updates.sources import FolderSource;"
        "from edge_runtime.updates.trusted_repository import TrustedRepository;"
        "found = TrustedRepository(Path(sys.argv[1]), FolderSource(Path(sys.argv[2])));"
        "found.refresh(); found.release('all')"
    )
    calls = ["strace", "-f", "-y", "-e", "trace=fsync,rename,renameat,renameat2", "-o", str(log)]
    try:
        done = subprocess.run(
            [*calls, sys.executable, "-c", code, str(trust), str(repository.folder)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
        )
    except FileNotFoundError:
        pytest.skip("strace is not installed")
    if "ptrace" in done.stderr and done.returncode:
        pytest.skip("this system lets nobody trace")
    assert done.returncode == 0, done.stderr
    synced, renamed = set(), []
    for line in log.read_text().splitlines():
        if "fsync(" in line:
            synced.add(line.partition("<")[2].partition(">")[0])
        elif "rename" in line and (names := line.split('"')[1::2]) and str(trust) in names[0]:
            renamed.append(names[1].rpartition("/")[2])
            assert names[0] in synced, line
    assert {"timestamp.json", "snapshot.json", "targets.json", "group-all.json", "1.root.json"} <= set(renamed)
    assert str(trust / "metadata") in synced


def client(folder, *arguments):
    """Run the command line of the station's client, as the conformance suite does; return its exit status."""
    calls = [sys.executable, "-m", "tests.support.tuf_client", "--metadata-dir", str(folder), *arguments]
    return subprocess.run(calls, cwd=ROOT, capture_output=True, timeout=120).returncode


def test_the_command_line_for_the_conformance_suite_initialises_refreshes_and_downloads(repository, tmp_path):
    repository.put("path/file.txt", b"text")
    repository.publish()
    (tmp_path / "metadata").mkdir()
    (tmp_path / "got").mkdir()
    with file_server(repository.folder) as served:
        places = ["--metadata-url", f"{served.url}/metadata/", "--target-base-url", f"{served.url}/targets/"]
        assert client(tmp_path / "metadata", "init", str(repository.metadata / "1.root.json")) == 0
        assert served.asked == []
        assert client(tmp_path / "metadata", *places[:2], "refresh") == 0
        names = {path.name for path in (tmp_path / "metadata").glob("*.json")}
        assert names == {"root.json", "timestamp.json", "snapshot.json", "targets.json"}
        for name, status in (("path/file.txt", 0), ("path/other.txt", 1)):
            wanted = [*places, "--target-name", name, "--target-dir", str(tmp_path / "got"), "download"]
            assert client(tmp_path / "metadata", *wanted) == status
    assert [path.read_bytes() for path in (tmp_path / "got").iterdir()] == [b"text"]
