"""A repository on a USB stick: what the stations need of it, with a longer expiry than on a server."""

from pathlib import Path

from augment.updates.repository import METADATA, TARGETS, Repository
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.files import replace_file
from edge_runtime.updates.trusted_repository import release_path


def write_stick(repository: Repository, out: Path) -> int:
    """Write the repository's releases and their bundles to the folder `out`; return how many bytes lie there.

    Bundles that no group is offered stay away. The metadata comes after the files that it names, the timestamp last.
    The server's snapshot and timestamp are written first, newer than the stick's, so that a station may go back to the
    server after it was given the stick.
    """
    if out.resolve() == repository.folder.resolve():
        raise InputError(f"{out} is the repository itself; give the folder where the stick is")
    releases = repository.releases()
    if not releases:
        raise InputError("no group is offered anything yet; publish a bundle first")
    paths = [release_path(group) for group in releases]
    paths += [path for release in releases.values() for path in repository.bundle_files(release.bundle)]
    written = {repository.where(path): repository.read(path) for path in dict.fromkeys(paths)}
    for place in (*sorted((repository.folder / METADATA).glob("*.root.json")), *repository.listed_metadata()):
        written[place.relative_to(repository.folder)] = place.read_bytes()
    for name in (TARGETS, METADATA):
        (out / name).mkdir(parents=True, exist_ok=True)
    for relative, data in written.items():
        place = out / relative
        if not place.is_file() or place.read_bytes() != data:
            place.parent.mkdir(parents=True, exist_ok=True)
            replace_file(place, data)
    repository.write_stick(out)
    return sum(map(len, written.values()))
