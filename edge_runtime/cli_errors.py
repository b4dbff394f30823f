"""What the commands share: an expected failure becomes one sentence and exit code 1; a bug keeps its traceback."""

import errno
from pathlib import Path
from typing import Any

import click

from .bundle.errors import RarefaultError
from .text_files import printable

FULL = (errno.ENOSPC, errno.EDQUOT)  # the disk, or what its owner may use of it
DENIED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)  # a place where nobody may write, or read
config_option = click.option(
    "--config", type=click.Path(path_type=Path), default="station.toml", show_default=True, help="The settings."
)


class Command(click.Command):
    """A command whose RarefaultErrors are shown as one sentence."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(context)
        except RarefaultError as error:
            raise click.ClickException(_shown(error)) from error
        except OSError as error:
            if error.errno in DENIED and error.filename:
                raise click.ClickException(
                    f"{error.filename} cannot be read or written ({error.strerror}); give another place, or change who "
                    "may use this one"
                ) from error
            if error.errno not in FULL:
                raise
            where = f" ({error.filename})" if error.filename else ""
            raise click.ClickException(
                f"the disk is full{where}; make room and run the same command again: what is whole was kept"
            ) from error


class Group(Command, click.Group):
    """A group of such commands."""


def _shown(error: RarefaultError) -> str:
    """Return the sentence without what a terminal might obey: it may quote a file, a server or another station."""
    return "\n".join(map(printable, str(error).split("\n")))
