"""The commands: what each can be asked, and the job that it asks for. Options may stand in clv.toml."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from clvml import __version__
from clvml.cli.insights.commands import insights
from clvml.cli.options import (
    CONFIG,
    Commands,
    OutPath,
    column_options,
    log_options,
    open_log,
    redact_option,
    season_options,
    show_options,
    treating_options,
)
from clvml.cli.overlap import check_overlap
from clvml.errors import ClvError, OptionError
from clvml.horizon import as_date
from clvml.redaction import ids_are_hidden

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["cli"]

Job = TypeVar("Job", bound="DataclassInstance")

_SEED = click.IntRange(0, 2**32 - 1)
_STATE = click.option(
    "--state",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Keeps what the files of the log held, so that the next run reads new files only.",
)


_EPILOG = (
    "Start with: clvml demo. Exit codes: 0 done; 1 internal error; 2 the input or the options need mending; "
    "3 train: the champion is better and stays; monitor: a new model is due."
)


@click.group(
    cls=Commands, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="clvml")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help=f"TOML file of options. Default: {CONFIG} in this folder, where there is one.",
)
@click.pass_context
def cli(context: click.Context, config: Path | None) -> None:
    """What is this customer worth, and whom are we about to lose?

    SOURCE is a log of orders: a Parquet or CSV file, several of them, or a glob in quotes; or a data base with --table.
    """
    from clvml.cli.config import read_defaults

    path = config or Path(CONFIG)
    if config is not None or path.exists():
        context.default_map = read_defaults(path, {str(k): v for k, v in cli.commands.items()})


def _job(kind: type[Job], settings: dict[str, Any], **given: Any) -> Job:
    """The job that options describe, which are taken out of the settings: what it does not know describes the log."""
    return kind(**given, **{f.name: settings.pop(f.name) for f in fields(kind) if f.name in settings})


@cli.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("clvml-demo"),
    show_default=True,
    help="Folder for the log, the model, the run and the scores.",
)
@show_options
def demo(out: Path, verbose: bool, quiet: bool) -> None:
    """The main job on real data (CDNOW, 23,570 customers), start to end. Needs no server."""
    from clvml.cli.demo import run_demo

    run_demo(out, verbose=verbose, quiet=quiet)


@cli.command()
@log_options
@click.option("--as-of", help="The last day that may be known, YYYY-MM-DD: lines after it are counted.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@redact_option
def check(source: tuple[str, ...], as_of: str | None, as_json: bool, **columns: Any) -> None:
    """What is unusual about a log, and what is done about it."""
    import json

    from clvml.cli.printed import check_text

    log = open_log(source, columns)
    report = log.check(as_of)
    click.echo(json.dumps(report.to_dict(), indent=1, default=str) if as_json else check_text(report))
    if not report.customers:
        raise ClvError(report.why_empty())
    if as_of is not None:
        log.check_begun(as_date(as_of))


@cli.command()
@log_options
@click.option("--as-of", required=True, help="The last day that may be known, YYYY-MM-DD.")
@click.option("--horizon", default="12m", show_default=True, help="How far ahead: 273, 39w, 12m, 1y.")
@click.option("--discount-rate", type=float, default=0.10, show_default=True, help="Per year.")
@click.option("--seed", type=_SEED, default=0, show_default=True, help="Of the random draws in training.")
@click.option(
    "--sample",
    type=click.IntRange(1_000),
    default=100_000,
    show_default=True,
    help="Customers that backtest, corrections and classifier are given of a larger base; BTYD learns from all.",
)
@click.option(
    "--register", metavar="NAME", help="Register under this name; @champion if it is not worse than the present one."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Also write the model to a folder, such as models/clv.",
)
@click.option(
    "--backtest",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write the backtest as JSON, for `clvml report --backtest`.",
)
@treating_options
@season_options
@_STATE
@click.option("--experiment", default="clvml", show_default=True, help="MLflow experiment.")
@click.option("--tracking-uri", help="MLflow store. Default: MLFLOW_TRACKING_URI, else mlflow.db in this folder.")
@show_options
@click.pass_context
def train(context: click.Context, /, source: tuple[str, ...], **settings: Any) -> None:
    """Backtest, train, record in MLflow, and register. Exit code 3 where the champion stays."""
    from clvml.cli.jobs.models import TrainJob, train_job

    job = _job(TrainJob, settings)
    read = {"SOURCE": source, "--calendar": job.calendar, "--state": settings["state"]}
    check_overlap({"--out": job.out, "--backtest": job.backtest}, read)
    trained = train_job(open_log(source, settings), job)
    click.echo(trained.text)
    context.exit(0 if trained.promoted is not False else 3)


@cli.command()
@log_options
@click.option("--as-of", required=True, help="The last day that may be known, YYYY-MM-DD.")
@click.option(
    "--model",
    required=True,
    metavar="URI",
    help="models:/clv@champion, models:/clv/3, runs:/..., or the folder of a saved model.",
)
@click.option(
    "--out",
    required=True,
    type=OutPath(),
    help="scores.parquet, scores.csv, a folder, or a table: postgresql://user@host/db?table=scores (mariadb://, sqlite:///).",
)
@click.option("--horizon", help="How far ahead. Default: the model's own.")
@click.option("--history", type=click.Path(path_type=Path), metavar="DIR", help="Also keep them here, by day.")
@_STATE
@click.option("--tracking-uri", help="MLflow store. Default: MLFLOW_TRACKING_URI, else mlflow.db in this folder.")
@show_options
def predict(source: tuple[str, ...], **settings: Any) -> None:
    """Score every customer of a log with a trained model."""
    from clvml.cli.jobs.models import PredictJob, predict_job

    job = _job(PredictJob, settings)
    read = {"SOURCE": source, "--model": job.model, "--state": settings["state"]}
    if isinstance(job.out, Path):
        check_overlap({"--out": job.out}, read | {"--history": job.history})
    check_overlap({"--history": job.history}, read)
    if settings["engine"] == "spark":
        from clvml.cli.jobs.spark import predict_on_spark as predict_job
    click.echo(predict_job(lambda: open_log(source, settings), job))


def _no_as_of(context: click.Context, option: click.Parameter, value: str | None) -> None:
    """Say which option is meant, for whoever comes from train and predict; the as_of of a clv.toml is for these."""
    typed = context.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE
    if typed and not context.resilient_parsing:
        raise click.UsageError(
            f"backtest has no --as-of: it looks back. --cut {value} is the last day that the models may know, and "
            "what came after it is what they are tested on.",
            context,
        )


@cli.command(short_help="How good past predictions would have been, beside rules of thumb.")
@log_options
@click.option(
    "--cut",
    "cuts",
    required=True,
    multiple=True,
    help="Day up to which the models may know, YYYY-MM-DD; may be repeated.",
)
@click.option("--as-of", hidden=True, is_eager=True, expose_value=False, callback=_no_as_of)
@click.option("--horizon", default="12m", show_default=True, help="How far ahead: 273, 39w, 12m, 1y.")
@click.option("--out", type=click.Path(path_type=Path), help="report.json")
@click.option(
    "--bootstrap",
    type=click.IntRange(0),
    default=200,
    show_default=True,
    help="Resamples behind the intervals of differences.",
)
@click.option("--seed", type=_SEED, default=0, show_default=True, help="Of the random draws.")
@click.option(
    "--sample",
    type=click.IntRange(1_000),
    help="Customers of a larger base that are tested. Default: all; with --engine spark 100,000.",
)
@click.option("--lifetimes", is_flag=True, help="Fit the lifetimes package too, and compare with it.")
@season_options
@_STATE
@show_options
def backtest(source: tuple[str, ...], **settings: Any) -> None:
    """How good would predictions made at an earlier day have been, beside what a shopkeeper would guess?"""
    from clvml.cli.jobs.models import BacktestJob, backtest_job

    job = _job(BacktestJob, settings)
    read = {"SOURCE": source, "--calendar": job.calendar, "--state": settings["state"]}
    check_overlap({"--out": job.out}, read)
    click.echo(backtest_job(open_log(source, settings), job))


def _example(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Print a plan and leave, before anything else is asked for."""
    if wanted and not context.resilient_parsing:
        from clvml.campaigns.plan_file import example_plan

        click.echo(example_plan(), nl=False)
        context.exit()


@cli.command(short_help="Whom to treat with what under a budget, with a control group.")
@click.argument("scores", type=click.Path(path_type=Path))
@click.option(
    "--plan",
    type=click.Path(path_type=Path),
    default=Path(CONFIG),
    show_default=True,
    help="TOML file with the table [plan].",
)
@click.option("--budget", type=click.FloatRange(0), help="The most that may be spent. Default: on all whom it pays.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="audience.csv, for the CRM.")
@click.option("--json", type=click.Path(path_type=Path), help="The whole plan. Default: beside --out, ending in .json.")
@click.option(
    "--attributes",
    type=click.Path(path_type=Path),
    help="Further columns by customer_id, for the plan's where, such as `clvml insights second-purchases --out`.",
)
@click.option("--left-out", type=click.Path(path_type=Path), help="left.csv: who is left alone, and why.")
@click.option(
    "--suppress", type=click.Path(path_type=Path), help="Customers never to be treated: customer_id, or .txt."
)
@click.option(
    "--contacts", type=click.Path(path_type=Path), help="Past contacts (customer_id, date), for max_contacts."
)
@click.option(
    "--campaigns",
    type=click.Path(path_type=Path),
    help="Folder of finished campaigns that `clvml outcome --campaigns` keeps: effects are learned from them.",
)
@click.option(
    "--running",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Audience of a campaign under way, whose customers are left alone. May be given several times.",
)
@click.option("--example", is_flag=True, is_eager=True, expose_value=False, callback=_example, help="Print a plan.")
@show_options
def audience(**settings: Any) -> None:
    """Whom of the SCORES to treat with what under a budget, and whom to leave alone as control.

    Writes the file that a CRM imports, one row a customer with the reason in words, and the whole plan beside it.
    """
    from clvml.cli.jobs.campaigns import AudienceJob, audience_job

    job = AudienceJob(**settings)
    check_overlap({"--out": job.out, "--json": job.account, "--left-out": job.left_out}, job.inputs)
    click.echo(audience_job(job))


def _refuse_unused(context: click.Context, *, universal: bool, ahead: bool) -> None:
    """Of what was typed, what this way of looking at a campaign would leave unsaid. Raises OptionError."""
    wrong = (
        (universal, ("by", "incentive_in_log", "campaigns", "ahead", "model"), "does not go with --universal"),
        (ahead, ("by",), "does not go with --ahead"),
        (not universal, ("spent",), "goes with --universal alone"),
        (not ahead, ("model",), "goes with --ahead alone"),
    )
    for is_so, names, why in wrong:
        for name in names:
            if is_so and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
                raise OptionError(f"--{name.replace('_', '-')} {why}: leave it out.")


@cli.command(short_help="Did a campaign pay? Treated against control.")
@click.argument("audience", type=click.Path(path_type=Path))
@log_options
@click.option("--start", help="Day after which purchases count, YYYY-MM-DD. Default: the audience's as_of.")
@click.option("--end", help="Last day that counts, YYYY-MM-DD. Default: start and the horizon of the scores.")
@click.option("--by", default="planned_treatment", show_default=True, help="Column of the audience to split by.")
@click.option("--incentive-in-log", is_flag=True, help="The amounts of the log are net of the incentives already.")
@click.option("--level", type=float, default=0.95, show_default=True, help="Of the intervals.")
@click.option("--campaigns", type=click.Path(path_type=Path), help="Folder of past campaigns: keeps a finished one.")
@click.option("--ahead", help="With --model: what it will be worth so far from its start, such as 12m.")
@click.option("--model", help="With --ahead: models:/clv@champion, or the folder of a saved model.")
@click.option("--tracking-uri", help="MLflow store. Default: MLFLOW_TRACKING_URI, else mlflow.db in this folder.")
@click.option("--universal", is_flag=True, help="All campaigns since --start; the plan stands in place of AUDIENCE.")
@click.option("--spent", type=click.FloatRange(0), default=0.0, help="With --universal: what all campaigns cost.")
@_STATE
@click.option("--out", type=click.Path(path_type=Path), help="outcome.json")
@show_options
@click.pass_context
def outcome(context: click.Context, /, source: tuple[str, ...], *, universal: bool, **settings: Any) -> None:
    """Did the campaign of an AUDIENCE file pay? Treated against control in the orders since.

    It may be read every night with --end: the verdict then holds for all looks together. With --universal, a plan and
    the log: what were all campaigns together worth? Everybody else against those whom the plans never treat. With
    --ahead, weeks after it began: what will it have been worth in a year, by what its customers have done so far?
    """
    from clvml.cli.jobs.campaigns import (
        OutcomeJob,
        ProgrammeJob,
        SurrogateJob,
        outcome_job,
        programme_job,
        surrogate_job,
    )

    _refuse_unused(context, universal=universal, ahead=settings["ahead"] is not None)
    common = {name: settings.pop(name) for name in ("start", "end", "level", "out", "verbose", "quiet")}
    spent, ahead = settings.pop("spent"), settings.pop("ahead")
    surrogate = {name: settings.pop(name) for name in ("model", "tracking_uri")}
    own = {name: settings.pop(name) for name in ("audience", "by", "incentive_in_log", "campaigns")}
    read = {"SOURCE": source, "--state": settings["state"]}
    if universal:
        plan = own["audience"]
        check_overlap({"--out": common["out"]}, read | {"the plan": plan})
        click.echo(programme_job(lambda: open_log(source, settings), ProgrammeJob(plan, spent=spent, **common)))
        return
    check_overlap({"--out": common["out"]}, read | {"AUDIENCE": own["audience"]})
    if ahead is not None:
        if surrogate["model"] is None or common.pop("start") is not None:
            raise OptionError("--ahead needs --model, and begins where the audience does: leave --start out.")
        del own["by"]
        job = SurrogateJob(ahead=ahead, **surrogate, **common, **own)
        click.echo(surrogate_job(lambda: open_log(source, settings), job))
        return
    click.echo(outcome_job(lambda: open_log(source, settings), OutcomeJob(**common, **own)))


@cli.command(short_help="Are past scores still right, and is a new model due?")
@log_options
@click.option("--scores", required=True, type=click.Path(path_type=Path), help="What `clvml predict` wrote then.")
@click.option(
    "--sample",
    type=click.IntRange(1_000),
    default=100_000,
    show_default=True,
    help="With --engine spark: customers of a larger base that are compared.",
)
@_STATE
@click.option("--experiment", default="clvml", show_default=True, help="MLflow experiment.")
@click.option("--tracking-uri", help="MLflow store. Default: MLFLOW_TRACKING_URI, else mlflow.db in this folder.")
@click.option("--out", type=click.Path(path_type=Path), help="report.json")
@show_options
@click.pass_context
def monitor(context: click.Context, /, source: tuple[str, ...], **settings: Any) -> None:
    """Compare past scores with the orders since, and record it in MLflow. Exit code 3 where a new model is due."""
    from clvml.cli.jobs.campaigns import MonitorJob, monitor_job

    job = _job(MonitorJob, settings)
    check_overlap({"--out": job.out}, {"SOURCE": source, "--scores": job.scores, "--state": settings["state"]})
    if settings["engine"] == "spark":
        from clvml.cli.jobs.spark import monitor_on_spark as monitor_job
    text, due = monitor_job(lambda: open_log(source, settings), job)
    click.echo(text)
    context.exit(3 if due else 0)


cli.add_command(insights)


@cli.command(short_help="One page of HTML for the shop's manager.")
@click.argument("scores", type=click.Path(path_type=Path))
@click.option("--log", "source", multiple=True, help="The orders that were scored; may be repeated.")
@click.option("--backtest", type=click.Path(path_type=Path), help="What `clvml backtest --out` wrote.")
@click.option("--audience", type=click.Path(path_type=Path), help="What `clvml audience` wrote as JSON.")
@click.option("--outcome", type=click.Path(path_type=Path), help="What `clvml outcome --out` wrote.")
@click.option("--cac", multiple=True, metavar="CHANNEL=MONEY", help="Cost of winning one customer; may be repeated.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="report.html")
@click.option("--title", default="Customers: worth, risk and what to do", show_default=True, help="Head of the page.")
@click.option("--currency", default="", help="Put before amounts, such as €; or around them, such as '{} kr'.")
@click.option("--numbers", default="1,234.5", show_default=True, help="Number format: also 1.234,5, 1 234,5, 1'234.5.")
@click.option("--rows", type=click.IntRange(1), default=500, show_default=True, help="Most customers in the table.")
@column_options
@show_options
def report(source: tuple[str, ...], **settings: Any) -> None:
    """Make one page of HTML from SCORES that answers a manager's questions; it needs no network.

    What the base is worth, who is leaving, what sets the best apart, what to do, which channels pay, how value moved,
    and whether to trust it. Without --log it tells what the scores alone know.
    """
    from clvml.cli.jobs.report import ReportJob, report_job

    job = _job(ReportJob, settings, redact=ids_are_hidden())
    check_overlap({"--out": job.out}, {"--log": source, **job.inputs})
    if source and settings["engine"] == "spark":
        raise OptionError(
            "--engine spark: the page says of the log what takes the orders of every customer, and is made on one "
            "machine. Leave --log out, and it says what the scores alone know; or give --log a Parquet file of the "
            "orders, where they fit. On Spark, `clvml insights` looks at a sample of the customers."
        )
    click.echo(report_job((lambda: open_log(source, settings)) if source else None, job))
