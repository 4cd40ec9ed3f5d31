"""The command line: commands, the jobs behind them, and what they print."""

from clvml.cli.commands import cli, main

__all__ = ["cli", "main"]
