#!/usr/bin/env python3
"""Writes what the README's example prints below it; with --check, tells whether that is still so."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"
EXAMPLE = re.compile(
    r"(<!-- made by: python docs/examples.py -->\n```python\n(.*?)```\n\n```text\n)(.*?)```", re.DOTALL
)


def printed(code: str) -> str:
    """What the code prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, README.name, "exec"), {})
    return out.getvalue()


def main(arguments: list[str]) -> int:
    """1 where the text is stale and was only to be checked."""
    text = README.read_text(encoding="utf-8")
    now = EXAMPLE.sub(lambda found: f"{found[1]}{printed(found[2])}```", text)
    if now == text:
        return 0
    if "--check" in arguments:
        sys.stderr.write("The example in README.md prints something else now: python docs/examples.py\n")
        return 1
    README.write_text(now, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
