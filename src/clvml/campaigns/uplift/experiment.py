"""A past campaign as data: who could have got what, who got it, and what came of it. Randomised, or refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import chdtrc

from clvml.checks import check_share
from clvml.errors import DataError, OptionError, did_you_mean
from clvml.estimators.encoding import Encoding

__all__ = ["Array", "Balance", "Experiment", "balance"]

Array = npt.NDArray[np.float64]
_UNBALANCED = 1e-4
"""Below this p-value the arms differ by more than chance leaves (one sound experiment in 10,000 is refused)."""
_MIN_ARM = 30


class Balance(NamedTuple):
    """Whether the arms are alike before the treatment: omnibus chi-square of all standardised differences."""

    p_value: float
    worst_feature: str
    worst_difference: float  # in standard deviations


@dataclass(frozen=True)
class Experiment:
    """A past campaign, one row a customer: the arm drawn, features known before, outcomes seen after.

    Made by `from_frame`, which checks it.

    Attributes
    ----------
    arms : tuple of str
        Their names; the first is the control.
    arm : array of int, (n,)
        Which one each customer was in: positions in `arms`.
    propensity : array, (n, arms)
        Chance of each arm; every row sums to one.
    features, outcomes : DataFrame, (n, ...)
    assignment : str
        "randomised", "known propensity" or "observational".
    balance : Balance
        Whether the arms differed before the campaign.
    """

    arms: tuple[str, ...]
    arm: npt.NDArray[np.intp]
    propensity: Array
    features: pd.DataFrame
    outcomes: pd.DataFrame
    assignment: str  # "randomised", "known propensity" or "observational"
    balance: Balance

    @classmethod
    def from_frame(
        cls,
        data: pd.DataFrame,
        *,
        treatment: str,
        control: str,
        outcomes: Sequence[str],
        features: Sequence[str],
        customer: str | None = None,
        propensity: Mapping[str, float | str] | None = None,
        allow_observational: bool = False,
    ) -> Experiment:
        """Check and take over a table of a past campaign.

        Parameters
        ----------
        data : DataFrame
            One row a customer.
        treatment : str
            Column that names the arm of each customer.
        control : str
            The arm that got nothing.
        outcomes, features : sequence of str
            Columns measured after, and known before, the campaign.
        customer : str, optional
            Column of the customer, to refuse rows that repeat one.
        propensity : mapping of arm to float or str, optional
            Chance of each arm, as a number or as the name of a column; one arm may be left out. Default: the shares
            of the arms.
        allow_observational : bool
            Whether data that were not randomised are taken: the propensity is then estimated from the features, and
            rows outside [.05, .95] are left out. A guess, and marked as one.

        Returns
        -------
        Experiment
            Arms in `arms`, the control first.

        Raises
        ------
        DataError
            Where a column is missing or incomplete, an arm has fewer than 30 customers, a customer stands twice, or the
            arms differ by more than chance allows.
        OptionError
            For a control or a propensity that names no arm.

        References
        ----------
        Hansen, B. & Bowers, J. (2008). Covariate balance in simple, stratified and clustered comparative studies.
        Statistical Science 23 (the test that the arms are alike).

        Examples
        --------
        >>> import pandas as pd
        >>> from clvml import Experiment
        >>> data = pd.DataFrame({"arm": ["mail", "none"] * 50, "age": [20, 30] * 25 + [30, 20] * 25, "spend": 1.0})
        >>> Experiment.from_frame(data, treatment="arm", control="none", outcomes=["spend"], features=["age"]).arms
        ('none', 'mail')
        """
        outcomes, features = list(outcomes), list(features)
        _check_columns(data, [treatment, *outcomes, *features, *([customer] if customer else [])])
        _check_rows(data, treatment, outcomes, customer)
        names = data[treatment].astype("string").str.strip().to_numpy(dtype=object)
        arms = _arms(names, control)
        arm = np.searchsorted(arms[1:], names) + 1
        arm[names == control] = 0
        table = data[features].reset_index(drop=True)
        found = cls(
            arms=arms,
            arm=arm.astype(np.intp),
            propensity=_propensity(data, arms, arm, propensity),
            features=table,
            outcomes=data[outcomes].reset_index(drop=True).astype(np.float64),
            assignment="randomised" if propensity is None else "known propensity",
            balance=Balance(1.0, "", 0.0),
        )
        found = replace(found, balance=balance(found))
        if found.balance.p_value >= _UNBALANCED or (propensity is not None and not _is_constant(found.propensity)):
            return found
        if not allow_observational:
            raise DataError(
                f"The arms of '{treatment}' were not drawn at random: '{found.balance.worst_feature}' differs by "
                f"{abs(found.balance.worst_difference):.2f} standard deviations "
                f"(all features together: p {_small(found.balance.p_value)}). "
                "Who was chosen says nothing of the effect. Give the known chance of each arm in propensity={...}, "
                "or pass allow_observational=True and treat the result as a guess."
            )
        return _observational(found)

    @property
    def n(self) -> int:
        """Customers."""
        return len(self.arm)

    def outcome(self, name: str) -> Array:
        """One outcome of all customers.

        Parameters
        ----------
        name : str
            As in `outcomes`.

        Returns
        -------
        array of (n,)

        Raises
        ------
        OptionError
            For one that is not there.
        """
        known = [str(c) for c in self.outcomes]
        if name not in known:
            raise OptionError(
                f"The experiment has no outcome '{name}'.{did_you_mean(name, known)} It has: {', '.join(known)}."
            )
        return self.outcomes[name].to_numpy(np.float64)

    def with_profit(
        self,
        revenue: str,
        *,
        margin: float = 1.0,
        contact_cost: Mapping[str, float] | None = None,
        discount: Mapping[str, float] | None = None,
        discount_netted: bool = True,
        name: str = "profit",
    ) -> Experiment:
        """The same experiment with one more outcome: contribution of the revenue after goods, discount and contact.

        Parameters
        ----------
        revenue : str
            The outcome that holds it.
        margin : float
            Share of the list price left after cost of goods.
        contact_cost : mapping of arm to float, optional
            Per customer, in the currency of the revenue; arms left out cost nothing.
        discount : mapping of arm to float, optional
            Share d, given on ALL revenue of its arm.
        discount_netted : bool
            Whether the revenue is already net of it: revenue · (1 − (1 − margin) / (1 − d)) − contact cost; otherwise
            revenue · (margin − d) − contact cost.
        name : str
            Of the outcome added.

        Returns
        -------
        Experiment

        Raises
        ------
        OptionError
            For an outcome or arm that is not there, or a share out of range.
        """
        costs, shares = _by_arm(self.arms, contact_cost, "contact_cost"), _by_arm(self.arms, discount, "discount")
        check_share("margin", margin, one=True)
        for share in shares:
            check_share("discount", share, zero=True)
        kept = 1 - (1 - margin) / (1 - shares) if discount_netted else margin - shares
        profit = self.outcome(revenue) * kept[self.arm] - costs[self.arm]
        return replace(self, outcomes=self.outcomes.assign(**{name: profit}))


def balance(experiment: Experiment) -> Balance:
    """Omnibus balance of the features over the arms: sum of d' V⁻¹ d ~ chi-square (Hansen & Bowers 2008, section 3)."""
    if not experiment.features.shape[1]:
        return Balance(1.0, "", 0.0)
    encoding = Encoding.of(experiment.features)
    X = encoding.matrix(experiment.features)
    X = X - X.mean(axis=0)
    sizes = np.bincount(experiment.arm, minlength=len(experiment.arms))
    means = np.stack([X[experiment.arm == a].mean(axis=0) for a in range(len(sizes))])
    inverse = np.linalg.pinv(np.cov(X, rowvar=False).reshape(X.shape[1], -1))
    statistic = float(np.einsum("a,ai,ij,aj->", sizes, means, inverse, means))
    freedom = int(np.linalg.matrix_rank(X)) * (len(sizes) - 1)
    differences = (means[1:] - means[0]) / np.maximum(X.std(axis=0), 1e-12)
    _, at = np.unravel_index(np.argmax(np.abs(differences)), differences.shape)
    names = [
        *encoding.numeric,
        *(f"{c} missing" for c in encoding.flagged),
        *(f"{n} = {c}" for n, cs in encoding.words for c in cs),
    ]
    return Balance(
        float(chdtrc(max(freedom, 1), statistic)),
        names[at],
        float(differences[:, at][np.abs(differences[:, at]).argmax()]),
    )


def _check_columns(data: pd.DataFrame, wanted: list[str]) -> None:
    for name in wanted:
        if name not in data:
            raise DataError(
                f"The experiment has no column '{name}'.{did_you_mean(name, map(str, data))} "
                f"It has: {', '.join(map(str, data))}."
            )


def _check_rows(data: pd.DataFrame, treatment: str, outcomes: list[str], customer: str | None) -> None:
    if not outcomes:
        raise OptionError("outcomes is empty: name at least one column that was measured after the campaign.")
    for name in (treatment, *outcomes):
        gone = data[name].isna().to_numpy()
        if gone.any():
            raise DataError(
                f"{gone.sum()} of {len(data)} rows have no '{name}', the first is row {int(gone.argmax())}. "
                "Leaving them out would bias the comparison: fill them (no purchase is 0) or drop them knowingly."
            )
    if customer is not None:
        twice = data[customer].duplicated().to_numpy()
        if twice.any():
            raise DataError(
                f"{twice.sum()} rows repeat a '{customer}', the first is '{data[customer].iloc[int(twice.argmax())]}'. "
                "One row a customer, the unit that was randomised: add up the outcomes first."
            )


def _arms(words: npt.NDArray[Any], control: str) -> tuple[str, ...]:
    names, sizes = np.unique(words.astype(str), return_counts=True)
    if control not in names:
        raise OptionError(
            f"control='{control}' is no arm of the experiment.{did_you_mean(control, names)} "
            f"It has: {', '.join(names)}."
        )
    if len(names) < 2:
        raise DataError(
            f"All {len(words)} customers are in the arm '{control}': "
            "without a treated arm there is no effect to measure."
        )
    for name, size in zip(names, sizes, strict=True):
        if size < _MIN_ARM:
            raise DataError(
                f"Arm '{name}' has {size} customers; below {_MIN_ARM} no interval can be trusted. "
                "Leave it out or merge it."
            )
    return (control, *(str(n) for n in names if n != control))


def _propensity(
    data: pd.DataFrame, arms: tuple[str, ...], arm: npt.NDArray[Any], given: Mapping[str, float | str] | None
) -> Array:
    if given is None:
        return np.tile(np.bincount(arm, minlength=len(arms)) / len(arm), (len(arm), 1))
    unknown = [name for name in given if name not in arms]
    left_out = [name for name in arms if name not in given]
    if unknown or len(left_out) > 1:
        wrong = f"names '{unknown[0]}', which is no arm" if unknown else f"leaves out {' and '.join(left_out)}"
        raise OptionError(
            f"propensity {wrong}. Give one number or column for every arm ({', '.join(arms)}); one arm may be left out."
        )
    columns: dict[str, Array] = {
        name: data[chance].to_numpy(np.float64) if isinstance(chance, str) else np.full(len(data), float(chance))
        for name, chance in given.items()
    }
    for name in left_out:
        columns[name] = 1.0 - np.sum(list(columns.values()), axis=0)
    chances = np.stack([columns[name] for name in arms], axis=1)
    off = ~((chances > 0).all(axis=1) & np.isclose(chances.sum(axis=1), 1.0))
    if off.any():
        raise DataError(
            f"propensity: in {off.sum()} rows the chances of the arms are not all above 0 with sum 1, "
            f"the first in row {int(off.argmax())}."
        )
    return chances


def _small(p: float) -> str:
    return f"= {p:.0e}" if p >= 1e-16 else "< 1e-16"


def _is_constant(propensity: Array) -> bool:
    return bool(np.ptp(propensity, axis=0).max() < 1e-12)


def _by_arm(arms: tuple[str, ...], given: Mapping[str, float] | None, name: str) -> Array:
    unknown = [a for a in given or {} if a not in arms]
    if unknown:
        raise OptionError(
            f"{name} names '{unknown[0]}', which is no arm.{did_you_mean(unknown[0], arms)} "
            f"The arms are: {', '.join(arms)}."
        )
    return np.array([float((given or {}).get(a, 0.0)) for a in arms])


def _observational(experiment: Experiment) -> Experiment:
    """Propensity estimated out of fold by logistic regression; rows without overlap (outside [.05, .95]) left out."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    X = Encoding.of(experiment.features).matrix(experiment.features)
    chances = cross_val_predict(LogisticRegression(max_iter=1000), X, experiment.arm, cv=5, method="predict_proba")
    keep = ((chances >= 0.05) & (chances <= 0.95)).all(axis=1)
    if keep.sum() < _MIN_ARM * len(experiment.arms):
        raise DataError(
            f"Only {keep.sum()} of {experiment.n} customers could have been in any arm: "
            "the arms hardly overlap, so nothing can be compared."
        )
    return replace(
        experiment,
        arm=experiment.arm[keep],
        propensity=chances[keep],
        features=experiment.features[keep].reset_index(drop=True),
        outcomes=experiment.outcomes[keep].reset_index(drop=True),
        assignment="observational",
    )
