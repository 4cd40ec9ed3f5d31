"""Options that several commands share, the log that they describe, how `--help` shows them and errors name them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from clvml.errors import ClvError, DataError, without_secrets
from clvml.redaction import hide_ids, shown_id

if TYPE_CHECKING:
    from clvml.orders.transactions import Transactions

__all__ = [
    "CONFIG",
    "OutPath",
    "Command",
    "Commands",
    "column_options",
    "log_options",
    "open_log",
    "redact_option",
    "season_options",
    "show_options",
    "treating_options",
]

CONFIG = "clv.toml"
"""The file of options that is read where it lies in the folder."""
_CLOSE = 0.7
"""How alike an option must be to what was typed to be meant by it: click's 0.6 takes --cost for --scores."""
_LOG_OPTIONS = (
    click.argument("source", nargs=-1, required=True),
    click.option("--customer", default="customer_id", show_default=True, help="Column of the customer."),
    click.option("--date", default="date", show_default=True, help="Column of the day of the order."),
    click.option("--amount", default="amount", show_default=True, help="Column of the amount; refunds are negative."),
    click.option("--order", help="Column of the order's id: an order refunded in full is no purchase."),
    click.option("--is-return", help="Column that marks refund lines whose amount is positive."),
    click.option("--margin", help="Share of the amount that is earned: a number such as 0.3, or a column."),
    click.option("--cost", help="Column of the cost of each line, instead of --margin."),
    click.option("--service-cost", help="Cost of serving an order: a number, or a column."),
    click.option("--channel", help="Column of the acquisition channel."),
    click.option("--covariate", "covariates", multiple=True, help="Column to carry along; may be repeated."),
    click.option(
        "--returns",
        type=click.Choice(["net", "ignore", "error"]),
        default="net",
        show_default=True,
        help="What refunds do.",
    ),
    click.option(
        "--grain",
        type=click.Choice(["day", "week"]),
        default="day",
        show_default=True,
        help="Orders within it are one purchase.",
    ),
    click.option("--free-orders", is_flag=True, help="A day of nothing but zero amounts is a purchase too."),
    click.option(
        "--exclude",
        multiple=True,
        metavar="ID",
        help="Customer to leave out, such as a test account, or a file of them (customer_id, or .txt); repeatable.",
    ),
    click.option(
        "--decimal",
        type=click.Choice([",", "."]),
        help="Before the decimals of amounts in CSV: , reads 1.234,50 and . reads 1,234.50. Default: plain 1234.50.",
    ),
    click.option(
        "--encoding",
        help="Of CSV files, such as windows-1252, cp1250 or utf-16. Default: UTF-8 or UTF-16, else Windows-1252.",
    ),
    click.option("--timezone", help="The business's own, for times that name a zone. Default: UTC."),
    click.option(
        "--table", help="Table of the log in a data base (a DuckDB file, postgresql://user@host/db, sqlite:///shop.db)."
    ),
    click.option("--query", help="Instead of --table: the SELECT that gives the log."),
    click.option(
        "--engine",
        type=click.Choice(["duckdb", "spark"]),
        default="duckdb",
        show_default=True,
        help="spark: SOURCE is a table of its catalog, or Parquet or CSV files that the cluster reads.",
    ),
    click.option("--master", metavar="URL", help="Of the Spark cluster. Default: as Spark is configured."),
    click.option("--memory", metavar="SIZE", help="What the job is to stay within, such as 2GB. Default: no limit."),
    click.option("--threads", type=click.IntRange(1), help="Default: as many as the machine has."),
    click.option("--spill", metavar="DIR", help="Folder for what does not fit in memory. Default: the system's."),
)


def _redact(_context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted:
        hide_ids()


_REDACT = click.option(
    "--redact",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_redact,
    help="Print no customer id: neither in results nor in notes and errors. Files that are written keep theirs.",
)
_SHOW = (
    _REDACT,
    click.option("--verbose", is_flag=True, help="A line a stage with its time; tracebacks of internal errors."),
    click.option("--quiet", is_flag=True, help="No progress and no notes."),
)


def _together(*decorators: Callable[..., Any]) -> Callable[..., Any]:
    """Several options as one decorator, in this order."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(decorators):
            command = option(command)
        return command

    return decorate


_SEASON = (
    click.option(
        "--calendar",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Special days as a table of day and factor, such as 2026-11-27,2.5: a sale, a moving feast.",
    ),
    click.option("--no-seasonality", is_flag=True, help="The same weeks a year ago say nothing about these."),
)
_TREATING = (
    click.option(
        "--contact-cost",
        type=click.FloatRange(0),
        help="Cost of contacting a customer. Default: 0.5% of what the median good customer brings.",
    ),
    click.option(
        "--incentive",
        type=click.FloatRange(0),
        help="Cost of an incentive redeemed. Default: 5% of what the median good customer brings.",
    ),
    click.option(
        "--save-rate",
        type=click.FloatRange(0, 1, min_open=True),
        default=0.30,
        show_default=True,
        help="Share of those who would leave that treating keeps.",
    ),
    click.option(
        "--redemption",
        type=click.FloatRange(0, 1),
        default=1.0,
        show_default=True,
        help="Share of those who would have stayed that redeem the incentive all the same.",
    ),
)
season_options, treating_options = _together(*_SEASON), _together(*_TREATING)
log_options, show_options, redact_option = _together(*_LOG_OPTIONS), _together(*_SHOW), _REDACT
column_options = _together(*_LOG_OPTIONS[1:])
"""What describes a log, for a command whose log is an option instead of SOURCE."""


def open_log(source: tuple[str, ...], columns: dict[str, Any]) -> Transactions:
    """The log, with margin and service cost read as a number where they are one.

    Raises DataError where those whom --exclude names are none of its customers.
    """
    settings = columns | {name: _number(columns[name]) for name in ("margin", "service_cost")}
    settings["exclude"] = [each for entry in columns["exclude"] for each in _excluded(entry)]
    log = _opened(source, settings)
    if settings["exclude"] and not log.check(examples=False).rule("excluded customer").rows:
        raise DataError(
            f"--exclude: none of the {len(settings['exclude']):,} customers to leave out is in the log, first "
            f"'{shown_id(settings['exclude'][0])}'. Write ids as the log does."
        )
    return log


def _opened(source: tuple[str, ...], settings: dict[str, Any]) -> Transactions:
    from clvml.orders.transactions import Transactions

    engine, master = settings.pop("engine"), settings.pop("master")
    if engine == "spark":
        from clvml.orders.engines.spark_session import read_source, start_session

        if settings["encoding"] is not None:
            raise ClvError("--encoding is not for --engine spark, which reads CSV as UTF-8: save the files so.")
        return Transactions(read_source(start_session(master), source), **settings)
    if master is not None:
        raise ClvError("--master names a Spark cluster: it goes with --engine spark.")
    return Transactions(source[0] if len(source) == 1 else list(source), **settings)


def _excluded(entry: str) -> list[object]:
    """The customers of a file, or the one that is named."""
    if Path(entry).suffix.lower() not in (".txt", ".csv", ".parquet"):
        return [entry]
    from clvml.cli.tables import read_customers

    found = read_customers(Path(entry), "customers to exclude")
    if not isinstance(found, list) and "customer_id" not in found:
        raise DataError(f"The customers to exclude, '{entry}', have no column customer_id.")
    listed = [*(found if isinstance(found, list) else found["customer_id"].dropna())]
    if not listed:
        raise DataError(f"--exclude {entry} leaves nobody out: it names no customer. Leave it out, or fill it.")
    return listed


def _number(text: str | float | None) -> str | float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


_GROUPS = {
    "Columns of the log": (
        "customer",
        "date",
        "amount",
        "order",
        "is_return",
        "margin",
        "cost",
        "service_cost",
        "channel",
        "covariates",
    ),
    "How the log is read": (
        "returns",
        "grain",
        "free_orders",
        "exclude",
        "decimal",
        "encoding",
        "timezone",
        "table",
        "query",
    ),
    "Where and with what the work is done": ("engine", "master", "memory", "threads", "spill"),
    "What is printed": ("verbose", "quiet", "redact", "help"),
}
"""Options under a heading of their own in `--help`, after those that are the command's alone."""


class Command(click.Command):
    """A command whose help begins with its own options, and whose errors name options as they are typed."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Its own options first, the shared ones in groups."""
        shared = {name for names in _GROUPS.values() for name in names}
        params = [p for p in self.get_params(ctx) if isinstance(p, click.Option)]
        _write_group(ctx, formatter, "Options", [p for p in params if p.name not in shared])
        for title, names in _GROUPS.items():
            _write_group(ctx, formatter, title, [p for p in params if p.name in names])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """What was typed; of an option that it does not have, which commands do."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            name = error.option_name
            having = [path for path, command in _commands(ctx.find_root().command) if name in _options_of(command)]
            close = difflib.get_close_matches(name, _options_of(self), cutoff=_CLOSE)
            whose = f"; it is one of {_some(having)}" if having else ""
            message = f"{ctx.info_name} has no option {name}{whose}."
            raise click.NoSuchOption(name, message, [] if having else close, ctx) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run it, once it is said what of its reach was not asked for on the command line."""
        _tell_reach(self, ctx)
        try:
            return super().invoke(ctx)
        except ClvError as error:
            raise type(error)(_as_typed(str(error), self.params)) from error


class Commands(click.Group):
    """Commands in the order in which they are used."""

    command_class = Command
    group_class = type

    def list_commands(self, ctx: click.Context) -> list[str]:
        """As they were added."""
        del ctx
        return list(self.commands)


def _commands(group: click.Command, above: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command under a group, as it is typed."""
    for name, command in getattr(group, "commands", {}).items():
        if isinstance(command, click.Group):
            yield from _commands(command, f"{above}{name} ")
        else:
            yield f"{above}{name}", command


def _some(names: list[str], most: int = 3) -> str:
    """The first of them by name, the rest by number."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def _options_of(command: click.Command) -> list[str]:
    return [name for option in command.params for name in option.opts if name.startswith("--")]


_REACHING = ("model", "source", "table", "query", "tracking_uri", "master", "spill")
"""Options that name what a job reads, writes or runs on, beside those that are paths."""


def _tell_reach(command: click.Command, context: click.Context) -> None:
    """Which files, data bases, queries and stores a clv.toml names that lay in the folder: whoever runs a job in
    somebody's folder has not read it. --quiet on the command line silences it, quiet = true in the file does not.
    """
    root = context.find_root()
    silenced = context.get_parameter_source("quiet") is ParameterSource.COMMANDLINE
    if silenced or root.params.get("config") is not None:
        return
    named = [
        f"{max(option.opts, key=len)} {_shown(context.params[str(option.name)])}"
        for option in command.params
        if isinstance(option, click.Option)
        and (option.name in _REACHING or isinstance(option.type, click.Path))
        and context.get_parameter_source(str(option.name)) is ParameterSource.DEFAULT_MAP
    ]
    if named:
        click.echo(f"Note: the {CONFIG} of this folder sets {', '.join(named)}.", err=True)


def _shown(value: Any) -> str:
    values = value if isinstance(value, tuple) else (value,)
    return without_secrets(" ".join(map(str, values)))


class OutPath(click.Path):
    """A path, or the address of a table of a data base, as `clvml.scores.sinks.tables.target_of` gives it."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path or the table."""
        if isinstance(value, str) and re.match(r"[a-z]+(\+\w+)?://", value, re.IGNORECASE):
            from clvml.scores.sinks.tables import target_of

            found = target_of(value)
            if not isinstance(found, Path):
                return found
        return super().convert(value, param, ctx)


def _write_group(
    ctx: click.Context, formatter: click.HelpFormatter, title: str, params: Iterable[click.Option]
) -> None:
    rows = [record for param in params if (record := param.get_help_record(ctx)) is not None]
    if rows:
        with formatter.section(title):
            formatter.write_dl(rows)


def _as_typed(message: str, params: Iterable[click.Parameter]) -> str:
    """The message with horizon='soon', as Python has it, as --horizon 'soon'."""
    typed: dict[str, str] = {}
    for option in params:
        if isinstance(option, click.Option):
            text = max(option.opts, key=len)
            typed |= {str(option.name): text, text.removeprefix("--").replace("-", "_"): text}
    pattern = rf"(?<![\w./\-])({'|'.join(map(re.escape, typed))})=(?=\S)"
    return re.sub(pattern, lambda found: f"{typed[found[1]]} ", message) if typed else message
