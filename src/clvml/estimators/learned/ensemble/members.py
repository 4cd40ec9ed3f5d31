"""The learned members: straight lines for each quantity that BTYD expects, and boosted trees for what lines miss.

All learn on snapshots from which the origin's common factors are taken out: they tell who differs from whom, not what
the level is. R, the ridge regressions, are factors on BTYD's expectation, so that they stay near it where data are few;
hazards of return are first as far apart as those who came back bear out. P, Poisson boosting of purchases without an
offset, knows BTYD's expectation as one feature among others, and so repairs a base that is wrong. T boosts the amount
of a purchase over Gamma-Gamma's, among those who bought. C classifies who returns.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from clvml.estimators.learned.ensemble.boosting import Trees
from clvml.estimators.learned.ensemble.return_spread import ReturnSpread
from clvml.estimators.learned.expectation import Expectation, log_hazard
from clvml.maths.learners import glm
from clvml.maths.learners.trees import Forest

__all__ = ["Examples", "Members", "Views"]

Floats = NDArray[np.float64]

_MIN_EXPECTED = 0.01
"""Least expectation, as a share of the mean, that a factor is applied to: a factor on nothing would stay nothing."""
_TINY = 1e-300
"""Of those of whom nothing at all is expected a longer window expects as much."""
_MIN_CUSTOMERS = 100
"""Fewer customers than these, or of amounts fewer purchases, correct nothing."""
_MAX_LOG_MEAN = 50.0
"""Trees predict within exp(+-50) of the mean: no fit comes near, and nothing overflows."""
_MAX_LOG_FACTOR = 3.0
"""Corrections stay within exp(+-3) of BTYD."""
_AMOUNT_QUANTILE = 0.99
"""The quantile of amounts over expected ones up to which they are learned from."""


class Examples(NamedTuple):
    """What members learn from, one entry a customer and origin."""

    X: Floats
    purchases: Floats
    spend: Floats
    """At least 0."""
    expected: Expectation
    factors: Floats
    """(n, 3): the CommonFactors of each one's origin."""
    weight: Floats
    """One vote a customer."""


class Views(NamedTuple):
    """What the members make of each customer over the horizon; the trees' are None where data were too few."""

    purchases: Floats
    boosted_purchases: Floats | None
    """P."""
    ticket: Floats
    """The ridge's amount of a purchase."""
    boosted_ticket: Floats | None
    """T."""
    hazards: list[Floats]
    """Log cumulative hazards of return: R, then C where there is one."""
    base_hazard: Floats
    """BTYD's own, as far apart as is borne out, with the floor that keeps it and the purchases together."""
    outgrown: Floats
    """Logarithm of how much more than the hazard of return purchases grow from the window to the horizon; 0 within it.
    """


class Members(NamedTuple):
    """Coefficients of the ridges (intercept first), and the forests."""

    unit: tuple[float, float]
    """Mean purchases and returns of the examples, so that penalties and floors have no unit."""
    spread: ReturnSpread
    purchases_ridge: Floats
    ticket_ridge: Floats
    return_ridge: Floats
    purchases_trees: Forest | None
    ticket_trees: Forest | None
    return_trees: Forest | None

    @classmethod
    def learn(cls, of: Examples, penalty: float, trees: Trees, seed: int, *, spend: bool = True) -> Self:
        """From labelled rows of earlier origins. spend: else purchases and returns alone, in less time, and the amount
        of a purchase is what BTYD expects of it.
        """
        bought = (of.purchases > 0).astype(float)
        unit = (_unit(of.purchases), _unit(bought))
        purchases_level, _, hazard_level = of.factors.T
        n, amounts = of.purchases / unit[0], _Amounts.of(of) if spend else None
        ridge = partial(_ridge, X=of.X, weight=of.weight, penalty=penalty)
        hazard = _hazard_floored(of.expected.p_return, unit[1])
        spread = ReturnSpread.learn(hazard, bought, hazard_level, of.weight, penalty)
        lines = (
            ridge(glm.POISSON, y=n, offset=_log_floored(of.expected.purchases / unit[0]) + purchases_level),
            _no_line(of.X) if amounts is None else amounts.ridge(penalty),
            ridge(glm.HAZARD, y=bought, offset=hazard + spread.correction(hazard) + hazard_level),
        )
        if not _enough(bought):
            return cls(unit, spread, *lines, None, None, None)
        grow = _Grower(of, trees, seed)
        ticket = None if amounts is None else amounts.boosted(trees, seed)
        return cls(unit, spread, *lines, grow.purchases(n), ticket, grow.returns(bought))

    def views(self, X: Floats, near: Expectation, far: Expectation) -> Views:
        """near, far: what BTYD expects over the label window and over the horizon. What the members say of the window
        is carried to the horizon by the ratio of the two: so what never falls with the horizon there, does not here,
        and the least expectations stay shares of the window's, of which a single day has hardly any.
        """
        longer = (far.purchases + _TINY) / (near.purchases + _TINY)
        purchases = _factored(self.purchases_ridge, X, near.purchases, self.unit[0]) * longer
        ticket = far.ticket * np.exp(_line(self.ticket_ridge, X))
        later = log_hazard(far.p_return) - log_hazard(near.p_return)
        near_hazard = _hazard_floored(near.p_return, self.unit[1])
        base_hazard = near_hazard + self.spread.correction(near_hazard) + later
        hazards = [base_hazard + _line(self.return_ridge, X)]
        boosted = boosted_ticket = None
        if self.purchases_trees is not None:
            boosted = self.unit[0] * _exp_sums(self.purchases_trees, X) * longer
        if self.return_trees is not None:
            p = np.clip(expit(self.return_trees.sums(X)), 1e-6, 1 - 1e-6)
            hazards.append(log_hazard(p) + later)
        if self.ticket_trees is not None:
            log_factor = np.clip(self.ticket_trees.sums(X), -_MAX_LOG_FACTOR, _MAX_LOG_FACTOR)
            boosted_ticket = far.ticket * np.exp(log_factor)
        outgrown = np.maximum(np.log(np.maximum(longer, _TINY)) - later, 0.0)
        return Views(purchases, boosted, ticket, boosted_ticket, hazards, base_hazard, outgrown)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            name: part.tolist()
            if isinstance(part, np.ndarray)
            else part.to_dict()
            if isinstance(part, Forest)
            else part
            for name, part in self._asdict().items()
        }

    @classmethod
    def from_dict(cls, payload: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        purchases, returns = map(float, payload["unit"])

        def ridge(name: str) -> Floats:
            return np.asarray(payload[f"{name}_ridge"], dtype=float)

        def forest(name: str) -> Forest | None:
            saved = payload[f"{name}_trees"]
            return None if saved is None else Forest.from_dict(saved)

        return cls(
            (purchases, returns),
            ReturnSpread(*map(float, payload["spread"])),
            ridge("purchases"),
            ridge("ticket"),
            ridge("return"),
            forest("purchases"),
            forest("ticket"),
            forest("return"),
        )


class _Grower(NamedTuple):
    """Grows the forests of one set of examples."""

    of: Examples
    trees: Trees
    seed: int

    def purchases(self, n: Floats) -> Forest:
        """P: the label without the origin's common factor, which the weight makes up for."""
        from sklearn.ensemble import HistGradientBoostingRegressor

        factor = np.exp(self.of.factors[:, 0])
        learner = partial(HistGradientBoostingRegressor, loss="poisson")
        return self.trees.grow(learner, self.of.X, n / factor, self.of.weight * factor, self.seed)

    def returns(self, bought: Floats) -> Forest:
        """C."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        return self.trees.grow(
            HistGradientBoostingClassifier, self.of.X, bought.astype(np.int64), self.of.weight, self.seed
        )


class _Amounts(NamedTuple):
    """The amount of a purchase over what was expected, among those who bought."""

    X: Floats
    ratio: Floats
    weight: Floats
    """One vote a customer, as often as they bought."""

    @classmethod
    def of(cls, of: Examples) -> Self | None:
        """Of the largest amounts over those expected only as much counts as of one in a hundred: a single huge order
        would become a trait of all who look like its customer. The total of money stays: that of ratios is nothing
        that anybody spends, and one customer's, of whom refunds left nothing to expect, is beyond all others'. None
        where there are too few.
        """
        buyers = np.flatnonzero((of.spend > 0) & (of.purchases > 0))
        weight = (of.weight * of.purchases)[buyers]
        if min(of.weight.sum(), weight.sum()) < _MIN_CUSTOMERS:
            return None
        common = np.exp(of.factors[buyers, 1] - of.factors[buyers, 0])
        expected = of.expected.ticket[buyers] * common
        ratio = of.spend[buyers] / of.purchases[buyers] / expected
        counted, money = np.minimum(ratio, np.quantile(ratio, _AMOUNT_QUANTILE)), weight * expected
        return cls(of.X[buyers], counted * ((money @ ratio) / (money @ counted)), weight)

    def ridge(self, penalty: float) -> Floats:
        """The coefficients of R."""
        return glm.fit(glm.GAMMA, self.X, self.ratio, np.zeros(len(self.ratio)), self.weight, penalty)

    def boosted(self, trees: Trees, seed: int) -> Forest:
        """T."""
        from sklearn.ensemble import HistGradientBoostingRegressor

        return trees.grow(partial(HistGradientBoostingRegressor, loss="gamma"), self.X, self.ratio, self.weight, seed)


def _ridge(family: glm.Family, X: Floats, y: Floats, offset: Floats, weight: Floats, penalty: float) -> Floats:
    """The coefficients; none, so that BTYD stays as it is, with too few customers to correct it."""
    if weight.sum() < _MIN_CUSTOMERS:
        return _no_line(X)
    return glm.fit(family, X, y, offset, weight, penalty)


def _no_line(X: Floats) -> Floats:
    return np.zeros(X.shape[1] + 1)


def _enough(bought: Floats) -> bool:
    """Trees need a few hundred rows with both outcomes."""
    return len(bought) >= 300 and 50 <= int(bought.sum()) <= len(bought) - 50


def _unit(y: Floats) -> float:
    return max(float(y.mean()), 1e-9)


def _log_floored(expected: Floats) -> Floats:
    floored: Floats = np.log(np.maximum(expected, _MIN_EXPECTED))
    return floored


def _hazard_floored(p_return: Floats, unit: float) -> Floats:
    floored: Floats = log_hazard(np.maximum(p_return, _MIN_EXPECTED * unit))
    return floored


def _factored(beta: Floats, X: Floats, expected: Floats, unit: float) -> Floats:
    return unit * np.maximum(expected / unit, _MIN_EXPECTED) * np.exp(_line(beta, X))


def _exp_sums(trees: Forest, X: Floats) -> Floats:
    """What trees of logarithms predict, in units of the mean."""
    sums = trees.sums(X)
    return np.exp(np.clip(sums, -_MAX_LOG_MEAN, _MAX_LOG_MEAN, out=sums))


def _line(beta: Floats, X: Floats) -> Floats:
    """The log of the ridge's factor.

    Column by column: BLAS would wake threads of its own, which then spin beside those that score other batches.
    """
    factor, term = np.full(len(X), beta[0]), np.empty(len(X))
    for column, slope in zip(X.T, beta[1:], strict=True):
        factor += np.multiply(column, slope, out=term)
    np.clip(factor, -_MAX_LOG_FACTOR, _MAX_LOG_FACTOR, out=factor)
    return factor
