"""The command line: commands, the jobs behind them, and what they print."""

from clvml.cli.commands import cli
from clvml.cli.process import main

__all__ = ["cli", "main"]
