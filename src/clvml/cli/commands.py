"""clvml: the command line. Options may stand in clv.toml; results go to standard output, the rest to standard error.

Exit codes: 0 done; 1 internal error; 2 the input or the options break their contract; 3 the champion is better than the
new model, or a new model is due.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from pathlib import Path
from typing import Any

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
from clvml.errors import ClvError, OptionError, without_secrets
from clvml.horizon import as_date
from clvml.redaction import ids_are_hidden, ids_hidden

__all__ = ["main"]

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
def train(context: click.Context, /, source: tuple[str, ...], as_of: str, **settings: Any) -> None:
    """Backtest, train, record in MLflow, and register. Exit code 3 where the champion stays."""
    from clvml.cli.jobs import TrainJob, train_job

    own = (
        "horizon",
        "discount_rate",
        "contact_cost",
        "incentive",
        "save_rate",
        "redemption",
        "seed",
        "sample",
        "register",
        "out",
        "backtest",
        "calendar",
        "no_seasonality",
        "experiment",
        "tracking_uri",
        "verbose",
        "quiet",
    )
    job = TrainJob(as_of=as_of, **{name: settings.pop(name) for name in own})
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
def predict(source: tuple[str, ...], as_of: str, **settings: Any) -> None:
    """Score every customer of a log with a trained model."""
    from clvml.cli.jobs import PredictJob, predict_job

    own = ("model", "out", "horizon", "history", "tracking_uri", "verbose", "quiet")
    job = PredictJob(as_of=as_of, **{name: settings.pop(name) for name in own})
    read = {"SOURCE": source, "--model": job.model, "--state": settings["state"]}
    if isinstance(job.out, Path):
        check_overlap({"--out": job.out}, read | {"--history": job.history})
    check_overlap({"--history": job.history}, read)
    if settings["engine"] == "spark":
        from clvml.cli.spark_job import predict_on_spark as predict_job
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
def backtest(source: tuple[str, ...], cuts: tuple[str, ...], **settings: Any) -> None:
    """How good would predictions made at an earlier day have been, beside what a shopkeeper would guess?"""
    from clvml.cli.jobs import BacktestJob, backtest_job

    season = ("calendar", "no_seasonality")
    own = ("horizon", "out", "bootstrap", "seed", "sample", "lifetimes", *season, "verbose", "quiet")
    job = BacktestJob(cuts=cuts, **{name: settings.pop(name) for name in own})
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
    help="Further columns by customer_id, for the plan's where, such as `clvml insights second-purchase --out`.",
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
    from clvml.cli.campaign_jobs import AudienceJob, audience_job

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
    from clvml.cli.campaign_jobs import (
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
    from clvml.cli.campaign_jobs import MonitorJob, monitor_job

    own = ("scores", "sample", "experiment", "tracking_uri", "out", "verbose", "quiet")
    job = MonitorJob(**{name: settings.pop(name) for name in own})
    check_overlap({"--out": job.out}, {"SOURCE": source, "--scores": job.scores, "--state": settings["state"]})
    if settings["engine"] == "spark":
        from clvml.cli.spark_job import monitor_on_spark as monitor_job
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
    from clvml.cli.report_job import ReportJob, report_job

    own = (
        "scores",
        "backtest",
        "audience",
        "outcome",
        "cac",
        "out",
        "title",
        "currency",
        "numbers",
        "rows",
        "verbose",
        "quiet",
    )
    job = ReportJob(redact=ids_are_hidden(), **{name: settings.pop(name) for name in own})
    check_overlap({"--out": job.out}, {"--log": source, **job.inputs})
    if source and settings["engine"] == "spark":
        raise OptionError(
            "--engine spark: the page says of the log what takes the orders of every customer, and is made on one "
            "machine. Leave --log out, and it says what the scores alone know; or give --log a Parquet file of the "
            "orders, where they fit. On Spark, `clvml insights` looks at a sample of the customers."
        )
    click.echo(report_job((lambda: open_log(source, settings)) if source else None, job))


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the `clvml` command."""
    # MLflow reports usage to its makers unless asked not to; our commands ask, the library leaves it to the user.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    _open_streams()
    with ids_hidden(False):  # until --redact
        sys.exit(_exit_code(sys.argv[1:] if arguments is None else arguments))


def _open_streams() -> None:
    """What a daemon has closed leads nowhere: else a file that is written later would take its place and its text."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)  # takes the lowest number, which is this one
            setattr(sys, name, os.fdopen(nowhere, mode, encoding="utf-8"))


def _exit_code(arguments: list[str]) -> int:
    """Run the command; its exit code, once what went wrong is printed."""
    try:
        code = cli.main(arguments, prog_name="clvml", standalone_mode=False)
    except click.ClickException as error:
        usage = io.StringIO()
        error.show(usage)
        _say(without_secrets(usage.getvalue()).rstrip("\n"))
        code = error.exit_code
    except ClvError as error:
        _complain(f"Error: {error}")
        code = 2
    except (click.Abort, KeyboardInterrupt):
        _say("Stopped; nothing was left half-written.")
        code = 130
    except (BrokenPipeError, SystemExit):  # click's own way to end where standard output is a broken pipe
        code = _pipe_closed()
    except OSError as error:
        code = _no_room(error) if error.errno in _NO_ROOM else _internal(error, "--verbose" in arguments)
    except Exception as error:  # noqa: BLE001  the last door: whatever it is becomes one line, not a traceback in a batch job's log
        code = _internal(error, "--verbose" in arguments)
    return code if isinstance(code, int) else 0


def _complain(message: str) -> None:
    """On standard error, without passwords: in lines where somebody reads, in one line where a log collects them."""
    message = without_secrets(message)
    if sys.stderr.isatty():
        from clvml.cli.terminal import wrapped

        message = wrapped(message)
    _say(message)


def _say(message: str) -> None:
    """On standard error, if it takes it."""
    with contextlib.suppress(OSError):
        click.echo(message, err=True)


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def _no_room(error: OSError) -> int:
    """Standard output, or a temporary file, could not be written: outputs have messages of their own."""
    place = "What the command prints, or a temporary file," if error.filename is None else str(error.filename)
    _complain(f"Error: {place} could not be written: {error.strerror}. Make room, or choose another place.")
    return 2


def _pipe_closed() -> int:
    """The reader of standard output has gone, as `head` does: nothing more to say, and no second complaint at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _internal(error: Exception, verbose: bool) -> int:
    import traceback

    if verbose and ids_are_hidden():
        traceback.print_tb(error.__traceback__)  # a message may quote what stands in a table
    elif verbose:
        _say(without_secrets(traceback.format_exc()))
    hint = "" if verbose else " Run it again with --verbose for the traceback."
    text = "its text is left out, as --redact asks" if ids_are_hidden() else str(error)
    _complain(f"Internal error: {type(error).__name__}: {text}. This is a fault of clvml, please report it.{hint}")
    return 1
