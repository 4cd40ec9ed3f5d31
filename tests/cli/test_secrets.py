"""No password is printed, whatever address it stands in and whoever says so."""

import warnings

import click
import pytest

from clvml.cli.jobs.models import TrainJob, _where
from clvml.errors import ClvError, ClvWarning, ModelError
from clvml.tracking.record import RunInfo

ADDRESSES = (
    "postgresql://anna:s3cret@db.shop/mlflow",
    "POSTGRESQL+psycopg2://anna:s3cret@db.shop/mlflow",
    "mysql+pymysql://anna:s3cret@db.shop:3306/mlflow",
    "https://anna:s3cret@mlflow.shop/path",
    "s3://key:s3cret@bucket/log.parquet",
    "postgresql://db.shop/mlflow?user=anna&password=s3cret",
    "https://shop/log.csv?token=s3cret",
)


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("kind", [ClvError, ModelError, RuntimeError, click.UsageError])
@pytest.mark.parametrize("options", [(), ("--verbose",)])
def test_no_error_tells_it(clvml, monkeypatch, address, kind, options):
    def fail(*_):
        raise kind(f"cannot reach {address} now")

    monkeypatch.setattr("clvml.cli.jobs.models.predict_job", fail)
    job = ("predict", "log.csv", "--as-of", "1997-09-30", "--model", "m", "--out", "x.csv", "--tracking-uri", address)
    code, out, err = clvml(*job, *options)
    assert code in (1, 2)
    assert "cannot reach" in err
    assert "s3cret" not in out + err


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_note_and_no_result_tells_it(clvml, monkeypatch, address):
    run = RunInfo("1", "clvml", "models:/1", None, None, "0", address)
    assert "s3cret" not in "\n".join(_where(run, "", TrainJob("1997-09-30"), tested=True))

    def note(_log, job):
        from clvml.cli.terminal import Terminal

        with Terminal(1).stage("x"):
            warnings.warn(f"{address} is slow", ClvWarning, stacklevel=1)
        return "done"

    monkeypatch.setattr("clvml.cli.jobs.models.predict_job", note)
    code, out, err = clvml("predict", "log.csv", "--as-of", "1997-09-30", "--model", "m", "--out", "x.csv")
    assert (code, "Note: " in err, "s3cret" in out + err) == (0, True, False)
