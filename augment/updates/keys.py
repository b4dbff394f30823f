"""The keys that sign a repository: in files with a passphrase, or in a PKCS#11 token; found again by their key id.

A key folder holds for each key a card, NAME.json, with what is public of it, and where the key is a file NAME.pem as
well. Which keys a role has is said by the repository's metadata; a card says which role's content its key vouches for.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from edge_runtime.bundle.errors import InputError, UnavailableError
from edge_runtime.bundle.files import replace_file, sync_folder

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from securesystemslib.signer import Signer, SSlibKey

ROOT_KEYS, ROOT_THRESHOLD = 3, 2
GROUP_ROLE = "group-"  # and the name of a group of stations: its role in the repository
SCHEMA = "rarefault/key"
FILE = "file"  # where a key is that lies beside its card
HSM = "hsm:"  # how the address of a key in a PKCS#11 token begins, such as hsm:2?label=YubiKey

NEW_KEY, PIN_OF = "a passphrase for the new key ", "the PIN of the token with "  # how what a Secret is told begins
Secret = Callable[[str], str]
"""What a secret is for, such as `the passphrase of root-1` -> the secret."""


@dataclass(frozen=True)
class KeyCard:
    """What is public of one key. `where` is FILE, or the address of a key in a PKCS#11 token."""

    name: str
    role: str
    key: "SSlibKey"
    where: str
    folder: Path

    @property
    def file(self) -> Path:
        """The private key, where it is a file."""
        return self.folder / f"{self.name}.pem"

    @property
    def card_file(self) -> Path:
        """This card."""
        return self.folder / f"{self.name}.json"


@dataclass
class KeyRing:
    """The key folders at hand. Each secret is asked for once. New keys go into the first folder."""

    folders: Sequence[Path]
    secret: Secret
    _signers: "dict[str, Signer]" = field(default_factory=dict)

    @property
    def where(self) -> str:
        """The folders, for a sentence."""
        return ", ".join(str(folder) if folder.is_dir() else f"{folder} (not there)" for folder in self.folders)

    def cards(self) -> list[KeyCard]:
        """Return every card of the folders, by name; InputError for one that cannot be read."""
        return [_read_card(path) for folder in self.folders for path in sorted(folder.glob("*.json"))]

    def create(self, role: str, replaces: bool = False) -> KeyCard:
        """Make an Ed25519 key for `role` in a file with a passphrase; `replaces`: in the place of another one."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from securesystemslib.signer import CryptoSigner, SSlibKey

        private = Ed25519PrivateKey.generate()
        key = SSlibKey.from_crypto(private.public_key())
        card = KeyCard(self._free_name(role, key, replaces), role, key, FILE, self._home())
        _write_private(card.file, private, self.secret(f"{NEW_KEY}{card.name}"))
        _write_card(card)
        self._signers[card.key.keyid] = CryptoSigner(private, card.key)
        return card

    def adopt(self, role: str, where: str, replaces: bool = False) -> KeyCard:
        """Take the key at the address `where` of a PKCS#11 token for `role`; it never leaves the token."""
        from urllib.parse import parse_qsl, urlparse

        from securesystemslib.signer import HSMSigner

        address = urlparse(where)
        label = dict(parse_qsl(address.query)).get("label")
        if address.scheme + ":" != HSM or not address.path.isdigit():
            raise InputError(f"{where!r} is no key in a token, expected hsm:NUMBER?label=LABEL, such as hsm:2?label=HQ")
        with _token_errors(where):
            uri, key = HSMSigner.import_(int(address.path), label, self._pin(where))
        card = KeyCard(self._free_name(role, key, replaces), role, key, uri, self._home())
        _write_card(card)
        return card

    @contextlib.contextmanager
    def replacement(self, role: str, token: str | None = None) -> Iterator[KeyCard]:
        """Make another key for `role`, or take one of a token; its files go again where the block raises InputError.

        The repository raises that before it writes anything that the key has signed.
        """
        card = self.adopt(role, token, replaces=True) if token else self.create(role, replaces=True)
        try:
            yield card
        except InputError:
            for path in (card.file, card.card_file):
                path.unlink(missing_ok=True)
            raise

    def signers(self, keyids: Iterable[str]) -> "list[Signer]":
        """Return a signer for each of the keys that is at hand, in the order of `keyids`."""
        cards = {card.key.keyid: card for card in self.cards()}
        return [self._signer(cards[keyid]) for keyid in keyids if keyid in cards]

    def _signer(self, card: KeyCard) -> "Signer":
        from securesystemslib.signer import CryptoSigner, HSMSigner

        if card.key.keyid not in self._signers:
            if card.where != FILE:
                made: Signer = HSMSigner.from_priv_key_uri(card.where, card.key, self._pin(card.name))
            else:
                made = CryptoSigner(self._private(card), card.key)
            self._signers[card.key.keyid] = made
        return self._signers[card.key.keyid]

    def _private(self, card: KeyCard) -> "Ed25519PrivateKey":
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            data = card.file.read_bytes()
            found = load_pem_private_key(data, self.secret(f"the passphrase of {card.name}").encode())
        except OSError as error:
            raise InputError(f"{card.file} cannot be read ({error.strerror}); give the folder that holds it") from error
        except (ValueError, TypeError) as error:
            raise InputError(f"{card.file} does not open with this passphrase; try again, it was not used") from error
        return cast("Ed25519PrivateKey", found)

    def _pin(self, what: str) -> Callable[[str], str]:
        return lambda _: self.secret(f"{PIN_OF}{what}")

    def _home(self) -> Path:
        self.folders[0].mkdir(parents=True, exist_ok=True, mode=0o700)
        return self.folders[0]

    def _free_name(self, role: str, key: "SSlibKey", replaces: bool) -> str:
        """Return a name for a card. After `create_keys` the next number might be that of a card that is not at hand."""
        if replaces:
            return f"{role}-{key.keyid[:8]}"
        # A key without a card was left by a process that was killed: nothing was signed by it.
        taken = {card.name for card in self.cards()} | {path.stem for path in self._home().glob("*.pem")}
        return next(name for at in range(1, 10_000) if (name := f"{role}-{at}") not in taken)


def all_roles(groups: Iterable[str]) -> list[str]:
    """Return every role of a repository with these groups of stations, root as often as it has keys."""
    return [*["root"] * ROOT_KEYS, "targets", *(GROUP_ROLE + group for group in groups), "snapshot", "timestamp"]


def create_keys(ring: KeyRing, groups: Sequence[str], tokens: Mapping[str, str] | None = None) -> list[KeyCard]:
    """Make the keys that a repository needs and the folders do not hold yet; `tokens` says role -> address of its key.

    InputError for a token of a role that no repository has.
    """
    wanted, tokens = all_roles(groups), dict(tokens or {})
    if unknown := sorted(set(tokens) - set(wanted)):
        raise InputError(f"there is no role {unknown[0]}, expected one of {', '.join(dict.fromkeys(wanted))}")
    held = [card.role for card in ring.cards()]
    made = []
    for role in wanted:
        if role in held:
            held.remove(role)
        else:
            where = tokens.pop(role, None)
            made.append(ring.adopt(role, where) if where else ring.create(role))
    return made


@contextlib.contextmanager
def _token_errors(where: str) -> Iterator[None]:
    """Turn what a token's library raises into an UnavailableError."""
    from securesystemslib.exceptions import UnsupportedLibraryError

    try:
        yield
    except UnsupportedLibraryError as error:
        raise UnavailableError(f"no token can be used ({error}); install the extra: rarefault[hsm]") from error
    except (RuntimeError, ValueError, OSError, AssertionError) as error:  # PKCS11Error is a RuntimeError
        raise UnavailableError(
            f"the token with {where} gives no key ({error!r}); set PYKCS11LIB to the token's library, look whether it "
            "is plugged in, and whether it holds an ECDSA key of that number"
        ) from error


def _read_card(path: Path) -> KeyCard:
    from securesystemslib.signer import Key, SSlibKey

    try:
        data = json.loads(path.read_bytes())
        if data["schema"] != SCHEMA:
            raise ValueError(f"schema {data['schema']!r}")
        key = Key.from_dict(data["keyid"], data["public"])
        if not isinstance(key, SSlibKey):
            raise ValueError(f"key type {key.keytype}")
        return KeyCard(path.stem, str(data["role"]), key, str(data["where"]), path.parent)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no card of a key ({error!r}); take it out of the folder of keys") from error


def _write_card(card: KeyCard) -> None:
    about = {"schema": SCHEMA, "schema_version": 1, "role": card.role, "where": card.where}
    document = {**about, "keyid": card.key.keyid, "public": card.key.to_dict()}
    replace_file(card.card_file, (json.dumps(document, indent=1) + "\n").encode())


def _write_private(path: Path, private: "Ed25519PrivateKey", passphrase: str) -> None:
    """Write the key so that nobody else may read it; an existing file is never replaced."""
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

    if not passphrase:
        raise InputError(f"the passphrase for {path} is empty; give one, or keep the key in a token")
    lock = BestAvailableEncryption(passphrase.encode())
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock))
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)
