"""ClvModel: everything that one training run learns, from log to Scores, as one object that can be saved, registered
and served.
"""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.checks import check_seed, check_share, check_whole
from clvml.display import Figure, card
from clvml.errors import ClvError, ClvWarning, DataError, ModelError
from clvml.estimators.base import Estimator
from clvml.estimators.forecast import ForecastCache
from clvml.estimators.histories import Customers, summary_frame
from clvml.estimators.learned.churn import ChurnClassifier
from clvml.estimators.learned.ensemble.labels import COLUMNS
from clvml.estimators.learned.ensemble.level import Level
from clvml.estimators.learned.ensemble.special_days import calendar_of
from clvml.estimators.learned.hybrid import HybridValueModel
from clvml.estimators.learned.leaving.model import LeavingModel
from clvml.estimators.lifetime_value import LifetimeValueModel
from clvml.estimators.purchases.models import ParetoNBDModel
from clvml.estimators.uncertainty.totals import LevelSd
from clvml.horizon import as_date, day_of_number, horizon_days
from clvml.orders.breaks import break_notes, closed_note, silence_note, warn_of_restart, warn_of_silence
from clvml.orders.origins import Snapshots
from clvml.orders.snapshots import take_snapshots
from clvml.orders.transactions import Transactions, check_log
from clvml.progress import Progress
from clvml.scores import score as scoring, segments
from clvml.scores.cutoffs import cutoffs_of_base
from clvml.scores.flag import Economics, assumed_economics
from clvml.scores.saved import read_model, write_model
from clvml.tables import check_summary

__all__ = ["ClvModel"]

Floats = NDArray[np.float64]


class ClvModel(Estimator):
    """Purchases, spend, return and flag of every customer of a log.

    Parameters
    ----------
    horizon : int or str
        How far ahead, in days or such as "39w", unless a prediction says otherwise.
    discount_rate : float
        Per year.
    good_share, bad_share : float
        Size of the tiers, as shares of the base.
    seasonality : bool
        Whether the level of all customers follows the same weeks of a year ago, and silence counts as the season runs,
        where the log knows it.
    calendar : DataFrame or mapping, optional
        Days on which more, or less, is bought than on others, such as a sale or a moving feast: columns day and
        factor, or day -> factor.
    contact_cost, incentive : float or None
        What treating a customer who is about to leave costs: per contact, and per incentive redeemed, in the currency
        of the contribution. By default 0.5% and 5% of what the median good customer brings within the horizon.
    save_rate : float
        Share of those who would leave that treating keeps.
    redemption : float
        Share of those who would have stayed that redeem the incentive all the same.
    seed : int
        Of the random draws in training.
    sample : int or None
        Of a base with more customers than these, the corrections learn from so many (None: from all); BTYD, and where
        the tiers begin, from all.

    What of the amount is earned is the log's own: Transactions(margin=..., cost=...).

    Attributes
    ----------
    value_ : LifetimeValueModel
        The base: Pareto/NBD and Gamma-Gamma, fitted to all customers.
    model_ : HybridValueModel or LifetimeValueModel
        What predicts: the base corrected by the log's own past, or the base alone where the log is too short.
    churn_ : ChurnClassifier or None
        The classifier of the former.
    level_ : Level or None
        Which level of all customers together was used, and why.
    threshold_ : float
        The churn probability from which `churn_` calls a customer lost; where BTYD predicts alone, the median one.
    cutoffs_ : Cutoffs
        Of the tiers: of all customers, also where the corrections learn from a sample of them.
    leaving_ : LeavingModel
        Who is about to leave, by their own rhythm.
    economics_ : Economics
        What treating costs and does: the probability of leaving from which it pays follows from it.
    margin_ : float
        What of the amount is earned, over the whole base.
    as_of_ : str
        The day of the training.
    notes_ : list of str
        What to know before trusting the result: what fell short, and where the level comes from.
    data_report_ : dict

    Examples
    --------
    >>> from clvml import ClvModel, Transactions, load_cdnow
    >>> model = ClvModel(horizon="13w").fit(Transactions(load_cdnow(sample=True)), "1997-09-30")
    >>> model.name
    'Pareto/NBD + Gamma-Gamma + snapshots, trained as of 1997-09-30'
    """

    _fitted: ClassVar[str] = "cutoffs_"
    _takes_frame: ClassVar[bool] = False

    def __init__(
        self,
        *,
        horizon: int | str = "12m",
        discount_rate: float = 0.10,
        good_share: float = 0.2,
        bad_share: float = 0.2,
        seasonality: bool = True,
        calendar: pd.DataFrame | Mapping[Any, float] | None = None,
        contact_cost: float | None = None,
        incentive: float | None = None,
        save_rate: float = 0.30,
        redemption: float = 1.0,
        seed: int = 0,
        sample: int | None = 100_000,
    ) -> None:
        self.horizon = horizon
        self.discount_rate = discount_rate
        self.good_share = good_share
        self.bad_share = bad_share
        self.seasonality = seasonality
        self.calendar = calendar
        self.contact_cost = contact_cost
        self.incentive = incentive
        self.save_rate = save_rate
        self.redemption = redemption
        self.seed = seed
        self.sample = sample

    def fit(self, log: Transactions, as_of: Any) -> Self:
        """Train on what the log knew on a day.

        Parameters
        ----------
        log : Transactions
            All orders; those after `as_of` are not looked at. Of a log on Spark, counts and the lines of `sample`
            customers come to this machine.
        as_of : str or date
            The day of the training.

        Returns
        -------
        ClvModel
            Itself.

        Raises
        ------
        DataError
            Where nobody had bought by then.
        OptionError
            For a setting that is out of range, and for sample=None where the log is on Spark.

        Warns
        -----
        ClvWarning
            For each of `notes_` that lowers what the scores can be trusted with, such as a log that is short for the
            horizon.
        """
        check_log(log)
        for name in ("good_share", "bad_share"):
            check_share(name, getattr(self, name))
        self._economics(1.0)  # refuses costs that are none before anything is learned
        progress = Progress("fit", 4)
        part, now = self._learn_values(log, as_of, progress, trial=True)
        self.leaving_ = LeavingModel(seasonality=self.seasonality, seed=self.seed).fit(
            part, self.as_of_, self.value_.purchases_, self.window_, now=now
        )
        if self.leaving_.season_ is not None:
            self.notes_.append(self.leaving_.season_.clock.reason)
        progress.step()
        rule = scoring.TierRule(
            self.model_,
            self.leaving_,
            self.horizon_days_,
            self.margin_,
            self.good_share,
            self.bad_share,
            self.as_of_,
        )
        values = rule.values(now)
        if _samples(part, log):
            self.cutoffs_ = cutoffs_of_base(log, rule, self.window_)
        else:
            self.cutoffs_ = self.tier_cutoffs(values.tier_value, values.contribution)
        good = segments.assign_tiers(values.tier_value, values.contribution, self.cutoffs_) == segments.GOOD
        self.economics_ = self._economics(float(np.median(values.value_if_kept[good if good.any() else slice(None)])))
        progress.step()
        return self

    def _fit_values(self, log: Transactions, as_of: Any) -> tuple[Self, pd.DataFrame]:
        """The same without who is about to leave, tiers and flag, and without a trial: `model_` predicts, `predict` and
        `score` do not. For a backtest, in less than two thirds of the time. Itself, and the rows of `frame`.
        """
        part, now = self._learn_values(log, as_of, Progress("fit", 2), trial=False)
        return self, now if part is log else self.frame(log)

    def _learn_values(
        self, log: Transactions, as_of: Any, progress: Progress, *, trial: bool
    ) -> tuple[Transactions, pd.DataFrame]:
        """Learn `model_` and all that comes with it; the log of those it learned from, and its rows of that day."""
        if self.sample is not None:
            check_whole("sample", self.sample, least=MIN_SAMPLE_CUSTOMERS)
        check_seed(self.seed)
        day = as_date(as_of)
        self.as_of_, self.horizon_days_ = day.isoformat(), horizon_days(self.horizon, day)
        self.notes_ = _notes(log, day, self.horizon_days_)
        part = log if self.sample is None else log.sample(self.sample, day, self.seed)
        past = _snapshots(part, day, self.horizon_days_)
        summary = part.summarize(day, self.horizon_days_) if isinstance(past, DataError) else past.now
        progress.step()
        base = log.fit_tables(day) if _samples(part, log) else None
        closed = None if isinstance(past, DataError) else closed_note(past.closed)
        self.notes_ += ([closed] if closed else []) + break_notes(summary if base is None else base.counts, day)
        self.data_report_ = summary.attrs["data_report"] if part is log else log.check(day, examples=False).to_dict()
        if base is None:
            self.n_customers_ = len(summary)
            self.margin_ = self._margin(float(summary["amount"].sum()), float(summary["contribution"].sum()))
        else:
            self.n_customers_ = int(base.counts["customers"].sum())
            self.margin_ = self._margin(base.amount, base.contribution)
        value = LifetimeValueModel(
            purchases=ParetoNBDModel(),
            horizon=self.horizon_days_,
            discount_rate=self.discount_rate,
            margin=self.margin_,
        )
        special = calendar_of(self.calendar)
        self.calendar_ = {day_of_number(number).isoformat(): factor for number, factor in special.items()}
        whole = None if base is None else value.fit_base(base.counts, base.spend)
        self._learn(past, part.resources.n_workers, value, whole, summary, trial=trial)
        progress.step()
        for note in self.notes_:
            warnings.warn(note, ClvWarning, stacklevel=3)
        if self.level_ is not None:
            self.notes_.append(self.level_.reason)  # where the level comes from is no reason to warn
        same_window = isinstance(past, DataError) or past.window == self.window_
        return part, summary if same_window else self.frame(part)

    def _economics(self, good_value: float) -> Economics:
        return assumed_economics(good_value, self.contact_cost, self.incentive, self.save_rate, self.redemption)

    def _learn(
        self,
        past: Snapshots | DataError,
        threads: int,
        value: LifetimeValueModel,
        whole: LifetimeValueModel | None,
        summary: pd.DataFrame,
        *,
        trial: bool,
    ) -> None:
        """The hybrid where the past of the log can teach it, else the base alone with a note.

        value: the base to fit; whole: fitted to all customers, where the log is a sample of them.
        """
        churn = ChurnClassifier(
            value=value,
            seasonality=self.seasonality,
            calendar=self.calendar_,
            seed=self.seed,
            threads=threads,
            trial=trial,
        )
        try:
            if isinstance(past, DataError):
                raise past
            hybrid = HybridValueModel(churn=churn).fit(past)
        except DataError as error:
            base = whole or value.fit(summary)
            self.notes_.append(
                f"Predictions are those of {_base_name(base)} alone, without corrections learned from the log's own "
                f"past. {error}"
            )
            self.model_: HybridValueModel | LifetimeValueModel = base
            self.window_ = self.horizon_days_
            self.threshold_ = float(np.median(1.0 - base.p_return(summary)))
            return
        self.model_ = hybrid if whole is None else hybrid.rebased(whole)
        self.window_ = hybrid.churn_.window_
        if trial:
            self.threshold_ = hybrid.churn_.threshold_
        self.notes_ += hybrid.churn_.leaks_

    @property
    def value_(self) -> LifetimeValueModel:
        """BTYD, of which `model_` is the correction, or which it is."""
        self._check_fitted("model_")
        return self.model_.value_ if isinstance(self.model_, HybridValueModel) else self.model_

    @property
    def churn_(self) -> ChurnClassifier | None:
        """The classifier of `model_`; None where BTYD predicts alone."""
        self._check_fitted("model_")
        return self.model_.churn_ if isinstance(self.model_, HybridValueModel) else None

    @property
    def level_(self) -> Level | None:
        """Which level of all customers together was used, and why; None where the base predicts alone."""
        return None if self.churn_ is None else self.churn_.level_

    def _margin(self, amount: float, contribution: float) -> float:
        """What of the net amount is earned, over the whole base; CLV needs it above zero."""
        if amount > 0 and contribution > 0:
            return contribution / amount
        self.notes_.append(
            f"The base has brought {contribution:,.2f} on {amount:,.2f} net, so no share of the amount is earned: "
            "CLV is told in net amount (margin 1). Check margin, cost and service_cost."
        )
        return 1.0

    def frame(self, log: Transactions, as_of: Any = None) -> pd.DataFrame:
        """The rows that `predict` takes.

        Parameters
        ----------
        log : Transactions
            Orders; those after `as_of` are not looked at.
        as_of : str or date, optional
            By default the day of the training.

        Returns
        -------
        DataFrame
            Summary and features, one row a customer who had bought by then.
        """
        self._check_fitted("model_")
        check_log(log)
        return log.summarize(as_of or self.as_of_, self.window_)

    def predict(self, frame: Customers, horizon: int | str | None = None) -> pd.DataFrame:
        """Score some customers, with the tiers as they were cut in training.

        Parameters
        ----------
        frame : DataFrame, Series or dict
            Rows of `frame(log, as_of)`, all or some; a Series or dict is a single customer.
        horizon : int or str, optional
            How far ahead; by default as trained. Tier, state and flag stay those of the model's own horizon: who is
            good and may go does not depend on how far one looks.

        Returns
        -------
        DataFrame
            Scores, one row for each row of `frame`, in its order; docs/columns.md describes the columns.

        Raises
        ------
        DataError
            For a column that is missing, or a value that no history can have.
        """
        self._check_fitted("cutoffs_")
        rows = check_summary(summary_frame(frame), self.needs())
        return scoring.to_frame(scoring.scores_table(self.score_rows(rows, horizon), self.cutoffs_))

    def score(self, log: Transactions, as_of: Any = None, horizon: int | str | None = None) -> pd.DataFrame:
        """Score every customer of a log; the tiers are shares of this base on this day.

        Parameters
        ----------
        log : Transactions
            Orders; those after `as_of` are not looked at.
        as_of : str or date, optional
            Of what day; by default that of the training.
        horizon : int or str, optional
            How far ahead; by default as trained.

        Returns
        -------
        DataFrame
            Scores, one row a customer, sorted by customer_id; docs/columns.md describes the columns.

        Raises
        ------
        DataError
            Where nobody had bought by then.

        Warns
        -----
        ClvWarning
            Where the log ended long before that day, or ids of customers start anew in it since the training.
        """
        self._check_fitted("cutoffs_")
        check_log(log)
        day = as_date(as_of or self.as_of_)
        warn_of_silence(log.last_date, day)
        frame = self.frame(log, day)
        if day.isoformat() != self.as_of_:  # of which the training has said so
            warn_of_restart(frame, day)
        rows = self.score_rows(frame, horizon, cache=ForecastCache(log.lines))
        cutoffs = self.tier_cutoffs(rows.columns["tier_value"], rows.columns["contribution"])
        return scoring.to_frame(scoring.scores_table(rows, cutoffs))

    def score_rows(
        self, frame: pd.DataFrame, horizon: int | str | None = None, *, cache: ForecastCache | None = None
    ) -> scoring.ScoredRows:
        """The scores of a part of a base before its tiers are known; see `clvml.scores.score.score_rows`.

        Parameters
        ----------
        frame : DataFrame
            Rows of `frame(log, as_of)`.
        horizon : int or str, optional
            How far ahead; by default as trained.
        cache : ForecastCache, optional
            What the parts of a base have in common.

        Returns
        -------
        ScoredRows
        """
        self._check_fitted("cutoffs_")
        day = str(frame.attrs.get("as_of", self.as_of_))
        return scoring.score_rows(
            frame,
            self.model_,
            self.leaving_,
            self.economics_,
            as_of=day,
            horizon=self.horizon_days_ if horizon is None else horizon_days(horizon, day),
            own_horizon=self.horizon_days_,
            name=self.name,
            margin=self.margin_,
            level_sd=self.level_sd,
            cache=cache,
        )

    def tier_cutoffs(self, tier_value: Floats, contribution: Floats) -> segments.Cutoffs:
        """Where the tiers of a base begin.

        Parameters
        ----------
        tier_value, contribution : array of (n,)
            The columns of these names that `score_rows` gave.

        Returns
        -------
        Cutoffs
        """
        return segments.cutoffs(tier_value, contribution, self.good_share, self.bad_share)

    @property
    def level_sd(self) -> LevelSd:
        """How far the level of all customers together can be off: see `clvml.expected_totals`."""
        return LevelSd() if self.level_ is None else LevelSd(*self.level_.log_sd)

    def needs(self) -> tuple[str, ...]:
        """The columns that `predict` cannot do without.

        Returns
        -------
        tuple of str
        """
        columns = COLUMNS[:4] if self.churn_ is None and self.leaving_.members_ is None else COLUMNS
        return columns if self.leaving_.regularities_ is None else (*columns, "log_gaps")

    def without_corrections(self) -> Self:
        """The same by BTYD alone, which needs no more of a customer than frequency, recency, T and monetary_value."""
        base = copy.copy(self)
        base.model_, base.leaving_ = self.value_, self.leaving_.without_members()
        return base

    @property
    def name(self) -> str:
        """What the scores say of their model."""
        learned = "" if self.churn_ is None else " + snapshots"
        return f"{_base_name(self.value_)}{learned}, trained as of {self.as_of_}"

    def __repr__(self) -> str:
        """The settings that differ from their defaults; once fitted, what was learned and what to know of it."""
        if not hasattr(self, "economics_"):
            return super().__repr__()
        margin = "all" if self.margin_ == 1 else f"{self.margin_:.1%}"
        facts = (
            f"{self.n_customers_:,} customers, {self.horizon_days_} days ahead; {margin} of the amount is earned; "
            f"good from {self.cutoffs_.good_value:,.2f} if kept"
        )
        notes = [f"note: {note}" for note in self.notes_]
        return "\n".join([super().__repr__(), self.name, facts, *notes])

    def _repr_html_(self) -> str:
        """The same for a notebook."""
        if not hasattr(self, "economics_"):
            return card(super().__repr__())
        return card(
            self.name,
            figures=(
                Figure("customers", f"{self.n_customers_:,}"),
                Figure("days ahead", f"{self.horizon_days_:,}"),
                Figure("earned of the amount", f"{self.margin_:.3g}"),
                Figure("good from, if kept", f"{self.cutoffs_.good_value:,.2f}"),
            ),
            notes=(super().__repr__(), *self.notes_),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        self._check_fitted("cutoffs_")
        return {
            "type": "ClvModel",
            "settings": self.get_params(deep=False)
            | {
                "calendar": self.calendar_ or None,
                "sample": None if self.sample is None else int(self.sample),
            },
            "as_of": self.as_of_,
            "horizon_days": self.horizon_days_,
            "window": self.window_,
            "threshold": self.threshold_,
            "edges": list(self.cutoffs_),
            "leaving": self.leaving_.to_dict(),
            "economics": list(self.economics_),
            "margin": self.margin_,
            "n_customers": self.n_customers_,
            "notes": self.notes_,
            "data_report": self.data_report_,
            "model": self.model_.to_dict(),
        }

    @classmethod
    def from_dict(cls, payload: dict[str, Any]) -> Self:
        """The inverse of `to_dict`.

        Parameters
        ----------
        payload : dict
            What `to_dict` gave.

        Returns
        -------
        ClvModel

        Raises
        ------
        ModelError
            Where a part breaks its contract.
        """
        model = cls(**payload["settings"])
        model.as_of_, model.notes_, model.data_report_ = payload["as_of"], payload["notes"], payload["data_report"]
        model.horizon_days_, model.window_ = int(payload["horizon_days"]), int(payload["window"])
        model.n_customers_, model.margin_ = int(payload["n_customers"]), float(payload["margin"])
        model.threshold_ = float(payload["threshold"])
        model.cutoffs_ = segments.Cutoffs(*map(float, payload["edges"]))
        model.leaving_ = LeavingModel.from_dict(payload["leaving"])
        model.economics_ = Economics(*map(float, payload["economics"]))
        model.calendar_ = dict(payload["settings"]["calendar"] or {})
        corrected = payload["model"]["type"] == "HybridValueModel"
        model.model_ = (HybridValueModel if corrected else LifetimeValueModel).from_dict(payload["model"])
        return model

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write a folder of data only, whole or not at all; an older model of that name is replaced.

        Parameters
        ----------
        folder : str or path
            Where to.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        OptionError
            Where something else stands there.
        NotFittedError
        """
        return write_model(self.to_dict(), folder)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], expected_digest: str | None = None) -> Self:
        """The model that `save` wrote. Runs nothing of what is written there.

        Parameters
        ----------
        folder : str or path
            What `save` wrote.
        expected_digest : str, optional
            What `clvml.scores.saved.model_digest` of the folder must be.

        Returns
        -------
        ClvModel

        Raises
        ------
        ModelError
            Where anything is missing, unknown or not as saved.
        """
        payload = read_model(folder, expected_digest)
        try:
            return cls.from_dict(payload)
        except ModelError:
            raise
        except (ClvError, TypeError, KeyError, ValueError, AttributeError, OverflowError) as error:
            what = f"{type(error).__name__}: {error}"
            raise ModelError(f"The model in {folder} is damaged ({what}). Save or train the model again.") from None


MIN_SAMPLE_CUSTOMERS = 1_000


def _snapshots(log: Transactions, day: Any, horizon: int) -> Snapshots | DataError:
    """The past of a log, or why there is none to learn from."""
    try:
        return take_snapshots(log, day, horizon)
    except DataError as error:
        return error


def _samples(part: Transactions, log: Transactions) -> bool:
    """Whether a part, as `sample` gave it, has fewer customers than the log."""
    return part is not log and part.is_sample


def _base_name(value: LifetimeValueModel) -> str:
    return f"{value.purchases_.name} + Gamma-Gamma"


def _notes(log: Transactions, day: Any, horizon: int) -> list[str]:
    """What a user should know of the log before trusting the result."""
    history, notes = (day - log.first_date).days, []
    if horizon > history:
        notes.append(
            f"The horizon of {horizon} days is longer than the {history} days of history before as_of={day}: "
            "predictions extrapolate beyond anything the log has shown."
        )
    quiet = silence_note(log.last_date, day)
    return notes + ([quiet] if quiet else [])
