"""Whether one forecast is better than others, or chance: their metrics on the same resampled customers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvml.estimators.baselines import Forecast
from clvml.maths import metrics
from clvml.resources import each_in_order

__all__ = ["paired_differences"]

Floats = NDArray[np.float64]

_LOSSES = (
    ("purchases", "deviance", -1),
    ("spend", "deviance", -1),
    ("spend", "gini", 1),
    ("return", "auc", 1),
    ("return", "brier", -1),
)
"""What differences are taken of: target, metric, and 1 where more is better."""
_CELLS_AT_ONCE = 200_000
"""Resampled weights measured at once: so many, and their sums, stay in the processor's cache."""


def paired_differences(
    forecasts: dict[str, Forecast], actual: pd.DataFrame, ours: str, bootstrap: int, seed: int, threads: int
) -> pd.DataFrame:
    """Ours less each baseline's, with the 2.5% and 97.5% points over resampled customers, the same ones for both.

    ours: the name of the forecast that the others are held against. One row a baseline, target and metric that both
    have: baseline, target, metric, difference, low, high, verdict.
    """
    draws = _resampled(forecasts, actual, ours, bootstrap, seed, threads)
    rows = []
    for name in (n for n in forecasts if n != ours):
        for target, metric, better in _LOSSES:
            own, theirs = draws[ours].get((target, metric)), draws[name].get((target, metric))
            if own is None or theirs is None:
                continue
            gap = own - theirs
            known = gap[1:][np.isfinite(gap[1:])]  # a resample of customers who are all alike has no AUC
            low, high = np.quantile(known, [0.025, 0.975]) if known.size else (np.nan, np.nan)
            rows.append((name, target, metric, gap[0], low, high, _word(better * low, better * high)))
    return pd.DataFrame(rows, columns=["baseline", "target", "metric", "difference", "low", "high", "verdict"])


def _word(low: float, high: float) -> str:
    low, high = min(low, high), max(low, high)
    return "better" if low > 0 else "worse" if high < 0 else "no clear difference"


def _resampled(
    forecasts: dict[str, Forecast], actual: pd.DataFrame, ours: str, bootstrap: int, seed: int, threads: int
) -> dict[str, dict[tuple[str, str], Floats]]:
    """Each metric of each forecast on the customers themselves (first) and on `bootstrap` resamples of them."""
    apart = {name: f for name, f in forecasts.items() if name == ours or f is not forecasts[ours]}
    tested = {name: _Tested.of(forecast, actual) for name, forecast in apart.items()}
    money = actual["spend"].to_numpy(float)
    by_money = metrics.Ranking.of(money)

    def measure(weight: Floats) -> dict[str, dict[tuple[str, str], Floats]]:
        best = metrics.gain_area(money, by_money, weight)
        return {name: dict(forecast.measure(weight, best)) for name, forecast in tested.items()}

    blocks = list(each_in_order(measure, _weights(len(actual), bootstrap, seed), threads))
    drawn = {
        name: {key: np.concatenate([block[name][key] for block in blocks]) for key in found}
        for name, found in blocks[0].items()
    }
    return {name: drawn.get(name, drawn[ours]) for name in forecasts}  # a champion may be ours


def _weights(n: int, bootstrap: int, seed: int) -> Iterator[Floats]:
    """Blocks of weights (b, n): ones first, then multinomial draws."""
    yield np.ones((1, n))
    rng = np.random.default_rng(seed)
    block = max(1, _CELLS_AT_ONCE // n)
    for start in range(0, bootstrap, block):
        b = min(block, bootstrap - start)
        drawn = rng.integers(0, n, size=(b, n)) + n * np.arange(b)[:, None]
        yield np.bincount(drawn.ravel(), minlength=b * n).reshape(b, n).astype(float)


class _Tested(NamedTuple):
    """What the metrics of a forecast need whatever the weights: losses, one a customer, and orders."""

    money: Floats
    bought: Floats
    losses: dict[tuple[str, str], Floats]
    by_spend: metrics.Ranking | None
    by_return: metrics.Ranking | None

    @classmethod
    def of(cls, forecast: Forecast, actual: pd.DataFrame) -> Self:
        counts, money = actual["purchases"].to_numpy(float), actual["spend"].to_numpy(float)
        bought, losses = (counts > 0).astype(float), dict[tuple[str, str], Floats]()
        purchases, spend, p_return, is_probability = forecast
        if purchases is not None:
            losses["purchases", "deviance"] = metrics.poisson_losses(counts, purchases, metrics.least(counts))
        if spend is not None:
            losses["spend", "deviance"] = metrics.tweedie_losses(money, spend, metrics.least(money))
        if p_return is not None and is_probability:
            losses["return", "brier"] = (p_return - bought) ** 2
        rankings = (None if score is None else metrics.Ranking.of(score) for score in (spend, p_return))
        return cls(money, bought, losses, *rankings)

    def measure(self, w: Floats, best: Floats) -> Iterator[tuple[tuple[str, str], Floats]]:
        """Each metric for weights (b, n). best: the gain area of the actual order."""
        for key, losses in self.losses.items():
            yield key, w @ losses / w.sum(axis=1)
        if self.by_spend is not None:
            yield ("spend", "gini"), metrics.share_of_best(metrics.gain_area(self.money, self.by_spend, w), best)
        if self.by_return is not None:
            yield ("return", "auc"), metrics.auc_of_ranking(self.bought, self.by_return, w)
