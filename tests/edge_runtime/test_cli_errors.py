"""Expected failures of commands are one sentence; a bug keeps its traceback."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from edge_runtime.bundle.errors import InputError
from edge_runtime.cli_errors import Command, Group


@click.group(cls=Group)
def group() -> None:
    """A group whose commands fail."""


@group.command()
def expected() -> None:
    raise InputError("the file is empty; copy it again")


@group.command()
def bug() -> None:
    raise ZeroDivisionError


@click.command(cls=Command)
def alone() -> None:
    raise InputError("the file is empty; copy it again")


@pytest.mark.parametrize(("command", "arguments"), [(group, ["expected"]), (alone, [])])
def test_an_expected_failure_is_one_sentence_and_exit_code_1(command, arguments):
    done = CliRunner().invoke(command, arguments)
    assert (done.exit_code, done.output) == (1, "Error: the file is empty; copy it again\n")


def test_a_bug_keeps_its_traceback():
    assert isinstance(CliRunner().invoke(group, ["bug"]).exception, ZeroDivisionError)


@group.command()
@click.argument("place", type=click.Path(path_type=Path))
def writes(place: Path) -> None:
    place.mkdir(parents=True)


def test_a_place_where_nobody_may_write_is_named(tmp_path):
    (tmp_path / "file").touch()
    done = CliRunner().invoke(group, ["writes", str(tmp_path / "file" / "folder")])
    assert done.exit_code == 1
    assert f"{tmp_path}/file/folder cannot be read or written (Not a directory); give another place" in done.output
