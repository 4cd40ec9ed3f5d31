"""Which model of purchases describes these customers best, and why, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from clvml.errors import DataError, OptionError
from clvml.estimators.histories import counts_of
from clvml.estimators.purchases.discrete import BetaGeoBetaBinomialModel
from clvml.estimators.purchases.model import PurchaseModel
from clvml.estimators.purchases.models import (
    BetaGeoErlangModel,
    BetaGeoModel,
    ModifiedBetaGeoErlangModel,
    ModifiedBetaGeoModel,
    NBDModel,
    ParetoNBDModel,
)
from clvml.horizon import as_date
from clvml.maths import metrics
from clvml.maths.regularity import regularity
from clvml.maths.sample import Floats

__all__ = ["Comparison", "compare_models"]

_CLEAR_DIFFERENCE = 2.0
"""A smaller difference in AIC is none; so are fewer standard errors of a difference out of time."""
_MIN_REGULAR_K = 1.2
"""Above this k models of random gaps lose; below its inverse purchases come in bursts."""


@dataclass(frozen=True, repr=False)
class Comparison:
    """Models of purchases side by side, fitted to the same customers.

    Attributes
    ----------
    table : pandas.DataFrame
        One row a model, lowest AIC first: model, log_likelihood (all of days), parameters, aic, bic, k (stages of a
        gap; 1: random gaps), status; with a holdout purchases_deviance, purchases_bias, return_auc, return_brier.
    recommended : str
        Name of the model to use.
    reason : str
        Why, in words.
    models : dict of str to PurchaseModel
        The fitted models by name.
    regularity, regularity_error : float
        Wheat and Morrison's k of the gaps themselves, whatever the model, and its standard error; nan where the summary
        has no gaps.
    """

    table: pd.DataFrame
    recommended: str
    reason: str
    models: dict[str, PurchaseModel]
    regularity: float
    regularity_error: float

    def __str__(self) -> str:
        """The table and the recommendation."""
        shown = self.table.drop(columns="status").round(dict.fromkeys(("log_likelihood", "aic", "bic"), 1)).round(3)
        reason = f"{self.reason[0].upper()}{self.reason[1:]}"
        return f"{shown.to_string(index=False)}\n\nRecommended: {self.recommended}. {reason}"

    def __repr__(self) -> str:
        return str(self)


def compare_models(
    summary: pd.DataFrame,
    models: Sequence[PurchaseModel] | Mapping[str, PurchaseModel] | None = None,
    *,
    holdout: pd.DataFrame | None = None,
    sample_weight: ArrayLike | None = None,
) -> Comparison:
    """Fit each model to the summary, compare them, and recommend one.

    The recommendation is the lowest AIC; within 2 of it, the fewest parameters. With a holdout, models whose deviance
    out of time is clearly worse than the best one's (2 standard errors of the paired difference) are left out first.

    Parameters
    ----------
    summary : pandas.DataFrame
        One row a customer, as `Transactions.summarize` gives it.
    models : sequence or mapping of str to PurchaseModel, optional
        The models to compare, which stay as they are; without it the whole family, with those of regular gaps where
        the summary has `log_gaps`.
    holdout : pandas.DataFrame, optional
        What the same customers bought next, as `Transactions.split` gives it.
    sample_weight : array-like of shape (n,), optional
        Customers that each row stands for.

    Returns
    -------
    Comparison

    Raises
    ------
    DataError
        Where the summary breaks its contract, or the holdout is of other customers or days.
    OptionError
        Also for BG/BB beside others: its likelihood is of chances, not of days.

    References
    ----------
    Wheat, R. D. and Morrison, D. G. (1990). Estimating purchase regularity with two interpurchase times. Journal of
    Marketing Research 27(1).

    Examples
    --------
    >>> from clvml import BetaGeoModel, NBDModel, Transactions, compare_models, load_cdnow
    >>> summary = Transactions(load_cdnow(sample=True)).summarize("1997-09-30")
    >>> found = compare_models(summary, [BetaGeoModel(), NBDModel()])
    >>> found.recommended
    'BG/NBD'
    >>> found.reason
    'gaps between purchases are about random (k = 1); BG/NBD gains 181 log-likelihood units over NBD.'
    """
    named = _named(models, summary)
    fitted = {name: _fitted(model, summary, sample_weight) for name, model in named.items()}
    if models is None:  # of one stage they are the models without stages, which are there already
        fitted = {name: m for name, m in fitted.items() if not (isinstance(m, BetaGeoErlangModel) and m.k_ == 1)}
    fitted = {name if isinstance(models, Mapping) else model.name: model for name, model in fitted.items()}
    weight = counts_of(len(summary), sample_weight)
    k, error = _regularity(summary, weight)
    table = pd.DataFrame([_row(name, model) for name, model in fitted.items()])
    losses: dict[str, Floats] = {}
    if holdout is not None:
        actual, days = _actual(summary, holdout)
        measured, losses = _out_of_time(fitted, summary, actual, days, weight)
        table = table.merge(measured, on="model")
    table = table.sort_values("aic", kind="stable", ignore_index=True)
    behind = _clearly_worse(losses, weight)
    chosen = _choose(table, fitted, behind)
    reason = _reason(table.set_index("model"), chosen, k, fitted, behind)
    return Comparison(table, chosen, reason, fitted, k, error)


def _named(
    models: Sequence[PurchaseModel] | Mapping[str, PurchaseModel] | None, summary: pd.DataFrame
) -> dict[str, PurchaseModel]:
    """The models by name. Raises OptionError where there are none, or they cannot be compared."""
    if models is None:
        models = [BetaGeoModel(), ModifiedBetaGeoModel(), ParetoNBDModel(), NBDModel()]
        if "log_gaps" in summary.columns:
            models += [BetaGeoErlangModel(), ModifiedBetaGeoErlangModel()]
    named = dict(models) if isinstance(models, Mapping) else {repr(m): m for m in models}
    wrong = [name for name, model in named.items() if not isinstance(model, PurchaseModel)]
    if not named or wrong:
        found = f"{wrong[0]} is none" if wrong else "none was given"
        raise OptionError(f"models needs models of purchases, such as [BetaGeoModel(), ParetoNBDModel()]; {found}.")
    chances = [name for name, model in named.items() if isinstance(model, BetaGeoBetaBinomialModel)]
    if chances and len(named) > 1:
        raise OptionError(f"{chances[0]} counts chances, the others days: their likelihoods cannot be compared.")
    return named


def _fitted(model: PurchaseModel, summary: pd.DataFrame, sample_weight: ArrayLike | None) -> PurchaseModel:
    """A copy whose likelihood is of days, fitted."""
    settings = model.get_params(deep=False)
    if "time_unit" in settings:
        settings["time_unit"] = "day"
    return type(model)(**settings).fit(summary, sample_weight=sample_weight)


def _row(name: str, model: PurchaseModel) -> dict[str, Any]:
    return {
        "model": name,
        "log_likelihood": model.log_likelihood_,
        "parameters": model._n_parameters,
        "aic": model.aic_,
        "bic": model.bic_,
        "k": _stages(model),
        "status": model.status_.name,
    }


def _stages(model: PurchaseModel) -> int:
    return model.k_ if isinstance(model, BetaGeoErlangModel) else 1


def _regularity(summary: pd.DataFrame, weight: Floats) -> tuple[float, float]:
    if "log_gaps" not in summary.columns:
        return np.nan, np.nan
    x, t_x, log_gaps = (summary[c].to_numpy(float) for c in ("frequency", "recency", "log_gaps"))
    return regularity(x, t_x, log_gaps, weight)


def _actual(summary: pd.DataFrame, holdout: pd.DataFrame) -> tuple[Floats, int]:
    """Purchases of the summary's customers in its order, and over how many days. Raises DataError where they differ."""
    missing = [f"column {c}" for c in ("customer_id", "purchases") if c not in holdout.columns]
    missing += [f"attrs['{a}']" for a in ("cut", "end") if a not in holdout.attrs]
    if missing:
        raise DataError(f"The holdout lacks {', '.join(missing)}. Pass both parts of Transactions.split(cut, end).")
    cut, end = as_date(holdout.attrs["cut"], "cut"), as_date(holdout.attrs["end"], "end")
    as_of = summary.attrs.get("as_of", holdout.attrs["cut"])
    if as_date(as_of) != cut:
        raise DataError(f"The summary knows everything up to {as_of}, but the holdout begins after {cut}.")
    counts = holdout.set_index("customer_id")["purchases"].reindex(summary["customer_id"])
    if counts.isna().any():
        raise DataError(
            f"{int(counts.isna().sum()):,} of {len(summary):,} customers of the summary are not in the holdout."
        )
    return counts.to_numpy(float), (end - cut).days


def _out_of_time(
    fitted: dict[str, PurchaseModel], summary: pd.DataFrame, actual: Floats, days: int, weight: Floats
) -> tuple[pd.DataFrame, dict[str, Floats]]:
    """Metrics of the days after the cut, one row a model, and each customer's loss."""
    rows, losses, came_back = [], {}, (actual > 0).astype(float)
    for name, model in fitted.items():
        expected, p_return = model.expected_purchases(summary, days), model.p_return(summary, days)
        losses[name] = metrics.poisson_losses(actual, expected, metrics.least(actual, weight))
        rows.append(
            {
                "model": name,
                "purchases_deviance": float(weight @ losses[name] / weight.sum()),
                "purchases_bias": metrics.bias(actual, expected, weight),
                "return_auc": metrics.auc(came_back, p_return, weight),
                "return_brier": metrics.brier(came_back, p_return, weight),
            }
        )
    return pd.DataFrame(rows), losses


def _clearly_worse(losses: dict[str, Floats], weight: Floats) -> set[str]:
    """Models whose losses exceed the best one's by 2 standard errors of the paired difference."""
    if not losses:
        return set()
    best = min(losses, key=lambda name: float(weight @ losses[name]))
    behind = set()
    for name, loss in losses.items():
        gap = loss - losses[best]
        mean = float(weight @ gap / weight.sum())
        error = np.sqrt(float(weight @ (gap - mean) ** 2)) / float(weight.sum())
        if mean > _CLEAR_DIFFERENCE * error:
            behind.add(name)
    return behind


def _choose(table: pd.DataFrame, fitted: dict[str, PurchaseModel], behind: set[str]) -> str:
    """Among models with parameters of their own that are not behind out of time; among all, if that leaves none."""
    sound = {name for name, model in fitted.items() if model.status_.usable and name not in behind}
    rows = table[table["model"].isin(sound or set(fitted) - behind)]
    near = rows[rows["aic"] <= rows["aic"].min() + _CLEAR_DIFFERENCE]
    return str(near.sort_values(["parameters", "aic"], kind="stable")["model"].iloc[0])


def _reason(table: pd.DataFrame, chosen: str, k: float, fitted: dict[str, PurchaseModel], behind: set[str]) -> str:
    """Regularity, the gain over the best of the other models, and what the holdout said."""
    parts = []
    if k > _MIN_REGULAR_K:
        parts.append(f"gaps between purchases are regular (k = {k:.2g})")
    elif k < 1.0 / _MIN_REGULAR_K:
        parts.append(f"purchases come in bursts (k = {k:.2g}), which none of these models describes")
    elif np.isfinite(k):
        parts.append(f"gaps between purchases are about random (k = {k:.2g})")
    parts.append(_gain(table, chosen, fitted, behind))
    if behind:
        worse = ", ".join(sorted(behind))
        parts.append(f"out of time {worse} {'is' if len(behind) == 1 else 'are'} clearly worse by purchases")
    if not fitted[chosen].status_.usable:
        parts.append(fitted[chosen].status_.value[:-1])
    return "; ".join(parts) + "."


def _gain(table: pd.DataFrame, chosen: str, fitted: dict[str, PurchaseModel], behind: set[str]) -> str:
    """Log-likelihood over the best of those with other stages (is regularity worth it?), else over the next best."""
    others = [name for name in table.index if name != chosen]
    if not others:
        return f"{chosen} is the only model compared"
    stages = _stages(fitted[chosen])
    eligible = [name for name in others if _stages(fitted[name]) != stages] if stages > 1 else []
    runner_up = (eligible or others)[0]
    gain = float(table.loc[chosen, "log_likelihood"] - table.loc[runner_up, "log_likelihood"])
    gap = float(table.loc[runner_up, "aic"] - table.loc[chosen, "aic"])
    if abs(gap) < _CLEAR_DIFFERENCE:
        fewer = table.loc[chosen, "parameters"] < table.loc[runner_up, "parameters"]
        return f"{chosen} describes them as well as {runner_up}" + (" with fewer parameters" if fewer else "")
    if gap < 0.0:
        against = "predicted clearly worse" if runner_up in behind else "its parameters are not the data's alone"
        return f"{runner_up} has a lower AIC by {-gap:,.0f}, but {against}"
    if gain < 1.0:
        return f"{chosen} has fewer parameters than {runner_up} for about the same log-likelihood"
    return f"{chosen} gains {gain:,.0f} log-likelihood units over {runner_up}"
