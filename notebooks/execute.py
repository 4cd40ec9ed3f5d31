"""Execute every notebook of this folder and compare what it says with the outputs stored in it, so that they stay true.

Each runs in a process and a working directory of its own. Compared are the texts: words must be the same, numbers may
differ by 2% or by one in the last digit written, for the last bits of linear algebra differ between machines. Pictures
must be there; what is written to standard error is not stored.

python notebooks/execute.py            compare
python notebooks/execute.py --write    store the outputs anew: after a change that is meant
"""

from __future__ import annotations

import argparse
import asyncio
import difflib
import os
import re
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

HERE = Path(__file__).resolve().parent
TOLERANCE = 0.02
NUMBER = re.compile(r"(?<![\w.])[-+−]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")


def execute(path: Path) -> nbformat.NotebookNode:
    """Run all cells with this interpreter; an error ends the run."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as wires:
        manager = AsyncKernelManager(kernel_name="python3", connection_file=str(Path(wires, "kernel.json")))
        if os.name != "nt":
            manager.transport, manager.ip = "ipc", str(Path(wires, "kernel"))  # nobody else can reach it
        client = NotebookClient(notebook, km=manager, timeout=600, resources={"metadata": {"path": folder}})
        asyncio.run(execute_and_stop(client, manager))
    for cell in notebook.cells:
        cell.metadata = nbformat.NotebookNode()
        if cell.cell_type == "code":
            cell.outputs = [tidy(o) for o in cell.outputs if o.get("name") != "stderr"]
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


async def execute_and_stop(client: NotebookClient, manager: AsyncKernelManager) -> None:
    """Run all cells, and end the kernel whatever comes."""
    try:
        await client.async_execute()
    finally:
        await manager.shutdown_kernel(now=True)


def tidy(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """An output without metadata of the machine."""
    if "metadata" in output:
        output.metadata = nbformat.NotebookNode()
    return output


def texts(cell: nbformat.NotebookNode) -> list[str]:
    """What a cell has said: what it printed, in one piece however it came, then each result; of pictures that they are
    there.
    """
    outputs = cell.get("outputs", ())
    printed = "".join(output.text for output in outputs if output.output_type == "stream")
    results = [output.get("data", {}) for output in outputs if output.output_type != "stream"]
    return [printed, *("(a picture)" if "image/png" in data else data.get("text/plain", "") for data in results)]


def same(stored: str, new: str) -> bool:
    """Whether two texts say the same: equal words, numbers that are near."""
    before, after = NUMBER.findall(stored), NUMBER.findall(new)
    if len(before) != len(after) or words(stored) != words(new):
        return False
    return all(near(a, b) for a, b in zip(before, after, strict=True))


def words(text: str) -> list[str]:
    """The words of a text without its numbers; columns may be wider or narrower."""
    return re.sub(r"[-─]{2,}", " ", NUMBER.sub(" 0 ", text)).split()


def near(stored: str, new: str) -> bool:
    """Whether two numbers are equal within the tolerance or one in the last digit."""
    a, b = (float(v.replace(",", "").replace("−", "-")) for v in (stored, new))
    digits = min(len(v.partition("e")[0].partition(".")[2]) for v in (stored, new))
    return abs(a - b) <= max(TOLERANCE * max(abs(a), abs(b)), 1.01 * 10.0**-digits)


def differences(stored: nbformat.NotebookNode, new: nbformat.NotebookNode) -> list[str]:
    """What the outputs say otherwise than before, in the words of a reader."""
    found = []
    for number, (before, after) in enumerate(zip(stored.cells, new.cells, strict=True)):
        old, now = texts(before), texts(after)
        if len(old) != len(now) or not all(map(same, old, now)):
            lines = difflib.unified_diff("\n".join(old).splitlines(), "\n".join(now).splitlines(), "stored", "now", n=0)
            found.append(f"cell {number}:\n" + "\n".join([*lines][:20]))
    return found


def run(path: Path, *, write: bool) -> str:
    """Execute one notebook; what is wrong with it, or nothing."""
    begun = time.perf_counter()
    try:
        new = execute(path)
    except CellExecutionError as error:
        return f"{path.name} failed:\n{error}"
    print(f"{path.name}: {len(new.cells)} cells, {time.perf_counter() - begun:.0f} s", flush=True)
    if write:
        nbformat.write(new, path)
        return ""
    found = differences(nbformat.read(path, as_version=4), new)
    if found:
        again = "Store them anew with: python notebooks/execute.py --write"
        return "\n".join([f"{path.name} says something else than what is stored in it. {again}", *found])
    return ""


def main() -> None:
    """All notebooks, or those named, two at a time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="such as first_fit; all unless given")
    parser.add_argument("--write", action="store_true", help="store the outputs anew")
    asked = parser.parse_args()
    paths = [HERE / f"{name.removesuffix('.ipynb')}.ipynb" for name in asked.names] or sorted(HERE.glob("*.ipynb"))
    if not paths:
        sys.exit(f"There is no notebook in {HERE}.")
    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        wrong = [text for text in pool.map(lambda path: run(path, write=asked.write), paths) if text]
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
