"""Execute every notebook of this folder, each in a process and a working directory of its own; fail on the first error of any.

The notebooks are stored without outputs and stay so; `--keep FOLDER` writes executed copies there.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

HERE = Path(__file__).resolve().parent


def check_stored(path: Path, notebook: nbformat.NotebookNode) -> None:
    """A notebook is valid and carries no output, which would go stale."""
    nbformat.validate(notebook)
    if any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells):
        sys.exit(
            f"{path.name} is stored with outputs. Clear them: the text is the same on every machine, outputs are not."
        )


def execute(path: Path, keep: Path | None) -> None:
    """Run all cells with this interpreter; errors end the run."""
    notebook = nbformat.read(path, as_version=4)
    check_stored(path, notebook)
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": folder}})
        try:
            client.execute()
        except CellExecutionError as error:
            sys.exit(f"{path.name} failed:\n{error}")
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, keep / path.name)
    print(f"{path.name}: {len(notebook.cells)} cells, {time.perf_counter() - begun:.0f} s")


def main() -> None:
    """All notebooks, in order of name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="folder for executed copies")
    keep = parser.parse_args().keep
    found = sorted(HERE.glob("*.ipynb"))
    if not found:
        sys.exit(f"There is no notebook in {HERE}.")
    for path in found:
        execute(path, keep)


if __name__ == "__main__":
    main()
