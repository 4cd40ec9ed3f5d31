"""`clvml insights`: the shopkeeper's questions from the shell."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clvml.cli.options import Commands, log_options, open_log, redact_option
from clvml.cli.overlap import check_overlap

if TYPE_CHECKING:
    import pandas as pd

    from clvml.cli.insights.jobs import Answer, Delivery
    from clvml.orders.transactions import Transactions

__all__ = ["insights"]


@click.group(
    cls=Commands, short_help="What sets the best apart, who earns, which channel pays, how value moves, what if."
)
def insights() -> None:
    """The shopkeeper's questions, answered from a log or from scores.

    Each answer is a table on the terminal, or with --out or --format CSV or JSON for another program.
    """


def _delivery(command: Any) -> Any:
    """The options of how the answer is wanted."""
    out = click.option(
        "--out", type=click.Path(path_type=Path), help="Write to a file that ends in .csv, .json or .txt."
    )
    form = click.option(
        "--format",
        "form",
        type=click.Choice(["table", "csv", "json"]),
        help="Default: by the ending of --out; else table.",
    )
    return out(form(redact_option(command)))


def _wanted(out: Path | None, form: str | None, inputs: Mapping[str, Any]) -> Delivery:
    """How the answer is wanted, once the file can be written and is none that is read; asked before any work."""
    from clvml.cli.insights.jobs import Delivery

    check_overlap({"--out": out}, inputs)
    return Delivery.checked(out, form)


def _print(answer: Answer, wanted: Delivery) -> None:
    from clvml.cli.insights.jobs import deliver

    click.echo(deliver(answer, wanted))


_SCORES = click.option(
    "--scores", required=True, type=click.Path(path_type=Path), help="What `clvml predict` wrote of this log."
)


_SAMPLE = click.option(
    "--sample",
    type=click.IntRange(1_000),
    default=100_000,
    show_default=True,
    help="With --engine spark: customers of a larger base that are looked at.",
)


def _sampled(source: tuple[str, ...], settings: dict[str, Any], as_of: str) -> Transactions:
    """The log; of one on Spark that of some customers, whose lines come to this machine."""
    customers, log = settings.pop("sample"), open_log(source, settings)
    return log.sample(customers, as_of) if log.on_spark else log


def _scored(source: tuple[str, ...], settings: dict[str, Any], scores: Path) -> tuple[Transactions, pd.DataFrame]:
    """The log and its scores; on Spark those of some customers."""
    from clvml.cli.jobs.spark import sample_scored
    from clvml.cli.tables import read_table

    customers, log = settings.pop("sample"), open_log(source, settings)
    return sample_scored(log, str(scores), customers) if log.on_spark else (log, read_table(scores, "scores"))


@insights.command(short_help="What sets the best customers apart.")
@log_options
@_SCORES
@_SAMPLE
@click.option("--top", type=float, default=0.10, show_default=True, help="Share of customers that are the best.")
@click.option("--by", default="value_if_kept", show_default=True, help="Column of the scores that says who is best.")
@click.option(
    "--known-at",
    type=click.Choice(["as_of", "first_order"]),
    default="as_of",
    show_default=True,
    help="first_order: only what was known then, so whom to acquire.",
)
@_delivery
def profile(source: tuple[str, ...], scores: Path, out: Path | None, form: str | None, **settings: Any) -> None:
    """What sets the best customers apart from the rest, beyond chance."""
    from clvml.cli.insights.jobs import profile_answer

    wanted = _wanted(out, form, {"SOURCE": source, "--scores": scores})
    own = {name: settings.pop(name) for name in ("top", "by", "known_at")}
    _print(profile_answer(*_scored(source, settings, scores), **own), wanted)


@insights.command(short_help="Who earns, who costs, and why.")
@click.argument("source", nargs=-1, required=True)
@click.option("--customer", default="customer_id", show_default=True, help="Column of the customer.")
@click.option("--amount", default="amount", show_default=True, help="Column of the amount paid; refunds are negative.")
@click.option("--cost", help="Column of the cost of goods of each line.")
@click.option("--margin", type=float, help="Instead: the share of the amount left after the cost of goods.")
@click.option("--discount", help="Column of the share given off the list price.")
@click.option("--is-return", help="Column that marks lines that came back.")
@click.option("--order", help="Column of the order; without it each line is one.")
@click.option("--return-cost", type=float, default=0.0, show_default=True, help="Of handling a returned order.")
@click.option("--service-cost", type=float, default=0.0, show_default=True, help="Of serving an order.")
@click.option(
    "--date", default="date", show_default=True, help="Column of the day: a basket taken back on it is no order."
)
@click.option("--as-of", help="The last day that counts, YYYY-MM-DD. Default: all lines.")
@click.option("--good-share", type=float, default=0.20, show_default=True, help="Share of the good tier.")
@click.option("--bad-share", type=float, default=0.20, show_default=True, help="Share of the bad tier.")
@_delivery
def tiers(source: tuple[str, ...], out: Path | None, form: str | None, **settings: Any) -> None:
    """Customers of the order lines in SOURCE (Parquet or CSV) by profit, and why the bad ones are bad."""
    from clvml.cli.insights.jobs import read_lines, tiers_answer

    wanted = _wanted(out, form, {"SOURCE": source})
    as_of, date = settings.pop("as_of"), settings["date"]
    columns = [settings[name] for name in ("customer", "amount", "cost", "discount", "is_return", "order")]
    _print(tiers_answer(read_lines(source, columns, as_of, date), **settings), wanted)


@insights.command(short_help="What a customer of each channel is worth, against what they cost.")
@log_options
@_SCORES
@_SAMPLE
@click.option("--cac", multiple=True, metavar="CHANNEL=MONEY", help="Cost of acquiring one customer; may be repeated.")
@click.option("--spent", multiple=True, metavar="CHANNEL=MONEY", help="Instead: what was spent on a channel in all.")
@click.option("--mix", multiple=True, help="Covariate whose mix the comparison takes out too; may be repeated.")
@click.option("--cohorts", is_flag=True, help="A row for each channel and quarter of first purchase.")
@_delivery
def channels(source: tuple[str, ...], scores: Path, out: Path | None, form: str | None, **settings: Any) -> None:
    """Lifetime value, payback and LTV:CAC of each acquisition channel (--channel)."""
    from clvml.cli.insights.jobs import channels_answer, costs_of

    wanted = _wanted(out, form, {"SOURCE": source, "--scores": scores})
    own: dict[str, Any] = {
        "cac": costs_of(settings.pop("cac"), "--cac"),
        "spent": costs_of(settings.pop("spent"), "--spent"),
    }
    own |= {"mix": list(settings.pop("mix")), "cohorts": settings.pop("cohorts")}
    settings["covariates"] = tuple(dict.fromkeys((*settings["covariates"], *own["mix"])))
    own |= _formula_margin(settings)
    _print(channels_answer(*_scored(source, settings, scores), **own), wanted)


def _formula_margin(settings: dict[str, Any]) -> dict[str, float]:
    """The margin of the shopkeeper's formula, where the log's is one number."""
    try:
        return {} if settings["margin"] is None else {"margin": float(settings["margin"])}
    except ValueError:
        return {}


@insights.command("look-alikes", short_help="Who resembles good customers at the first order already.")
@log_options
@click.option("--as-of", required=True, help="The last day that may be known, YYYY-MM-DD.")
@click.option("--days", type=click.IntRange(1), default=180, show_default=True, help="After the first order.")
@click.option("--top", type=float, default=0.20, show_default=True, help="Share of customers that are good.")
@_SAMPLE
@_delivery
def look_alikes(source: tuple[str, ...], as_of: str, out: Path | None, form: str | None, **settings: Any) -> None:
    """Learn who becomes good from first orders, and test it on later cohorts. CSV: all customers, ranked."""
    from clvml.cli.insights.jobs import look_alikes_answer

    wanted = _wanted(out, form, {"SOURCE": source})
    own = {name: settings.pop(name) for name in ("days", "top")}
    _print(look_alikes_answer(_sampled(source, settings, as_of), as_of, **own), wanted)


@insights.command("second-purchases", short_help="When those who bought once buy again, and who is due.")
@log_options
@click.option("--as-of", required=True, help="The last day that may be known, YYYY-MM-DD.")
@click.option(
    "--by",
    type=click.Choice(["size", "season", "channel"]),
    help="Time customers by others whose first order was like theirs. Default: by all.",
)
@_SAMPLE
@_delivery
def second_purchases(
    source: tuple[str, ...], as_of: str, by: str | None, out: Path | None, form: str | None, **settings: Any
) -> None:
    """When second purchases come, by size, season and channel of the first order: the steep part is when to act.

    CSV: all who have bought once, and their timing, for `clvml audience --attributes`.
    """
    from clvml.cli.insights.jobs import second_purchase_answer

    wanted = _wanted(out, form, {"SOURCE": source})
    _print(second_purchase_answer(_sampled(source, settings, as_of), as_of, by=by), wanted)


@insights.command(short_help="How value moved: over time, between tiers, by customer.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--value", default="clv", show_default=True, help="Column of the scores to add up.")
@click.option("--by", help="Column to split by, such as tier; or cohort, the month of the first purchase.")
@click.option("--since", help="Leave out earlier days, YYYY-MM-DD.")
@_delivery
def history(out: Path | None, form: str | None, **settings: Any) -> None:
    """How value moved over the scores kept in FOLDER (`clvml predict --history`). CSV: value over time."""
    from clvml.cli.insights.jobs import history_answer

    wanted = _wanted(out, form, {"FOLDER": settings["folder"]})
    _print(history_answer(**settings), wanted)


@insights.command("what-if", short_help="What more returning customers would be worth.")
@click.argument("scores", type=click.Path(path_type=Path))
@click.option("--retention", type=float, default=0.05, show_default=True, help="Points of return probability to add.")
@click.option("--tier", help="Only customers of this tier.")
@click.option("--new-customer-value", type=float, help="Expected contribution of an acquired customer.")
@click.option("--cac", type=float, help="Cost of acquiring one customer.")
@_delivery
def what_if(scores: Path, out: Path | None, form: str | None, **settings: Any) -> None:
    """What it would be worth if more of the SCORES' customers came back."""
    from clvml.cli.insights.jobs import what_if_answer

    wanted = _wanted(out, form, {"SCORES": scores})
    _print(what_if_answer(scores, **settings), wanted)


@insights.command(short_help="How sure the total is: expected purchases, spend and value, with intervals.")
@click.argument("scores", type=click.Path(path_type=Path))
@click.option("--by", help="Column to split by, such as tier or state.")
@click.option("--level", type=float, default=0.9, show_default=True, help="Of the intervals.")
@_delivery
def totals(scores: Path, out: Path | None, form: str | None, **settings: Any) -> None:
    """What the SCORES' customers are expected to buy, spend and be worth together, with intervals."""
    from clvml.cli.insights.jobs import totals_answer

    wanted = _wanted(out, form, {"SCORES": scores})
    _print(totals_answer(scores, **settings), wanted)
