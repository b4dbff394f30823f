"""The key of a station: made at its first start, never leaves it, and signs what the station reports to central.

Ed25519 through securesystemslib, which the extra `station` brings. Central enrols the public part.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...bundle.errors import InputError, UnavailableError, os_errors_as
from ...bundle.files import create_private, replace_file

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, SSlibKey  # type: ignore[attr-defined,unused-ignore]

PRIVATE_FILE, PUBLIC_FILE = "station_key.pem", "station_key.pub.json"
SCHEMA, SCHEMA_VERSION = "rarefault/station-key", 1
SIGNATURE = "signature"  # the field of a signed document
_NEEDED = "install rarefault with the extra station, field or central"


@dataclass(frozen=True)
class StationKey:
    """The private key of a station."""

    _signer: "CryptoSigner"

    @property
    def public(self) -> dict[str, Any]:
        """The document that central enrols: id and public part of the key."""
        key = self._signer.public_key
        return {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, "keyid": key.keyid, **key.to_dict()}

    def sign(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return the document with a `signature` over everything else in it; one that it already had is replaced."""
        content = _unsigned(document)
        signed = self._signer.sign(canonical(content))
        return {**content, SIGNATURE: {"keyid": signed.keyid, "sig": signed.signature}}


def canonical(document: Mapping[str, Any]) -> bytes:
    """Return the bytes that are signed: JSON in ASCII with sorted keys, without spaces, floats as Python writes them.

    securesystemslib's own canonical JSON knows no floats, which probabilities and seconds are.
    """
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def open_station_key(updates_dir: Path) -> StationKey:
    """Return the key in `updates_dir`, STATE/updates; it is made where there is none, by whichever process is first.

    UnavailableError where the folder cannot be written or the package is missing, InputError where the file is damaged.
    """
    path = updates_dir / PRIVATE_FILE
    with os_errors_as(
        UnavailableError, f"the station's key {path} cannot be made or read", "check who may write there"
    ):
        updates_dir.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make(path)
        key = StationKey(_read(path))
        public = (json.dumps(key.public, indent=1) + "\n").encode()
        if not (shown := updates_dir / PUBLIC_FILE).exists() or shown.read_bytes() != public:
            replace_file(shown, public)
    return key


def verify(document: Mapping[str, Any], public: Mapping[str, Any]) -> None:
    """Raise InputError where the document is not signed by the key whose public document is `public`."""
    try:
        from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError
        from securesystemslib.signer import Signature  # type: ignore[attr-defined,unused-ignore]
    except ModuleNotFoundError as error:
        raise UnavailableError(f"signatures need the package {error.name}; {_NEEDED}") from error
    signature = document.get(SIGNATURE)
    if not isinstance(signature, dict) or not all(isinstance(signature.get(part), str) for part in ("keyid", "sig")):
        raise InputError("the document carries no signature; take the one that the station wrote")
    key = public_key(public)
    if signature["keyid"] != key.keyid:
        raise InputError(
            f"the document is signed by the key {signature['keyid'][:12]}, enrolled is {key.keyid[:12]}; ask the "
            "station whether it has a new key, and enrol that"
        )
    try:
        key.verify_signature(Signature(key.keyid, signature["sig"]), canonical(_unsigned(document)))
    except (UnverifiedSignatureError, VerificationError, ValueError) as error:
        raise InputError("the signature does not fit the document: it was changed on its way; do not use it") from error


def public_key(document: Mapping[str, Any]) -> "SSlibKey":
    """Return the key of a public document; InputError where it is none, or the id in it is not that of the key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined,unused-ignore]

    try:
        key = SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(bytes.fromhex(document["keyval"]["public"])))
        fits = document["keyid"] == key.keyid and document["schema"] == SCHEMA
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"this is no public key of a station ({error!r}); give its {PUBLIC_FILE}") from error
    if not fits:
        raise InputError(f"this is no public key of a station, or its id is another key's; give its {PUBLIC_FILE}")
    return key


def _unsigned(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != SIGNATURE}


def _make(path: Path) -> None:
    """Make a key that only its owner may read. A key that another process has made meanwhile stays."""
    try:
        from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined,unused-ignore]
    except ModuleNotFoundError as error:
        raise UnavailableError(f"the station's key needs the package {error.name}; {_NEEDED}") from error
    create_private(path, CryptoSigner.generate_ed25519().private_bytes)


def _read(path: Path) -> "CryptoSigner":
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
        from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined,unused-ignore]
    except ModuleNotFoundError as error:
        raise UnavailableError(f"the station's key needs the package {error.name}; {_NEEDED}") from error
    try:
        private = load_pem_private_key(path.read_bytes(), None)
        if not isinstance(private, Ed25519PrivateKey):
            raise ValueError("it is of another kind")
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{path} holds no key of a station ({error}); restore it from a backup, or remove it, and enrol the "
            "new key that the next start makes"
        ) from error
    return CryptoSigner(private)
