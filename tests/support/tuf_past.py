"""What a signed repository was before, and what those could make of it who hold stolen keys."""

import copy
import shutil
from pathlib import Path

from tuf.api.metadata import MetaFile

from tests.support.tuf_repository import ONLINE, TufRepository


class Past:
    """A repository in `place/today` that offered the bundle `old` and now offers `new` to the group; and five others.

    `oldest`, `before` and `between` are older states of it, the last one with today's root. `mixed` has newer snapshot
    and timestamp files, rightly signed, that name older files of the other roles. `revoked` is signed with a snapshot
    key that today's root has revoked, and holds that root back. A station that has seen `today` must take none of
    them, one that has seen `before` not `oldest`.
    """

    def __init__(self, place: Path, old: Path, new: Path, group: str) -> None:
        names = ("today", "oldest", "before", "between", "mixed", "revoked")
        self.today, self.oldest, self.before, self.between, self.mixed, self.revoked = (place / name for name in names)
        self._repository, self._group = TufRepository(self.today), group
        for copied in (self.oldest, self.before):
            self._offer(old, 1)
            shutil.copytree(self.today, copied)
        stolen = copy.copy(self._repository.signers)
        older = {role: self._repository.roles[role].version for role in ("targets", f"group-{group}")}
        self._repository.rotate("snapshot")
        self._offer(old, 1)
        shutil.copytree(self.today, self.between)
        self.digest = self._offer(new, 2)
        self._forge(self.mixed, self._repository.signers, older)
        self._forge(self.revoked, stolen, {})
        (self.revoked / "metadata" / "2.root.json").unlink()

    def _offer(self, bundle: Path, number: int) -> str:
        digest = self._repository.put_folder(bundle)
        self._repository.put_release(self._group, digest, number)
        self._repository.publish(("targets", f"group-{self._group}"))
        return digest

    def _forge(self, folder: Path, signers: dict[str, list[object]], versions: dict[str, int]) -> None:
        """Copy today's repository into `folder` and sign it anew, with other versions of the roles."""
        shutil.copytree(self.today, folder)
        forged = copy.copy(self._repository)
        forged.metadata, forged.signers, forged.roles = folder / "metadata", signers, copy.deepcopy(forged.roles)
        for role in ONLINE:
            forged.roles[role].version += 1
        snapshot, timestamp = forged.roles["snapshot"], forged.roles["timestamp"]
        snapshot.meta |= {f"{role}.json": MetaFile(version) for role, version in versions.items()}
        timestamp.snapshot_meta = MetaFile(snapshot.version)
        for role in ONLINE:
            forged.write(role)
