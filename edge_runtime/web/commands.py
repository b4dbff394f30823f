"""`edge-station hash-password`: a line for the users file."""

import sys

import click

from ..cli_errors import Command
from ..settings_reader import check_name
from .accounts import hash_password


@click.command("hash-password", cls=Command)
@click.argument("name", default="NAME")
@click.option("--role", type=click.Choice(["viewer", "operator"]), default="operator", show_default=True)
def hash_password_command(name: str, role: str) -> None:
    """Ask for a password and print what to add to the page's users_file for the user NAME.

    Where nobody is asked, the password is read from standard input. It is shown nowhere, and never an argument.
    """
    check_name("a user", name)
    if sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    click.echo(f'[user."{name}"]\nrole = "{role}"\npassword = "{hash_password(password)}"')
