"""The command line in this process."""

import pytest

from clvml.cli import main


@pytest.fixture
def clvml(capfd, monkeypatch):
    """Run a command in this process: (exit code, standard output, standard error)."""
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")

    def run(*arguments):
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(a) for a in arguments])
        return left.value.code, *capfd.readouterr()

    return run
