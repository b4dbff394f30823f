"""Which metadata of a repository was written by the holders of our own keys.

A repository lies where a web server offers it, so whoever breaks into that server can write there. Nothing of it may be
signed anew before it is known that our own keys have signed what it says now. Their cards lie beside the keys.
"""

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError
from securesystemslib.signer import Key
from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import Metadata

from augment.updates.keys import GROUP_ROLE, KeyCard
from edge_runtime.bundle.errors import InputError


def roles_signed_by_us(parts: Mapping[str, Metadata[Any]], cards: Iterable[KeyCard]) -> set[str]:
    """Return the roles of `parts` whose metadata is signed by a key that a card names for the role.

    Those too that are signed by the keys which another such role gives them. InputError for one that should be signed
    by these keys and is not.
    """
    ours = {card.role for card in cards if card.role in parts and _has_signed(card.key, parts[card.role])}
    if "root" in ours and not _verifies(parts, "root", "root"):
        ours.remove("root")
    for role in sorted(parts, key=lambda role: role.startswith(GROUP_ROLE)):  # targets before the groups
        owner = "targets" if role.startswith(GROUP_ROLE) else "root"
        if role not in ours and role != "root" and owner in ours:
            if not _verifies(parts, owner, role):
                raise InputError(
                    f"the metadata of {role} is not what its keys have signed: somebody has changed the repository; "
                    "find out who can write there, and restore it from a copy"
                )
            ours.add(role)
    return ours


def _has_signed(key: Key, part: Metadata[Any]) -> bool:
    with contextlib.suppress(KeyError, UnverifiedSignatureError, VerificationError):
        key.verify_signature(part.signatures[key.keyid], part.signed_bytes)
        return True
    return False


def _verifies(parts: Mapping[str, Metadata[Any]], owner: str, role: str) -> bool:
    with contextlib.suppress(UnsignedMetadataError):
        parts[owner].signed.verify_delegate(role, parts[role].signed_bytes, parts[role].signatures)
        return True
    return False
