"""A plan as a TOML file: the table [plan], its treatments as [[plan.treatments]] or [[treatments]]."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

from clvml.campaigns.treatments import Plan
from clvml.errors import OptionError, did_you_mean
from clvml.files import read_toml

__all__ = ["example_plan", "read_plan"]

_SEE = "`clvml audience --example` prints a plan to start from."


def example_plan() -> str:
    """The text of a plan to start from."""
    return resources.files("clvml.campaigns").joinpath("example.toml").read_text(encoding="utf-8")


def read_plan(path: str | os.PathLike[str]) -> Plan:
    """The plan of a TOML file.

    Parameters
    ----------
    path : path of the file
        Its table [plan], and the treatments as [[plan.treatments]] or [[treatments]]; all else in it is left alone.

    Returns
    -------
    Plan

    Raises
    ------
    OptionError
        Where the file cannot be read or is no plan.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from clvml import read_plan
    >>> from clvml.campaigns.plan_file import example_plan
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "clv.toml")
    ...     _ = path.write_text(example_plan(), encoding="utf-8")
    ...     read_plan(path).name
    'autumn'
    """
    payload = read_toml(Path(path), f"The plan {path}", f" {_SEE}")
    if "plan" not in payload:
        raise OptionError(f"{path} has no table [plan].{did_you_mean('plan', payload)} {_SEE}")
    plan, beside = payload["plan"], payload.get("treatments", [])
    if not isinstance(plan, dict):
        raise OptionError(f"{path}: plan = {plan!r} is no table. Begin it with [plan]. {_SEE}")
    own = plan.get("treatments", [])
    for rows, head in ((own, "[[plan.treatments]]"), (beside, "[[treatments]]")):
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise OptionError(f"{path}: each treatment is a table of its own. Begin it with {head}. {_SEE}")
    if own and beside:
        raise OptionError(
            f"{path} has {len(own)} treatments under [[plan.treatments]] and {len(beside)} under [[treatments]]. "
            "Put them in one place."
        )
    try:
        return Plan.from_dict(plan | {"treatments": own or beside})
    except OptionError as error:
        raise OptionError(f"{path}: {error}") from None
