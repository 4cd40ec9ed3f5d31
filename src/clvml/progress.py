"""Progress of long work, for those who wait in a notebook; the command line shows its own."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

__all__ = ["Progress", "in_notebook"]


def in_notebook() -> bool:
    """Whether this runs in the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


class Progress:
    """A bar in a notebook that moves with each step and is gone after the last; elsewhere nothing."""

    def __init__(self, name: str, steps: int) -> None:
        self._left = steps
        self._bar = _bar()(desc=name, total=steps, leave=False) if in_notebook() else None

    def step(self) -> None:
        """One step is done."""
        self._left -= 1
        if self._bar is not None:
            self._bar.update()
            if self._left == 0:
                self._bar.close()


def _bar() -> Any:
    """Tqdm's bar: a widget where there are any, else a line of text."""
    if importlib.util.find_spec("ipywidgets") is None:
        from tqdm import tqdm
    else:
        from tqdm.auto import tqdm
    return tqdm
