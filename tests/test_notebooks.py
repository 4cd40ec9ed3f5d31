"""How the stored outputs of notebooks are compared with new ones: words exactly, numbers nearly."""

import importlib.util
from pathlib import Path

import pytest

HOME = Path(__file__).parents[1] / "notebooks"
spec = importlib.util.spec_from_file_location("execute_notebooks", HOME / "execute.py")
execute = importlib.util.module_from_spec(spec)
spec.loader.exec_module(execute)


@pytest.mark.parametrize(
    ("stored", "new"),
    [
        ("1,234.5 customers", "1,234.5 customers"),
        ("value 1,000", "value 1,015"),  # 2%
        ("bias +0.01", "bias +0.02"),  # one in the last digit
        ("bias -0%", "bias 0%"),
        ("a      12\nb       3", "a  12\nb  3"),  # columns may be narrower
        ("p 1e-05", "p 1.01e-05"),
        ("--- 3", "------- 3"),
    ],
)
def test_what_says_the_same(stored, new):
    assert execute.same(stored, new)


@pytest.mark.parametrize(
    ("stored", "new"),
    [
        ("value 1,000", "value 1,050"),
        ("it paid: 3", "it did not pay: 3"),
        ("3 customers", "3 customers, 4 orders"),
        ("0.52", "0.55"),
        ("gain +5.0", "gain -5.0"),
        ("better", "worse"),
        ("model BG/NBD-2", "model BG/NBD-5"),
    ],
)
def test_what_says_something_else(stored, new):
    assert not execute.same(stored, new)


def test_a_cell_that_says_less_is_found():
    import nbformat.v4 as v4

    def notebook(*texts):
        outputs = [v4.new_output("stream", name="stdout", text=text) for text in texts]
        return v4.new_notebook(cells=[v4.new_code_cell("f()", outputs=outputs)])

    assert execute.differences(notebook("a 1", "b"), notebook("a 1", "b")) == []
    assert execute.differences(notebook("a 1", "b\n"), notebook("a 1b\n")) == []  # printed in one piece or in two
    assert "cell 0" in execute.differences(notebook("a 1", "b"), notebook("a 1"))[0]
    assert "+c" in execute.differences(notebook("b"), notebook("c"))[0]


@pytest.mark.parametrize("path", sorted(HOME.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_are_stored_with_their_outputs(path):
    import nbformat

    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    assert outputs
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
