"""Progress is shown to those who wait in a notebook, and to nobody else."""

import sys
import types

import pytest

from clvml.progress import Progress, in_notebook


@pytest.fixture
def notebook(monkeypatch):
    """What a kernel makes of a process."""
    shell = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))


def test_elsewhere_nothing_is_shown(capsys):
    progress = Progress("fit", 2)
    progress.step()
    progress.step()
    assert not in_notebook()
    assert capsys.readouterr() == ("", "")


def test_a_notebook_sees_a_bar_until_the_work_is_done(notebook, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert in_notebook()
    progress = Progress("fit", 2)
    progress.step()
    progress.step()
    out, err = capsys.readouterr()
    assert out == ""
    assert "fit" in err
    assert "2/2" in err or "0/2" in err
    assert err.endswith("\r")  # the line is empty again


def test_a_shell_of_ipython_is_no_notebook(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: None))
    assert not in_notebook()
