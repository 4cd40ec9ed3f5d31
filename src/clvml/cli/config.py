"""clv.toml: every option of the command line under its own name, with - or _. The command line wins.

A key that no command knows is refused, as a misspelt one would otherwise go unnoticed.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import click

from clvml.errors import OptionError, did_you_mean

__all__ = ["read_defaults"]


_OWN_READER = ("treatments", "treatment", "plan")
"""Tables that the audience planner reads itself."""


def read_defaults(path: Path, commands: dict[str, click.Command]) -> dict[str, dict[str, Any]]:
    """{command: {parameter: value}} for click's default map.

    Top-level keys serve every command that has the option, a table such as [train] only its own. Raises OptionError
    for a file that is no TOML, a table that is no command, and a key that is no option.
    """
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(f"{path} cannot be read: {error.strerror}.") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise OptionError(f"{path} is no TOML: {error}.") from None
    options = {name: _options(command) for name, command in commands.items()}
    ours = {key: value for key, value in told.items() if key not in _OWN_READER}
    shared = {key: value for key, value in ours.items() if not isinstance(value, dict)}
    tables = {key: value for key, value in ours.items() if isinstance(value, dict)}
    _refuse(path, shared, {name for known in options.values() for name in known}, "no command has an option")
    _refuse(path, tables, set(commands), "there is no command")
    for name, table in tables.items():
        _refuse(path, table, set(options[name]), f"{name} has no option")
    return {name: _under(shared | tables.get(name, {}), known) for name, known in options.items()}


def _options(command: click.Command) -> dict[str, click.Option]:
    """By the name that is typed, without its dashes."""
    typed = [(option, text) for option in command.params if isinstance(option, click.Option) for text in option.opts]
    return {text.removeprefix("--"): option for option, text in typed if text.startswith("--")}


def _under(told: dict[str, Any], known: dict[str, click.Option]) -> dict[str, Any]:
    """Under the names of click's parameters; one value for an option that may be repeated is a list of it."""
    values = {}
    for key, value in told.items():
        option = known.get(key.replace("_", "-"))
        if option is not None:
            values[str(option.name)] = [value] if option.multiple and not isinstance(value, list) else value
    return values


def _refuse(path: Path, told: dict[str, Any], known: set[str], complaint: str) -> None:
    for key in told:
        if key.replace("_", "-") not in known:
            raise OptionError(f"{path}: {complaint} '{key}'.{did_you_mean(key.replace('_', '-'), sorted(known))}")
