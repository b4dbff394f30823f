"""The signed repository, written: plain files that any web server or USB stick can offer to stations.

Its metadata follows the specification of The Update Framework (TUF) 1.0, with consistent snapshots. The role `targets`
lists every file of every bundle, the role `group-NAME` the one release of a group of stations. Committed is what
metadata/timestamp.json names; a killed writer leaves files that nothing names, and the next one writes over them.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from securesystemslib.signer import Key
from tuf.api.exceptions import RepositoryError, UnsignedMetadataError
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization import DeserializationError

from augment.updates.keys import GROUP_ROLE, ROOT_THRESHOLD, KeyRing, all_roles
from augment.updates.own_signatures import roles_signed_by_us
from edge_runtime.bundle.errors import InputError, UnavailableError
from edge_runtime.bundle.files import lock_file, replace_file, sha256_bytes
from edge_runtime.bundle.store import MANIFEST, Bundle, open_bundle
from edge_runtime.updates.repository.floor_time import utc_now
from edge_runtime.updates.trusted_repository import Release, bundle_path, read_release, release_path

GROUPS = ("one", "three", "all")  # the steps of a release, from few stations to all of them
METADATA, TARGETS, ABOUT, LOCK = "metadata", "targets", "repository.json", ".lock"
SCHEMA = "rarefault/repository"
# Nobody signs repository.json: whoever changes it must not get signatures that are good for a lifetime.
MOST_DAYS = {"root_days": 1830, "targets_days": 732, "online_days": 31, "stick_days": 366}


@dataclass(frozen=True)
class About:
    """repository.json, which no station reads: groups in the order of a release, days until metadata expires, policy.

    `targets_days` holds for the groups' metadata too, `online_days` for snapshot and timestamp on a server,
    `stick_days` for those on a USB stick.
    """

    groups: tuple[str, ...] = GROUPS
    root_days: int = 365
    targets_days: int = 180
    online_days: int = 7
    stick_days: int = 90
    require_evidence: bool = False  # refuse a bundle whose heat map is not evidence

    @classmethod
    def read(cls, folder: Path) -> "About":
        """Read the file in a repository's folder; InputError where it is unusable."""
        try:
            data = json.loads((folder / ABOUT).read_bytes())
            names = {name for name in cls.__dataclass_fields__ if name in data}
            about = cls(**{name: data[name] for name in names})
            days = {name: getattr(about, name) for name in MOST_DAYS}
            if data["schema"] != SCHEMA or not all(isinstance(count, int) and count > 0 for count in days.values()):
                raise ValueError(f"the days are {days}")
            if long := [name for name, most in MOST_DAYS.items() if days[name] > most]:
                raise ValueError(f"{long[0]} is {days[long[0]]}, expected at most {MOST_DAYS[long[0]]}")
            return replace(about, groups=tuple(map(str, about.groups)))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{folder / ABOUT} cannot be used ({error!r}); restore it from a copy") from error

    def write(self, folder: Path) -> None:
        """Write the file."""
        document = {"schema": SCHEMA, "schema_version": 1, **asdict(self)}
        replace_file(folder / ABOUT, (json.dumps(document, indent=1) + "\n").encode())


def is_repository(folder: Path) -> bool:
    """Whether a repository was committed to `folder`."""
    return (folder / METADATA / "timestamp.json").is_file() and (folder / METADATA / "1.root.json").is_file()


def _check_repository(folder: Path) -> None:
    if not is_repository(folder):
        raise InputError(f"{folder} holds no repository; `rarefault publish BUNDLE --repository {folder}` makes one")


def create_repository(
    folder: Path, ring: KeyRing, about: About | None = None, clock: Callable[[], datetime] = utc_now
) -> "Repository":
    """Write an empty repository, signed by the keys of `ring`, which needs one for each role and three for root."""
    about = about or About()
    if is_repository(folder):
        raise InputError(f"{folder} holds a repository already; publish to it, or choose another folder")
    keys: dict[str, list[Key]] = {role: [] for role in all_roles(about.groups)}
    for card in ring.cards():
        keys.setdefault(card.role, []).append(card.key)
    if missing := [role for role in all_roles(about.groups) if not keys[role]]:
        raise InputError(
            f"there is no key for {', '.join(dict.fromkeys(missing))} in {ring.where}; make them first: rarefault keys "
            "create FOLDER"
        )
    root, groups = Root(consistent_snapshot=True), [GROUP_ROLE + name for name in about.groups]
    for role in ("root", "targets", "snapshot", "timestamp"):
        for key in keys[role]:
            root.add_key(key, role)
    root.roles["root"].threshold = ROOT_THRESHOLD
    targets = Targets(delegations=Delegations({}, {role: _delegated(role) for role in groups}))
    for role in groups:
        targets.add_key(keys[role][0], role)
    snapshot = Snapshot(meta={f"{role}.json": MetaFile() for role in ("targets", *groups)})
    for place in (METADATA, TARGETS):
        (folder / place).mkdir(parents=True, exist_ok=True)
    about.write(folder)
    signed = {"root": root, "targets": targets, "snapshot": snapshot, "timestamp": Timestamp()}
    parts = {role: Metadata[Any](part) for role, part in signed.items()}
    parts |= {role: Metadata[Any](Targets()) for role in groups}
    repository = Repository(folder, ring, about, clock, parts, dict.fromkeys(parts, 0))
    repository.touch(*parts)
    repository.commit()
    return repository


@contextlib.contextmanager
def open_repository(folder: Path, ring: KeyRing, clock: Callable[[], datetime] = utc_now) -> "Iterator[Repository]":
    """Open the repository for writing, alone; what the block did is committed where it ends without an error."""
    _check_repository(folder)
    with (folder / LOCK).open("ab") as file:
        try:
            lock_file(file)
        except OSError as error:
            raise UnavailableError(
                f"{folder} is being written by another process; try again when it is done"
            ) from error
        repository = load_repository(folder, ring, clock)
        yield repository
        repository.commit()


def load_repository(folder: Path, ring: KeyRing, clock: Callable[[], datetime] = utc_now) -> "Repository":
    """Read what is committed in `folder`; for looking only, since another process may write meanwhile."""
    _check_repository(folder)
    about = About.read(folder)
    try:
        parts = {"timestamp": _load(folder, "timestamp.json")}
        parts["snapshot"] = _load(folder, f"{parts['timestamp'].signed.snapshot_meta.version}.snapshot.json")
        for name, meta in parts["snapshot"].signed.meta.items():
            parts[name.removesuffix(".json")] = _load(folder, f"{meta.version}.{name}")
        parts["root"] = _load(folder, f"{_newest_root(folder)}.root.json")
    except (RepositoryError, DeserializationError, OSError) as error:
        raise InputError(f"{folder} is no whole repository ({error}); restore it from a copy") from error
    if unknown := [name for name in about.groups if GROUP_ROLE + name not in parts]:
        raise InputError(
            f"{folder / ABOUT} names the group {unknown[0]}, which no key signs for; take it out, and add it "
            "with: rarefault keys add-group"
        )
    versions = {role: part.signed.version for role, part in parts.items()}
    return Repository(folder, ring, about, clock, parts, versions, roles_signed_by_us(parts, ring.cards()))


@dataclass
class Repository:
    """A repository in memory: `parts` is its metadata by role, `committed` the version of each on disk, 0 for none.

    `ours` are the roles whose metadata on disk is known to be signed by our own keys; no other one is signed anew.
    """

    folder: Path
    ring: KeyRing
    about: About
    clock: Callable[[], datetime]
    parts: dict[str, Metadata[Any]]
    committed: dict[str, int]
    ours: set[str] = field(default_factory=set)
    _touched: set[str] = field(default_factory=set)
    _leaving: dict[str, list[str]] = field(
        default_factory=dict
    )  # role -> ids of keys that sign once more beside the new

    @property
    def root(self) -> Root:
        """The newest root, signed or to be signed."""
        return cast(Root, self.parts["root"].signed)

    @property
    def targets(self) -> Targets:
        """The list of all files of all bundles, and of the groups."""
        return cast(Targets, self.parts["targets"].signed)

    def owner(self, role: str) -> Root | Targets:
        """Return the metadata that says which keys a role has."""
        return self.targets if role.startswith(GROUP_ROLE) else self.root

    def find_key(self, text: str) -> tuple[str, str]:
        """Return role and id of the key that `text` names: its card, or the start of its id; InputError for no one."""
        names = {card.name: card.key.keyid for card in self.ring.cards()}
        wanted = names.get(text, text)
        found = [
            (role, keyid)
            for role in self.parts
            for keyid in self.owner(role).get_delegated_role(role).keyids
            if len(wanted) >= 8 and keyid.startswith(wanted)
        ]
        if len(found) != 1:
            raise InputError(
                f"{text!r} names {len(found)} keys of the repository, expected one: the name of a card such as "
                f"targets-1, or the first letters of an id; see rarefault keys show --repository {self.folder}"
            )
        return found[0]

    def touch(self, *roles: str) -> None:
        """Let the metadata of these roles be written anew at the next commit."""
        self._touched |= set(roles)

    def add_bundle(self, folder: Path) -> str:
        """Copy a bundle's files in, verified, and list them as targets; return its digest. Nobody is offered it yet."""
        bundle = open_bundle(folder)
        for name in (*bundle.manifest.files, MANIFEST):
            path = bundle_path(bundle.digest, name)
            target = self._put(path, (folder / name).read_bytes())
            entry = bundle.manifest.files.get(name)
            if target.hashes["sha256"] != (entry.sha256 if entry else bundle.digest):
                raise InputError(f"{folder / name} changed while it was read; pack the bundle again, and publish it")
            if self.targets.targets.get(path) != target:
                self.targets.targets[path] = target
                self.touch("targets")
        return bundle.digest

    def release(self, digest: str, group: str, forced: str | None = None) -> Release:
        """Offer the stations of `group` the bundle with this digest, which was added before, as the next release."""
        self._known(group)
        if bundle_path(digest, MANIFEST) not in self.targets.targets:
            raise InputError(f"the repository holds no bundle {digest}; publish it first")
        manifest = json.loads(self.read(bundle_path(digest, MANIFEST)))
        number = 1 + max((found.number for found in self.releases().values()), default=0)
        release = Release(number, digest, manifest["name"], manifest["version"], group, forced)
        path, data = release_path(group), release.to_json(manifest["created"])
        read_release(data, group)  # as stations will
        target = self._put(path, data)
        cast(Targets, self.parts[GROUP_ROLE + group].signed).targets = {path: target}
        self.touch(GROUP_ROLE + group)
        return release

    def releases(self) -> dict[str, Release]:
        """Return what each group is offered; groups without a release are absent."""
        found = {}
        for group in self.about.groups:
            if (path := release_path(group)) in self.parts[GROUP_ROLE + group].signed.targets:
                found[group] = read_release(self.read(path), group)
        return found

    def promote(self, group: str, forced: str | None = None) -> Release:
        """Offer what `group` is offered to the group after it."""
        self._known(group)
        after = self.about.groups[self.about.groups.index(group) + 1 :]
        if not after:
            raise InputError(f"{group} is the last group of {', '.join(self.about.groups)}; there is nobody after it")
        if (release := self.releases().get(group)) is None:
            raise InputError(f"the group {group} was offered nothing; promote the group before it")
        return self.release(release.bundle, after[0], forced or release.forced)

    def read(self, path: str) -> bytes:
        """Return the bytes of a target; InputError where they are not those that were signed."""
        data = (self.folder / self.where(path)).read_bytes()
        try:
            self._target(path).verify_length_and_hashes(data)
        except RepositoryError as error:
            raise InputError(
                f"{self.folder / self.where(path)} was changed ({error}); restore it from a copy"
            ) from error
        return data

    def where(self, path: str) -> Path:
        """Return where a target lies below the repository's folder."""
        return _where(path, self._target(path))

    def copy_bundle(self, digest: str, into: Path) -> Bundle:
        """Copy a bundle of the repository into the empty folder `into`, and open it."""
        for path in self.bundle_files(digest):
            place = into / path.removeprefix(bundle_path(digest))
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(self.read(path))
        return open_bundle(into)

    def listed_metadata(self) -> list[Path]:
        """Return the files of metadata that the snapshot names."""
        versions = {name: meta.version for name, meta in self.parts["snapshot"].signed.meta.items()}
        return [self.folder / METADATA / f"{version}.{name}" for name, version in versions.items()]

    def expiries(self) -> dict[str, datetime]:
        """Return when the metadata of each role expires, as it is committed."""
        return {role: part.signed.expires for role, part in self.parts.items()}

    def bundle_files(self, digest: str) -> list[str]:
        """Return the targets of one bundle."""
        return [path for path in self.targets.targets if path.startswith(bundle_path(digest))]

    def add_group(self, name: str, key: Key, before: str) -> None:
        """Add a group of stations with a key of its own; its turn in a release comes before that of `before`."""
        self._known(before)
        if name in self.about.groups:
            raise InputError(f"there is a group {name!r} already; choose another name")
        place, role = self.about.groups.index(before), GROUP_ROLE + name
        self.about = replace(self.about, groups=(*self.about.groups[:place], name, *self.about.groups[place:]))
        delegations = cast(Delegations, self.targets.delegations)
        cast(dict[str, DelegatedRole], delegations.roles)[role] = _delegated(role)
        self.targets.add_key(key, role)
        self.parts[role], self.committed[role] = Metadata[Any](Targets()), 0
        self.touch(role, "targets")

    def replace_key(self, role: str, old: str, new: Key, stolen: bool = False) -> None:
        """Let `new` sign for `role` instead of the key with the id `old`, which signs once more beside it.

        A `stolen` key signs nothing more. InputError where `role` has no such key.
        """
        owner = self.owner(role)
        try:
            owner.revoke_key(old, role)
        except ValueError as error:
            raise InputError(f"{error}; see the keys with: rarefault keys show --repository {self.folder}") from error
        owner.add_key(new, role)
        if not stolen:
            self._leaving.setdefault(role, []).append(old)
        self.touch(role, "targets" if role.startswith(GROUP_ROLE) else "root")

    def commit(self) -> None:
        """Sign and write what was touched, and always snapshot and timestamp; every file is durable before the next.

        The timestamp comes after all that it names. Root comes last: it may say that older keys count no more, and
        whatever a leaving key signed once more beside the new one is good before and after it.
        """
        if not self._touched:
            return
        # Signed first: without enough of its keys nothing is written, since a stolen key has signed nothing of it.
        root = self._signed("root", self.about.root_days) if "root" in self._touched else None
        for role in sorted(self._touched - {"root", "snapshot", "timestamp"}):
            data = self._signed(role, self.about.targets_days)
            self._write(role, data)
            self.parts["snapshot"].signed.meta[f"{role}.json"] = _meta(self.parts[role], data)
        self._write_online(self.folder, self.about.online_days)
        if root is not None:
            self._write("root", root)
        if self.about != About.read(self.folder):
            self.about.write(self.folder)
        self._touched.clear()
        self._leaving.clear()

    def write_stick(self, folder: Path) -> None:
        """Write snapshot and timestamp for a USB stick at `folder`: they expire later, and are older than the server's.

        So a station that was given the stick takes the server's again afterwards. The server's are written first.
        """
        before = {role: self.committed[role] for role in ("snapshot", "timestamp")}
        self.committed |= {role: version + 1 for role, version in before.items()}
        self._write_online(self.folder, self.about.online_days)
        after = dict(self.committed)
        self.committed |= before
        self._write_online(folder, self.about.stick_days)
        self.committed |= after

    def _write_online(self, folder: Path, days: int) -> None:
        data = self._signed("snapshot", days)
        self._write("snapshot", data, folder)
        self.parts["timestamp"].signed.snapshot_meta = _meta(self.parts["snapshot"], data)
        self._write("timestamp", self._signed("timestamp", days), folder)

    def _signed(self, role: str, days: int) -> bytes:
        """Return the next version of a role's metadata, signed by every key of the role that is at hand."""
        part = self.parts[role]
        wanted = self.owner(role).get_delegated_role(role)
        keyids = list(wanted.keyids)
        leaving = self._before(role) if role == "root" else self._leaving.get(role, [])
        signers = self.ring.signers(dict.fromkeys(keyids + leaving))
        at_hand = {signer.public_key.keyid for signer in signers}
        if (count := len(at_hand.intersection(keyids))) < wanted.threshold:
            raise InputError(
                f"{count} of the keys of {role} are at hand in {self.ring.where}, expected {wanted.threshold}; give "
                f"the folders that hold them with --keys (ids {', '.join(keyid[:8] for keyid in keyids)})"
            )
        if leaving and role == "root" and len(at_hand.intersection(leaving)) < ROOT_THRESHOLD:
            raise InputError(
                f"stations follow a new root only where {ROOT_THRESHOLD} keys of the root before have signed it; give "
                "the folders that hold them with --keys"
            )
        if self.committed[role] and role not in self.ours:
            raise InputError(
                f"no key at hand has signed what {self.folder} says for {role}: give the folder with the card of its "
                "key with --keys, or if you did, somebody has changed the repository: restore it from a copy"
            )
        part.signed.version = self.committed[role] + 1
        part.signed.expires = self.clock() + timedelta(days=days)
        part.signatures.clear()
        for signer in signers:
            try:
                part.sign(signer, append=True)
            except UnsignedMetadataError as error:  # of a token: files were opened before
                raise UnavailableError(f"a key of {role} does not sign ({error}); look at its token and PIN") from error
        return part.to_bytes()

    def _before(self, role: str) -> list[str]:
        """Return the ids of the keys that the committed root gives a role."""
        if not self.committed["root"]:
            return []
        before = _load(self.folder, f"{self.committed['root']}.root.json").signed
        return list(before.get_delegated_role(role).keyids)

    def _write(self, role: str, data: bytes, folder: Path | None = None) -> None:
        version = self.parts[role].signed.version
        name = f"{role}.json" if role == "timestamp" else f"{version}.{role}.json"
        replace_file((folder or self.folder) / METADATA / name, data)
        self.committed[role] = version
        self.ours.add(role)

    def _put(self, path: str, data: bytes) -> TargetFile:
        """Write a target's file, unless it is there, and return its entry."""
        target = TargetFile.from_data(path, data, ["sha256"])
        place = self.folder / _where(path, target)
        if not place.is_file() or place.read_bytes() != data:
            place.parent.mkdir(parents=True, exist_ok=True)
            replace_file(place, data)
        return target

    def _target(self, path: str) -> TargetFile:
        listed = {name: file for role, part in self.parts.items() if role == "targets" or role.startswith(GROUP_ROLE)
                  for name, file in part.signed.targets.items()}  # fmt: skip
        if path not in listed:
            raise InputError(f"the repository {self.folder} lists no {path}; publish it first")
        return cast(TargetFile, listed[path])

    def _known(self, group: str) -> None:
        if group not in self.about.groups:
            raise InputError(f"there is no group {group!r}, expected one of {', '.join(self.about.groups)}")


def _delegated(role: str) -> DelegatedRole:
    return DelegatedRole(role, [], 1, True, paths=[f"groups/{role.removeprefix(GROUP_ROLE)}/*"])


def _where(path: str, target: TargetFile) -> Path:
    """Return the place of a target with consistent snapshots: its name begins with its digest."""
    place = Path(TARGETS) / path
    return place.with_name(f"{target.hashes['sha256']}.{place.name}")


def _meta(part: Metadata[Any], data: bytes) -> MetaFile:
    return MetaFile(part.signed.version, len(data), {"sha256": sha256_bytes(data)})


def _load(folder: Path, name: str) -> Metadata[Any]:
    return Metadata[Any].from_bytes((folder / METADATA / name).read_bytes())


def _newest_root(folder: Path) -> int:
    version = 1
    while (folder / METADATA / f"{version + 1}.root.json").is_file():
        version += 1
    return version
