"""Who looks like a good customer at the first order already: learned on earlier cohorts, tested on later ones."""

from __future__ import annotations

import textwrap
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvml.checks import check_share, check_whole
from clvml.errors import DataError
from clvml.estimators.encoding import Encoding
from clvml.horizon import MAX_HORIZON_DAYS, as_date
from clvml.insights.attributes import attributes_of, bought_after
from clvml.insights.profiles import cliffs_delta
from clvml.maths.metrics import NORMAL_95
from clvml.orders.transactions import Transactions
from clvml.tables import canonical_ids

__all__ = ["LookAlikes", "look_alikes"]

Array = npt.NDArray[np.float64]
MIN_CUSTOMERS = 50
"""On either side of the split, below which nothing is learned."""
LEAST_LIFT = 1.1
"""Good customers among the first tenth, over their share in all, from which to act on the first tenth."""


@dataclass(frozen=True, repr=False)
class LookAlikes:
    """A ranking of customers by their chance of becoming good, and what later cohorts say about it.

    Attributes
    ----------
    learned_on, tested_on : int
        Customers of the earlier and of the later cohorts.
    split : str
        First day of the later cohorts, YYYY-MM-DD.
    days : int
        A good customer is in the top share by contribution within so many days after the first order.
    top : float
        That share.
    auc, auc_low, auc_high : float
        On the later cohorts, with its 95% interval.
    lift : float
        Share of good customers among the top 10% of the later cohorts, over their share in all.
    encoding, model
        How attributes become numbers, and the classifier.
    """

    learned_on: int
    tested_on: int
    split: str
    days: int
    top: float
    auc: float
    auc_low: float
    auc_high: float
    lift: float
    encoding: Encoding = field(repr=False)
    model: Any = field(repr=False)

    @property
    def usable(self) -> bool:
        """Whether the ranking is better than chance on later cohorts."""
        return self.auc_low > 0.5

    def rank(self, attributes: pd.DataFrame) -> pd.DataFrame:
        """customer_id and chance of becoming good, the best first; attributes as of the first order."""
        chance = self.model.predict_proba(self.encoding.matrix(_logged(attributes)))[:, 1]
        table = pd.DataFrame({"customer_id": attributes["customer_id"].to_numpy(), "chance": chance})
        return table.sort_values("chance", ascending=False, kind="stable", ignore_index=True)

    def to_dict(self) -> dict[str, Any]:
        """The findings as plain values, without the model."""
        found = asdict(self) | {"usable": self.usable}
        return {k: v for k, v in found.items() if k not in ("encoding", "model")}

    def __str__(self) -> str:
        text = (
            f"Learned on {self.learned_on:,} customers, tested on {self.tested_on:,} who came from {self.split} on: "
            f"AUC {self.auc:.3f} ({self.auc_low:.3f} to {self.auc_high:.3f}), "
            f"{self.lift:.2f} times as many good customers among the top 10%. "
        )
        if not self.usable:
            text += "Not better than chance: do not use it."
        elif self.lift < LEAST_LIFT:
            text += "Better than chance in order, but its first tenth holds hardly more good customers than others do."
        else:
            text += "Usable."
        return "\n".join(textwrap.wrap(text, 98))

    def __repr__(self) -> str:
        return str(self)


def look_alikes(
    log: Transactions,
    as_of: Any,
    *,
    days: int = 180,
    top: float = 0.20,
    test_share: float = 0.30,
    attributes: pd.DataFrame | None = None,
) -> LookAlikes:
    """Learn from first orders who becomes a good customer, and test it on later cohorts.

    A customer is good if they are in the top share by contribution in the `days` after the first order. Only those
    whose days have passed by `as_of` take part. The latest of them by first order are kept for the test, and only those
    learned from whose days had passed before the first of these came.

    Parameters
    ----------
    log : Transactions
        The order log.
    as_of : date-like
        The last day that may be known.
    days : int, default 180
        After the first order.
    top : float, default 0.20
        Share of customers that are good.
    test_share : float, default 0.30
        Share of customers, by first order, that are kept for the test.
    attributes : pandas.DataFrame, optional
        First-order attributes of your own: customer_id and columns. Without it those of the log: amount, weekday and
        month of the first order, and the channel.

    Returns
    -------
    LookAlikes

    Raises
    ------
    OptionError
        If a share is none, or `days` is below 1 or more than a hundred years.
    DataError
        If the log is too short, or nobody bought again.

    Examples
    --------
    >>> from clvml import Transactions, load_cdnow, look_alikes
    >>> found = look_alikes(Transactions(load_cdnow(sample=True)), "1997-09-30", days=20)
    >>> found.tested_on, found.usable
    (718, True)
    """
    check_share("top", top)
    check_share("test_share", test_share)
    check_whole("days", days, most=MAX_HORIZON_DAYS)
    label = bought_after(log, as_of, days)
    table = attributes_of(log, as_of, known_at="first_order") if attributes is None else attributes
    known = table.assign(_id=canonical_ids(table["customer_id"])).set_index("_id")
    label = label[pd.Series(canonical_ids(label["customer_id"]), index=label.index).isin(known.index)]
    known = known.loc[canonical_ids(label["customer_id"])].drop(columns="customer_id")
    first = label["first_date"].to_numpy()
    split = np.sort(first)[int((1 - test_share) * len(first))] if len(first) else np.datetime64("NaT", "D")
    learn, test = np.asarray(first + np.timedelta64(days, "D") < split), np.asarray(first >= split)
    if min(learn.sum(), test.sum()) < MIN_CUSTOMERS:
        raise DataError(
            f"Too short a log: {learn.sum()} customers to learn from and {test.sum()} to test on whose "
            f"{days} days after the first order passed by {as_date(as_of)} (at least {MIN_CUSTOMERS} each). "
            "Choose fewer days, or wait."
        )
    return _fit(known, label["contribution"].to_numpy(np.float64), learn, test, pd.Timestamp(split), days, top)


def _logged(attributes: pd.DataFrame) -> pd.DataFrame:
    """Numbers as sign(x) ln(1 + abs x): a hundred times the usual amount says little more than ten times it."""
    numbers = [c for c in attributes if pd.api.types.is_numeric_dtype(attributes[c]) and c != "customer_id"]
    values = attributes[numbers].astype(np.float64)
    return attributes.assign(**{str(c): np.sign(values[c]) * np.log1p(values[c].abs()) for c in numbers})


def _fit(
    known: pd.DataFrame,
    contribution: Array,
    learn: npt.NDArray[np.bool_],
    test: npt.NDArray[np.bool_],
    split: pd.Timestamp,
    days: int,
    top: float,
) -> LookAlikes:
    from sklearn.linear_model import LogisticRegression

    # Good is relative to one's own cohorts, so that a growing shop does not make all later customers good.
    good = np.zeros(len(contribution), dtype=np.bool_)
    for rows in (learn, test):
        good[rows] = (contribution[rows] > np.quantile(contribution[rows], 1 - top)) & (contribution[rows] > 0)
    if not (good[learn].sum() > 0 and good[test].sum() > 1):
        raise DataError(
            f"Nobody bought again within {days} days in one of the halves: there are no good customers to learn from."
        )
    known = _logged(known)
    encoding = Encoding.of(known[learn])
    model = LogisticRegression(C=0.1, max_iter=1000).fit(encoding.matrix(known[learn]), good[learn])
    chance = model.predict_proba(encoding.matrix(known[test]))[:, 1]
    delta, se = cliffs_delta(chance[good[test]], chance[~good[test]])
    leading = np.argsort(-chance, kind="stable")[: max(1, len(chance) // 10)]
    return LookAlikes(
        learned_on=int(learn.sum()),
        tested_on=int(test.sum()),
        split=str(split.date()),
        days=days,
        top=top,
        auc=(1 + delta) / 2,
        auc_low=(1 + delta - NORMAL_95 * se) / 2,
        auc_high=(1 + delta + NORMAL_95 * se) / 2,
        lift=float(good[test][leading].mean() / good[test].mean()),
        encoding=encoding,
        model=model,
    )
