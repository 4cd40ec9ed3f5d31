"""Models of purchases that know more of a customer than purchases: channel, gender, age, …"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import gammaincc

from clvml.checks import check_amount
from clvml.errors import ClvWarning, DataError, ModelError, OptionError
from clvml.estimators.fit import fit
from clvml.estimators.histories import Histories, counts_of, histories_of
from clvml.estimators.purchases.model import PurchaseModel
from clvml.maths import HistoryModule, PurchaseModule
from clvml.maths.metrics import NORMAL_95
from clvml.maths.models.covariates import WithCovariates, params_type
from clvml.maths.sample import Floats
from clvml.tables import check_summary

__all__ = ["Covariate", "CovariateModel"]

_MAX_LEVELS = 50
_MISSING = "(missing)"


class Covariate(NamedTuple):
    """How a column enters the model: a number standardised, or a contrast of each level with the most common one."""

    name: str
    levels: tuple[str, ...]  # the most common first; none for a number
    mean: float
    spread: float

    @property
    def contrasts(self) -> tuple[str, ...]:
        """What each column of `matrix` compares, in words."""
        if not self.levels:
            return (f"{self.spread:.3g} more",)
        return tuple(f"{level}, not {self.levels[0]}" for level in self.levels[1:])

    def matrix(self, summary: pd.DataFrame) -> Floats:
        """(rows, contrasts). Warns of levels that it has not seen: they count as the most common one."""
        if not self.levels:
            values = _numbers(summary, self.name)
            standard: Floats = ((values - self.mean) / self.spread)[:, None]
            return standard
        words = _words(summary[self.name])
        new = ~words.isin(self.levels)
        if new.any():
            warnings.warn(
                f"{int(new.sum()):,} customers have a {self.name} that the model has not seen, such as "
                f"{words[new].iloc[0]!r}: they count as {self.levels[0]!r}. Train again once there are enough of them.",
                ClvWarning,
                stacklevel=2,
            )
        return np.column_stack([words == level for level in self.levels[1:]]).astype(np.float64)


def _learn(summary: pd.DataFrame, name: str, weight: Floats) -> Covariate:
    """The coding of a column. Raises DataError for one that says nothing or has too many levels."""
    column = summary[name]
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        values = _numbers(summary, name)
        mean = float(weight @ values / weight.sum())
        spread = math.sqrt(float(weight @ (values - mean) ** 2 / weight.sum()))
        if spread <= 1e-9 * max(1.0, abs(mean)):
            raise DataError(
                f"The covariate '{name}' is {mean:g} for all customers, so it explains nothing. Leave it out."
            )
        return Covariate(name, (), mean, spread)
    counts = pd.Series(weight).groupby(_words(column).to_numpy()).sum()
    levels = sorted(counts.index, key=lambda level: (-counts[level], level))
    if not 2 <= len(levels) <= _MAX_LEVELS:
        found = f"only one level, {levels[0]!r}" if len(levels) == 1 else f"{len(levels):,} levels"
        raise DataError(
            f"The covariate '{name}' has {found}. It must have 2 to {_MAX_LEVELS}: leave it out or group it."
        )
    return Covariate(name, tuple(levels), 0.0, 1.0)


def _words(column: pd.Series) -> pd.Series:
    return column.astype(object).where(column.notna(), _MISSING).astype(str)


def _numbers(summary: pd.DataFrame, name: str) -> Floats:
    values: Floats = pd.to_numeric(summary[name], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    bad = ~np.isfinite(values)
    if bad.any():
        raise DataError(
            f"The covariate '{name}' is no number in {int(bad.sum()):,} of {len(values):,} rows, first in row "
            f"{int(bad.argmax())}. Fill the gaps, or make it text: a missing text is a level of its own."
        )
    return values


class CovariateModel(PurchaseModel):
    """A model of purchases whose rate and drop-out may depend on columns of the summary.

    Text is compared with its most common level, numbers count per standard deviation. Each contrast has a multiplier of
    the mean rate of purchases and one of drop-out (its rate in Pareto/NBD, its odds in the others): params_ has them as
    rate_1, …, leave_1, …, and `effects` says what they stand for. The first four parameters are those of a customer
    with the most common levels and mean numbers.
    """

    _module: ClassVar[HistoryModule[Any]]
    coded_: tuple[Covariate, ...] = ()

    def __init__(
        self,
        *,
        time_unit: Literal["day", "week"] = "day",
        prior: Literal["weak"] | None = None,
        covariates: Sequence[str] = (),
        penalty: float = 1.0,
    ) -> None:
        super().__init__(time_unit=time_unit, prior=prior)
        self.covariates = covariates
        self.penalty = penalty

    def fit(self, summary: pd.DataFrame, y: None = None, sample_weight: ArrayLike | None = None) -> Self:
        """As every model, to its covariates too.

        Parameters
        ----------
        summary : pandas.DataFrame
            `frequency`, `recency`, `T` (days), and the covariates.
        y : None
            Not used.
        sample_weight : array-like of shape (n,), optional
            Customers that each row stands for.

        Returns
        -------
        the fitted model itself

        Raises
        ------
        DataError
            Also for a covariate that explains nothing, has too many levels, or gaps in its numbers.
        OptionError
        """
        check_amount("penalty", self.penalty)
        check_summary(summary, self._names())
        weight = counts_of(len(summary), sample_weight)
        self.coded_ = tuple(_learn(summary, name, weight) for name in self._names())
        return super().fit(summary, y, sample_weight)

    def _histories(self, summary: pd.DataFrame, sample_weight: ArrayLike | None = None) -> Histories:
        """The distinct histories; of customers with other covariates they are others."""
        if not self.coded_:
            return histories_of(summary, sample_weight)
        check_summary(summary, self._names())
        covariates = np.concatenate([c.matrix(summary) for c in self.coded_], axis=1)
        return histories_of(summary, sample_weight, covariates)

    def _columns(self) -> tuple[str, ...]:
        return *super()._columns(), *(c.name for c in self.coded_)

    @property
    def _memoryless(self) -> bool:
        """As in PurchaseModel; not where customers of other covariates have other rates."""
        return not self.coded_

    def _module_for(self, rows: Histories) -> PurchaseModule[Any]:
        if not self.coded_:
            return self._module
        z = np.zeros((rows.x.size, self._size())) if rows.covariates is None else rows.covariates
        return WithCovariates(self._module, z, z, float(self.penalty))

    def effects(self) -> pd.DataFrame:
        """What each covariate does to the rate of purchases and to drop-out.

        Returns
        -------
        pandas.DataFrame
            One row a contrast: `covariate`, `contrast`, and the multipliers `rate` and `leave` with their 95%
            intervals (`rate_low`, `rate_high`, …).

        Raises
        ------
        NotFittedError

        References
        ----------
        Fader, P. S. and Hardie, B. G. S. (2007). Incorporating time-invariant covariates into the Pareto/NBD and BG/NBD
        models. brucehardie.com, note 019.
        """
        self._check_fitted("params_")
        m = self._size()
        error = np.sqrt(np.diag(self.covariance_))[4:] / np.array(self.params_[4:])
        logs, rows = np.log(np.array(self.params_[4:])), [(c.name, t) for c in self.coded_ for t in c.contrasts]
        table = pd.DataFrame(rows, columns=["covariate", "contrast"])
        for name, part in (("rate", slice(0, m)), ("leave", slice(m, 2 * m))):
            table[name] = np.exp(logs[part])
            for end, sign in (("low", -1.0), ("high", 1.0)):
                with np.errstate(over="ignore"):  # not identified: the interval has no end
                    table[f"{name}_{end}"] = np.exp(logs[part] + sign * NORMAL_95 * error[part])
        return table

    def covariate_tests(self, summary: pd.DataFrame, sample_weight: ArrayLike | None = None) -> pd.DataFrame:
        """Likelihood-ratio tests: does a covariate explain the rate, drop-out, or both?

        Parameters
        ----------
        summary : pandas.DataFrame
            The rows of the fit.
        sample_weight : array-like of shape (n,), optional
            As of the fit.

        Returns
        -------
        pandas.DataFrame
            `covariate`, `part` ('rate', 'leave' or 'both'), `statistic` (twice the log-likelihood lost without it, no
            penalty), `df`, `p_value`.

        Raises
        ------
        DataError, NotFittedError
        OptionError
            For a model without covariates.
        """
        self._check_fitted("params_")
        rows = self._histories(summary, sample_weight)
        sample, z = self._sample(rows), rows.covariates
        if z is None:
            raise OptionError("There are no covariates to test: name them, as in covariates=('channel',).")
        whole = fit(WithCovariates(self._module, z, z), sample).log_likelihood
        edges, tests = np.cumsum([0, *(len(c.contrasts) for c in self.coded_)]), []
        for i, covariate in enumerate(self.coded_):
            without = np.delete(z, np.arange(edges[i], edges[i + 1]), axis=1)
            for part, rate, leave in (("rate", without, z), ("leave", z, without), ("both", without, without)):
                lost = 2.0 * (whole - fit(WithCovariates(self._module, rate, leave), sample).log_likelihood)
                df = len(covariate.contrasts) * (2 if part == "both" else 1)
                p_value = float(gammaincc(0.5 * df, 0.5 * max(lost, 0.0)))
                tests.append((covariate.name, part, max(lost, 0.0), df, p_value))
        return pd.DataFrame(tests, columns=["covariate", "part", "statistic", "df", "p_value"])

    @property
    def name(self) -> str:
        """The model and its covariates."""
        names = ", ".join(self._names())
        return f"{self._kind} by {names}" if names else self._kind

    def _names(self) -> tuple[str, ...]:
        names = (self.covariates,) if isinstance(self.covariates, str) else tuple(self.covariates)
        if len(set(names)) < len(names):
            raise OptionError(f"covariates={names!r} names a column twice.")
        return names

    def _size(self) -> int:
        return sum(len(c.contrasts) for c in self.coded_)

    def _check_settings(self) -> None:
        super()._check_settings()
        check_amount("penalty", self.penalty)

    def to_dict(self) -> dict[str, Any]:
        """As every model, and how the covariates are coded."""
        saved = super().to_dict()
        saved["settings"]["covariates"] = list(self._names())
        return saved | {"coded": [c._asdict() | {"levels": list(c.levels)} for c in self.coded_]}

    @classmethod
    def _params_type(cls, saved: dict[str, Any]) -> type[Any]:
        m = sum(len(c.contrasts) for c in _coded_from(saved))
        return params_type(cls._module.Params._fields, m, m) if m else cls._module.Params

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """The model that `to_dict` saved. Raises ModelError where it is not one."""
        model = super().from_dict(saved)
        model.coded_ = _coded_from(saved)
        names = [c.name for c in model.coded_]
        if model.covariates not in (names, tuple(names)):
            raise ModelError(
                f"The saved model's covariates {model.covariates!r:.60} are not those that are coded: {names}."
            )
        model.covariates = tuple(names)
        return model


def _coded_from(saved: dict[str, Any]) -> tuple[Covariate, ...]:
    """The codings of a saved model; none in models that were saved without."""
    try:
        found = [(c["name"], tuple(c["levels"]), c["mean"], c["spread"]) for c in saved.get("coded", [])]
    except (TypeError, KeyError, AttributeError):
        raise ModelError("The saved model's covariates are not as they were written. The file is damaged.") from None
    for name, levels, mean, spread in found:
        words = isinstance(name, str) and all(isinstance(v, str) for v in levels) and len(levels) != 1
        numbers = all(isinstance(v, int | float) and math.isfinite(v) for v in (mean, spread)) and spread > 0
        if not (words and numbers and len(levels) <= _MAX_LEVELS):
            raise ModelError(f"The saved model's covariate {name!r} is not as it was written. The file is damaged.")
    return tuple(Covariate(name, levels, float(mean), float(spread)) for name, levels, mean, spread in found)
