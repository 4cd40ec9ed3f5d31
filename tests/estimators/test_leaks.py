"""Attributes that were filled in later are found; those that say nothing are not."""

import numpy as np
import pandas as pd

from clvml import LifetimeValueModel, Transactions, take_snapshots
from clvml.estimators.learned.ensemble.model import labelled_rows
from clvml.estimators.learned.leaks import leaking_attributes
from clvml.estimators.purchases.models import ParetoNBDModel
from tests.support.logs import day, shop


def notes(attribute):
    """Of a shop whose customers have an attribute by a function of (last day of purchase, number)."""
    rows = shop(400, 730, seed=4)
    last = rows.groupby("customer_id")["date"].transform("max")
    value = attribute(last.to_numpy(), rows["customer_id"].to_numpy())
    log = Transactions(rows.assign(age=pd.Series(value, dtype="object")), covariates=["age"])
    snapshots = take_snapshots(log, day(730), 91, n_origins=2)
    return leaking_attributes(labelled_rows(LifetimeValueModel(purchases=ParetoNBDModel()), snapshots, 10_000, 0))


def test_what_is_known_of_late_buyers_alone_is_a_leak():
    (note,) = notes(lambda last, _: np.where(last > np.datetime64(day(640)), "40", None))
    assert note.startswith("Attribute 'age' is known of")
    assert "its mere presence predicts" in note


def test_what_is_missing_at_random_is_none():
    assert notes(lambda _, who: np.where(who % 3 > 0, "40", None)) == []


def test_what_everybody_has_is_none():
    assert notes(lambda _, who: who.astype(str)) == []
