"""The main job on real data, start to end: CDNOW's orders, every customer scored, the good ones at risk flagged."""

from __future__ import annotations

import time
from pathlib import Path

import click

from clvml.cli.terminal import heading
from clvml.files import check_new_folder, claim_folder

__all__ = ["run_demo"]

_AS_OF, _HORIZON, _NAME = "1998-06-30", "39w", "clv"
_FILES = ("cdnow.csv", "mlartifacts", "mlflow.db", "model", "scores.parquet")
"""What it leaves in its folder."""


def run_demo(out: Path, *, verbose: bool, quiet: bool) -> None:
    """Check, backtest, train, record, register, score; everything lands in the folder `out`. Prints as it goes."""
    from clvml.cli.jobs.models import PredictJob, TrainJob, predict_job, train_job
    from clvml.cli.terminal import Terminal
    from clvml.orders.datasets import load_cdnow
    from clvml.orders.transactions import Transactions

    begun = time.perf_counter()
    claim_folder(check_new_folder(out, "--out"), _FILES)
    source, scores = out / "cdnow.csv", out / "scores.parquet"
    with Terminal(1, verbose=verbose, quiet=quiet).stage("write the CDNOW order log"):
        load_cdnow().to_csv(source, index=False)
    store = f"sqlite:///{(out / 'mlflow.db').resolve().as_posix()}"
    job = TrainJob(
        _AS_OF, _HORIZON, register=_NAME, out=out / "model", tracking_uri=store, verbose=verbose, quiet=quiet
    )
    trained = train_job(Transactions(str(source)), job)
    click.echo(trained.text)
    model = f"models:/{_NAME}@champion"
    ask = PredictJob(_AS_OF, model, scores, tracking_uri=store, verbose=verbose, quiet=quiet)
    click.echo(predict_job(lambda: Transactions(str(source)), ask))
    click.echo(heading(f"Done in {time.perf_counter() - begun:.0f} s. What to type next"))
    click.echo("\n".join(f"{what}:\n  {command}" for what, command in _next_steps(source, out)))


def _next_steps(source: Path, out: Path) -> list[tuple[str, str]]:
    """What it is for, and the command."""
    model = out / "model"
    return [
        ("What is unusual about the log", f"clvml check {source}"),
        ("The published split of this log", f"clvml backtest {source} --cut 1997-09-30 --horizon 39w"),
        (
            "Scores for another horizon",
            f"clvml predict {source} --as-of {_AS_OF} --horizon 12w \\\n    --model {model} --out {out / 'scores.csv'}",
        ),
        ("The run, in a browser", f"mlflow ui --backend-store-uri sqlite:///{(out / 'mlflow.db').as_posix()}"),
        (
            "Your own log",
            "clvml train YOUR.csv --customer C --date D --amount A --as-of DAY --horizon 12m --register clv",
        ),
    ]
