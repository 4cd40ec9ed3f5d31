"""clv.toml: every option of the command line under its own name. The command line wins; a key that no command knows is refused."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import click

from clvml.errors import OptionError, did_you_mean

__all__ = ["read_defaults"]


def read_defaults(path: Path, commands: dict[str, click.Command]) -> dict[str, dict[str, Any]]:
    """{command: {option: value}} for click's default map. Top-level keys serve every command that has the option; a table [train] only its own.

    Raises OptionError for a file that is no TOML, a table that is no command, and a key that is no option.
    """
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise OptionError(f"{path} cannot be read as TOML: {error}") from None
    options = {name: _options(command) for name, command in commands.items()}
    every = {option for names in options.values() for option in names}
    shared = {k: v for k, v in told.items() if not isinstance(v, dict)}
    _refuse(path, shared, every, "no command has an option")
    tables = {k: v for k, v in told.items() if isinstance(v, dict) and k not in _OWN_READER}
    _refuse(path, tables, set(commands), "there is no command")
    for name, table in tables.items():
        _refuse(path, table, options[name], f"[{name}] has no option")
    return {name: _under(shared | tables.get(name, {}), known) for name, known in options.items()}


_OWN_READER = ("treatments", "treatment", "plan")
"""Tables that the audience planner reads itself."""


def _options(command: click.Command) -> set[str]:
    return {p.name for p in command.params if isinstance(p, click.Option) and p.name}


def _under(told: dict[str, Any], known: set[str]) -> dict[str, Any]:
    return {k.replace("-", "_"): v for k, v in told.items() if k.replace("-", "_") in known}


def _refuse(path: Path, told: dict[str, Any], known: set[str], complaint: str) -> None:
    for key in told:
        if key.replace("-", "_") not in known:
            raise OptionError(f"{path}: {complaint} '{key}'.{did_you_mean(key.replace('-', '_'), sorted(known))}")
