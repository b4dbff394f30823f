"""`rarefault keys | publish | promote | stick | renew`: parse, call one function, print what came of it.

What signs is imported inside the commands, so that `rarefault --help` answers at once.
"""

import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.files import sha256_bytes
from edge_runtime.cli_errors import Command, Group
from edge_runtime.secret_files import find_secret
from edge_runtime.text_files import printable
from edge_runtime.updates.repository.floor_time import utc_now

if TYPE_CHECKING:
    from augment.updates.keys import KeyRing, Secret
    from augment.updates.publish import Compare
    from augment.updates.repository import Repository

PASSPHRASE, PIN = "RAREFAULT_PASSPHRASE", "RAREFAULT_PIN"  # variables of the environment, for cron
SOON = timedelta(days=30)  # what expires sooner is told

folder_type = click.Path(path_type=Path, file_okay=False)
repository_option = click.option(
    "--repository", type=folder_type, required=True, help="The folder that a web server offers to stations."
)
keys_option = click.option(
    "--keys",
    type=folder_type,
    multiple=True,
    default=("keys",),
    show_default=True,
    help="A folder of keys; repeat for several. A new key goes into the first one.",
)
passphrase_option = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"A file whose first line opens the keys. Without it {PASSPHRASE} of the environment, else you are asked.",
)
group_option = click.option("--group", default="one", show_default=True, help="The group of stations.")
force_option = click.option("--force", "forced", metavar="REASON", help="Do it nevertheless; stations show the reason.")

ADVICE = """\
Where keys live:
  root-1, root-2, root-3   offline, each with another person, on a stick in a safe. Two of them replace any other key.
  targets, group-*         with the central team, in a token (--token targets=hsm:2?label=NAME) or on one machine that
                           is not the web server. Whoever has targets, one group and the online keys can publish.
  snapshot, timestamp      on the machine that runs `rarefault renew` every day; alone they cannot change a model.
Move each card (.json) with its key (.pem), keep a copy of every root key at a second place, and give --keys once for
each folder at hand. Stations begin with metadata/1.root.json of the repository, handed over in person.
What expires: root after {about.root_days} days, targets and groups after {about.targets_days}: rarefault renew
--offline. Snapshot and timestamp after {about.online_days} days on a server (rarefault renew, daily by cron), and after
{about.stick_days} days on a USB stick. A station whose repository has expired keeps its model and takes no new one."""


def _ring(folders: tuple[Path, ...], passphrase_file: Path | None) -> "KeyRing":
    from augment.updates.keys import KeyRing

    return KeyRing(folders, _secret(passphrase_file))


def _secret(passphrase_file: Path | None) -> "Secret":
    """Return the function that gives passphrases and PINs: from the file, the environment, or by asking."""
    from augment.updates.keys import NEW_KEY, PIN_OF

    def ask(what: str) -> str:
        is_pin = what.startswith(PIN_OF)
        variable = PIN if is_pin else PASSPHRASE
        given = find_secret(None if is_pin else passphrase_file, variable, "--passphrase-file")
        if given is not None:
            return given.partition("\n")[0]
        if not sys.stdin or not sys.stdin.isatty():  # as under cron
            raise InputError(f"there is no terminal to ask for {what}; set {variable} in the environment")
        return str(click.prompt(what, hide_input=True, confirmation_prompt=what.startswith(NEW_KEY), err=True))

    return ask


@click.group(cls=Group)
def keys() -> None:
    """Make, replace, revoke and list the keys that sign a repository."""


@keys.command("create")
@click.argument("folder", type=folder_type)
@click.option("--groups", default="one,three,all", show_default=True, help="The groups of stations, first step first.")
@click.option("--token", "tokens", multiple=True, metavar="ROLE=hsm:NUMBER?label=LABEL", help="A key that is in a "
              "PKCS#11 token already; PYKCS11LIB names the token's library.")  # fmt: skip
@passphrase_option
def create_command(folder: Path, groups: str, tokens: tuple[str, ...], passphrase_file: Path | None) -> None:
    """Make the keys of a repository in FOLDER; those that are there are kept."""
    from augment.updates.keys import create_keys
    from augment.updates.repository import About

    pairs = dict(_pair(token) for token in tokens)
    made = create_keys(_ring((folder,), passphrase_file), _names(groups), pairs)
    for card in made:
        click.echo(f"{card.name:16} {card.key.keyid[:12]}  {card.where}")
    if not made:
        click.echo(f"{folder} holds every key already; nothing was made")
    click.echo("\n" + ADVICE.format(about=About()))


@keys.command("show")
@repository_option
@keys_option
def show_command(repository: Path, keys: tuple[Path, ...]) -> None:
    """List the keys of each role, where they are, and when the role's metadata expires."""
    from augment.updates.repository import load_repository

    opened = load_repository(repository, _ring(keys, None))
    cards = {card.key.keyid: card for card in opened.ring.cards()}
    for role, expires in opened.expiries().items():
        wanted = opened.owner(role).get_delegated_role(role)
        click.echo(f"{role}: {wanted.threshold} of {len(wanted.keyids)}, expires {expires:%Y-%m-%d}")
        for keyid in wanted.keyids:
            place = f"{cards[keyid].name} in {cards[keyid].folder}" if keyid in cards else "not at hand"
            click.echo(f"  {keyid[:12]}  {place}")


@keys.command("add-group")
@click.argument("name")
@repository_option
@keys_option
@click.option("--before", default="all", show_default=True, help="The group that is offered a release after it.")
@passphrase_option
def add_group_command(
    name: str, repository: Path, keys: tuple[Path, ...], before: str, passphrase_file: Path | None
) -> None:
    """Make a key for a new group of stations, and let the repository know the group; needs the key of targets."""
    from augment.updates.keys import GROUP_ROLE
    from augment.updates.repository import open_repository

    (name,) = _names(name)
    ring = _ring(keys, passphrase_file)
    with open_repository(repository, ring) as opened:
        card = ring.create(GROUP_ROLE + name)
        opened.add_group(name, card.key, before)
    click.echo(
        f"{card.name} ({card.key.keyid[:12]}) signs for the group {name}; groups: {', '.join(opened.about.groups)}"
    )


def _replace_command(name: str, stolen: bool, text: str) -> None:
    @keys.command(name, help=text)
    @click.argument("key", metavar="KEY")
    @repository_option
    @keys_option
    @click.option("--token", metavar="hsm:NUMBER?label=LABEL", help="Take this key of a token for the new one.")
    @passphrase_option
    def command(
        key: str, repository: Path, keys: tuple[Path, ...], token: str | None, passphrase_file: Path | None
    ) -> None:
        from augment.updates.repository import open_repository

        ring = _ring(keys, passphrase_file)
        with open_repository(repository, ring) as opened:
            role, old = opened.find_key(key)
            with ring.replacement(role, token) as card:
                opened.replace_key(role, old, card.key, stolen)
                opened.commit()
        click.echo(f"{card.name} ({card.key.keyid[:12]}) in {card.folder} signs for {role} instead of {old[:12]}")
        click.echo("Destroy the old key; stations follow by themselves at their next update.")


_replace_command("rotate", False, "Make a new key in the place of KEY, a name such as targets-1 or the start of an id.")
_replace_command("revoke", True, "Replace KEY, which was lost or stolen: it signs nothing more, not even once.")


@click.command(cls=Command)
@click.argument("bundle", type=click.Path(path_type=Path, file_okay=False, exists=True))
@repository_option
@keys_option
@group_option
@force_option
@click.option(
    "--run",
    "run",
    type=folder_type,
    help="The run whose test pictures are shown to this bundle and to the serving one; needed unless it is the first.",
)
@click.option("--groups", default="one,three,all", show_default=True, help="The groups of a repository that is new.")
@click.option("--require-evidence", is_flag=True, help="Of a repository that is new: refuse bundles whose heat map is "
              "not evidence.")  # fmt: skip
@passphrase_option
def publish(
    bundle: Path, repository: Path, keys: tuple[Path, ...], group: str, forced: str | None, run: Path | None,
    groups: str, require_evidence: bool, passphrase_file: Path | None,
) -> None:  # fmt: skip
    """Check BUNDLE, sign it and offer it to a group of stations; makes the repository where there is none."""
    from augment.updates.publish import publish as publish_bundle
    from augment.updates.repository import METADATA, About, create_repository, is_repository, open_repository

    ring = _ring(keys, passphrase_file)
    if not is_repository(repository):
        about = About(groups=_names(groups), require_evidence=require_evidence)
        create_repository(repository, ring, about)
        root = repository / METADATA / "1.root.json"
        click.echo(f"{repository} made. Stations trust it by {root}: edge-station trust")
        click.echo(f"Its SHA-256, for them to compare: {sha256_bytes(root.read_bytes())}")
    with open_repository(repository, ring) as opened:
        done = publish_bundle(opened, bundle, group, forced, _comparison(run))
    for note in done.notes:
        click.echo(printable(f"note: {note}"))
    _tell_release(opened, done.release.number, group)


@click.command(cls=Command)
@repository_option
@keys_option
@group_option
@click.option("--fleet", "fleet", type=folder_type, help="Where the stations' reports are kept (rarefault fleet).")
@force_option
@passphrase_option
def promote(
    repository: Path, keys: tuple[Path, ...], group: str, fleet: Path | None, forced: str | None,
    passphrase_file: Path | None,
) -> None:  # fmt: skip
    """Offer what a group of stations is offered to the next group, once every station of it has committed it."""
    from augment.updates.repository import open_repository

    with open_repository(repository, _ring(keys, passphrase_file)) as opened:
        if not forced:
            _check_committed(opened, group, fleet)
        release = opened.promote(group, forced)
    _tell_release(opened, release.number, release.group)


@click.command(cls=Command)
@repository_option
@click.option("--out", type=folder_type, required=True, help="A folder on the stick.")
@keys_option
@passphrase_option
def stick(repository: Path, out: Path, keys: tuple[Path, ...], passphrase_file: Path | None) -> None:
    """Copy what stations need of a repository to a USB stick, whose metadata expires later than the server's."""
    from augment.updates.repository import open_repository
    from augment.updates.stick import write_stick

    with open_repository(repository, _ring(keys, passphrase_file)) as opened:
        size = write_stick(opened, out)
    until = utc_now() + timedelta(days=opened.about.stick_days)
    click.echo(
        f"{out}: {size / 1e6:.1f} MB, good until {until:%Y-%m-%d}. At the station: edge-station import-update DIR"
    )


@click.command(cls=Command)
@repository_option
@click.option("--offline", is_flag=True, help="Sign root, targets and groups anew as well; needs their keys.")
@keys_option
@passphrase_option
def renew(repository: Path, offline: bool, keys: tuple[Path, ...], passphrase_file: Path | None) -> None:
    """Sign snapshot and timestamp anew, so that stations know that nothing is withheld; run it every day by cron."""
    from augment.updates.repository import open_repository

    with open_repository(repository, _ring(keys, passphrase_file)) as opened:
        opened.touch(*(opened.parts if offline else ("timestamp",)))
    expiries = opened.expiries()
    click.echo(f"{repository}: stations may wait until {expiries['timestamp']:%Y-%m-%d %H:%M} UTC for the next time")
    offline_roles = {role: at for role, at in expiries.items() if role not in ("snapshot", "timestamp")}
    for role, expires in offline_roles.items():
        if expires - utc_now() < SOON:
            click.echo(f"{role} expires on {expires:%Y-%m-%d}; sign it anew: rarefault renew --offline", err=True)


def _comparison(run: Path | None) -> "Compare | None":
    """Return the function that compares two bundles on the test pictures of `run`."""
    if run is None:
        return None
    from augment.updates.compare_bundles import compare_bundles

    return lambda serving, new: compare_bundles(serving, new, run).worse


def _check_committed(repository: "Repository", group: str, fleet: Path | None) -> None:
    """Raise InputError unless every station of the group has committed what it is offered."""
    from augment.updates.fleet import Fleet

    release = repository.releases().get(group)
    if release is None:
        return  # the repository says it better
    why = Fleet(fleet).why_not_promote(group, release.number) if fleet else ["nobody knows; give --fleet DIR"]
    if why:
        raise InputError(f"{group} has not proven release {release.number}: {'; '.join(why)}. Or give --force REASON")


def _tell_release(repository: "Repository", number: int, group: str) -> None:
    release = repository.releases()[group]
    forced = f", forced: {release.forced}" if release.forced else ""
    click.echo(
        printable(
            f"release {number}: {release.name} {release.version} ({release.bundle[:12]}) for the group {group}{forced}"
        )
    )


def _names(given: str) -> tuple[str, ...]:
    from edge_runtime.settings_reader import check_name

    names = tuple(name.strip() for name in given.split(","))
    for name in names:
        check_name("the group of stations", name)
    if len(set(names)) < len(names):
        raise InputError(f"the groups are {given}, expected each once")
    return names


def _pair(given: str) -> tuple[str, str]:
    role, _, where = given.partition("=")
    return role, where


COMMANDS = (keys, publish, promote, stick, renew)
