"""The logs that come with lifetimes, read without importing it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pandas as pd
import pytest

from clvml.errors import DataError
from clvml.orders.datasets import cdnow_path, load_cdnow, load_donations


def test_cdnow_master():
    log = load_cdnow()
    assert list(log.columns) == ["customer_id", "date", "quantity", "amount"]
    assert len(log) == 69_659
    assert log["customer_id"].nunique() == 23_570
    assert (log["amount"] == 0).sum() == 80
    assert log.duplicated().sum() == 255
    assert (log["date"].min(), log["date"].max()) == (pd.Timestamp("1997-01-01"), pd.Timestamp("1998-06-30"))
    assert cdnow_path().is_file()


def test_cdnow_sample_is_part_of_the_master():
    sample = load_cdnow(sample=True)
    assert sample["customer_id"].unique().tolist() == list(range(1, 2358))
    assert len(sample) == 6_919
    assert sample["amount"].sum() == pytest.approx(244_091.94, abs=1e-6)


def test_donations():
    donors = load_donations()
    assert list(donors.columns) == ["frequency", "recency", "periods", "weights"]
    assert donors["weights"].sum() == 11_104


def test_without_lifetimes(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="pip install lifetimes"):
        load_cdnow()


def test_what_needs_lifetimes_says_so_where_it_is_missing_and_all_else_works():
    code = """
import sys
sys.modules["lifetimes"] = None  # as if it were not installed
import pandas as pd
import clvml
from clvml.cli import main
for name in clvml.__all__:
    getattr(clvml, name)
log = pd.DataFrame({"customer_id": [1, 1, 2, 2, 3] * 4, "date": pd.date_range("2021-01-01", periods=20), "amount": 5.0})
model = clvml.BetaGeoModel(prior="weak").fit(clvml.Transactions(log).summarize("2021-01-31"))
for need in (clvml.load_cdnow, lambda: clvml.interop.to_lifetimes(model)):
    try:
        need()
    except clvml.errors.ClvError as error:
        print(error)
sys.exit(main(["demo", "--out", "demo"]))
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.stdout.count("pip install lifetimes") == 2
    assert "pip install lifetimes" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == 2


def test_lifetimes_is_not_imported():
    code = "import sys; from clvml import load_cdnow; load_cdnow(True); sys.exit('lifetimes' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
