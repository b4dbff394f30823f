"""A small honest TUF repository in a folder, whose every key, version, time and file a test may make dishonest."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Signed,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

GROUPS = ("one", "three", "all")
ONLINE = ("snapshot", "timestamp")


def in_days(days: float) -> datetime:
    return datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=days)


class TufRepository:
    """Metadata in `folder/metadata`, files in `folder/targets`.

    `signers` are the keys of each role and `roles` its content: change them, then `write` a role or `publish` all.
    """

    def __init__(self, folder: Path, groups: Iterable[str] = GROUPS) -> None:
        self.folder = folder
        self.metadata, self.targets = folder / "metadata", folder / "targets"
        for path in (self.metadata, self.targets):
            path.mkdir(parents=True)
        names = [f"group-{group}" for group in groups]
        self.signers = {role: [CryptoSigner.generate_ed25519()] for role in ("targets", *ONLINE, *names)}
        self.signers["root"] = [CryptoSigner.generate_ed25519() for _ in range(3)]
        self.root = Root(expires=in_days(365), consistent_snapshot=True)
        for role in ("root", "targets", *ONLINE):
            for signer in self.signers[role]:
                self.root.add_key(signer.public_key, role)
        self.root.roles["root"].threshold = 2
        delegations = Delegations({}, {name: self._delegation(name) for name in names})
        self.roles: dict[str, Signed] = {
            "root": self.root,
            "targets": Targets(expires=in_days(180), delegations=delegations),
            **{name: Targets(expires=in_days(180)) for name in names},
            "snapshot": Snapshot(expires=in_days(7)),
            "timestamp": Timestamp(expires=in_days(7)),
        }
        for name in names:
            self.roles["targets"].add_key(self.signers[name][0].public_key, name)
        self.write("root")
        self.publish(bump=())

    def _delegation(self, name: str) -> DelegatedRole:
        return DelegatedRole(name, [], 1, True, paths=[f"groups/{name.removeprefix('group-')}/*"])

    @property
    def first_root(self) -> bytes:
        return (self.metadata / "1.root.json").read_bytes()

    def write(self, role: str) -> bytes:
        """Sign what `roles` has with all keys of the role, and write it; return the file."""
        signed = self.roles[role]
        metadata = Metadata(signed)
        for signer in self.signers[role]:
            metadata.sign(signer, append=True)
        data = metadata.to_bytes()
        name = "timestamp.json" if role == "timestamp" else f"{signed.version}.{role}.json"
        (self.metadata / name).write_bytes(data)
        return data

    def publish(self, bump: Iterable[str] = ("targets",)) -> None:
        """Write every role but the root. Those of `bump` get a new version, and the online ones with them."""
        snapshot, timestamp = self.roles["snapshot"], self.roles["timestamp"]
        for role in (*bump, *(ONLINE if bump else ())):
            self.roles[role].version += 1
        for role in [role for role in self.roles if role not in ("root", *ONLINE)]:
            snapshot.meta[f"{role}.json"] = _meta(self.roles[role].version, self.write(role))
        timestamp.snapshot_meta = _meta(snapshot.version, self.write("snapshot"))
        self.write("timestamp")

    def rotate(self, *roles: str) -> None:
        """Give the roles new keys by a new root, which the keys of the old one have signed."""
        for role in roles:
            for old in self.signers[role]:
                self.root.revoke_key(old.public_key.keyid, role)
            self.signers[role] = [CryptoSigner.generate_ed25519()]
            self.root.add_key(self.signers[role][0].public_key, role)
        self.root.version += 1
        self.write("root")

    def put(self, path: str, data: bytes) -> None:
        """Put a file below `targets` and list it in the central team's role; `publish` comes later."""
        self.roles["targets"].targets[path] = self._target(path, data)

    def put_bundle(self, files: Mapping[str, bytes]) -> str:
        """List the files of a bundle, of which one is manifest.json, and return its digest."""
        digest = hashlib.sha256(files["manifest.json"]).hexdigest()
        for name, data in files.items():
            self.put(f"bundles/{digest}/{name}", data)
        return digest

    def put_folder(self, bundle: Path) -> str:
        """List the files of the bundle in a folder, and return its digest."""
        files = sorted(path for path in bundle.rglob("*") if path.is_file())
        return self.put_bundle({path.relative_to(bundle).as_posix(): path.read_bytes() for path in files})

    def put_release(self, group: str, digest: str, number: int = 1, forced: str | None = None) -> None:
        """Offer the bundle to a group; `publish(bump=[..., f"group-{group}"])` comes later."""
        document = {
            "schema": "rarefault/release",
            "schema_version": 1,
            "release": number,
            "bundle": digest,
            "name": "yard",
            "version": str(number),
            "created": in_days(0).isoformat(),
            "forced": forced,
            "group": group,
        }
        path = f"groups/{group}/release.json"
        self.roles[f"group-{group}"].targets[path] = self._target(path, json.dumps(document).encode())

    def offer(self, files: Mapping[str, bytes], group: str = "all", number: int = 1) -> str:
        """List a bundle, offer it to a group and publish all of it; return its digest."""
        digest = self.put_bundle(files)
        self.put_release(group, digest, number)
        self.publish(("targets", f"group-{group}"))
        return digest

    def file(self, path: str) -> Path:
        """The file of a listed target."""
        role = "targets" if path.startswith("bundles/") else f"group-{path.split('/')[1]}"
        target = self.roles[role].targets[path]
        return self._place(path, target)

    def _target(self, path: str, data: bytes) -> TargetFile:
        target = TargetFile.from_data(path, data, ["sha256"])
        place = self._place(path, target)
        if place.resolve().is_relative_to(self.targets.resolve()):  # a name that is an attack may lead elsewhere
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        return target

    def _place(self, path: str, target: TargetFile) -> Path:
        folder, _, name = path.rpartition("/")
        return self.targets / folder / f"{target.hashes['sha256']}.{name}"


def _meta(version: int, data: bytes) -> MetaFile:
    return MetaFile(version, len(data), {"sha256": hashlib.sha256(data).hexdigest()})
