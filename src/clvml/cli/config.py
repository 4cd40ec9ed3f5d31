"""clv.toml: every option of the command line under its own name, with - or _. The command line wins.

A key that no command knows is refused, as a misspelt one would otherwise go unnoticed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from clvml.errors import OptionError, did_you_mean
from clvml.files import read_toml

__all__ = ["read_defaults"]


_OWN_READER = ("treatments", "treatment", "plan")
"""Tables that the audience planner reads itself."""


def read_defaults(path: Path, commands: dict[str, click.Command]) -> dict[str, dict[str, Any]]:
    """{command: {parameter: value}} for click's default map, one level deeper for a group of commands.

    Top-level keys serve every command that has the option, a table such as [train] or [insights.tiers] only its own.
    Raises OptionError for a file that is no TOML, a table that is no command, and a key that is no option.
    """
    given = read_toml(path, str(path))
    ours = {key: value for key, value in given.items() if key not in _OWN_READER}
    return _defaults(path, ours, commands, {}, "no command has an option")


def _defaults(
    path: Path, given: dict[str, Any], commands: Mapping[str, click.Command], inherited: dict[str, Any], complaint: str
) -> dict[str, dict[str, Any]]:
    """The default map of these commands, from a table of the file and the keys above it."""
    own = {key: value for key, value in given.items() if not isinstance(value, dict)}
    tables = {key: value for key, value in given.items() if isinstance(value, dict)}
    _refuse(path, own, {name for command in commands.values() for name in _all_options(command)}, complaint)
    _refuse(path, tables, set(commands), "there is no command")
    shared, found = inherited | own, {}
    for name, command in commands.items():
        table = tables.get(name, {})
        if isinstance(command, click.Group):
            found[name] = _defaults(path, table, command.commands, shared, f"{name} has no option")
        else:
            known = _options(command)
            _refuse(path, table, set(known), f"{name} has no option")
            found[name] = _under(shared | table, known)
    return found


def _all_options(command: click.Command) -> set[str]:
    """The options of a command, or of all commands of a group."""
    if isinstance(command, click.Group):
        return {name for each in command.commands.values() for name in _all_options(each)}
    return set(_options(command))


def _options(command: click.Command) -> dict[str, click.Option]:
    """By the name that is typed, without its dashes. A hidden one is there to say what is meant instead of it."""
    options = [option for option in command.params if isinstance(option, click.Option) and not option.hidden]
    typed = [(option, text) for option in options for text in option.opts]
    return {text.removeprefix("--"): option for option, text in typed if text.startswith("--")}


def _under(given: dict[str, Any], known: dict[str, click.Option]) -> dict[str, Any]:
    """Under the names of click's parameters; one value for an option that may be repeated is a list of it."""
    values = {}
    for key, value in given.items():
        option = known.get(key.replace("_", "-"))
        if option is not None:
            values[str(option.name)] = [value] if option.multiple and not isinstance(value, list) else value
    return values


def _refuse(path: Path, given: dict[str, Any], known: set[str], complaint: str) -> None:
    for key in given:
        if key.replace("_", "-") not in known:
            raise OptionError(f"{path}: {complaint} '{key}'.{did_you_mean(key.replace('_', '-'), sorted(known))}")
