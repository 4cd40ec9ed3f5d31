"""What heads the flagged list wrongly is named by `clvml check`, pointed to by predict, and left out by --exclude."""

import re

import pandas as pd
import pytest

from clvml import load_cdnow

AS_OF = "1997-09-30"


@pytest.fixture(scope="module")
def folder(tmp_path_factory, trained):
    """A log with a test account that bought much and fell silent, and a model."""
    place = tmp_path_factory.mktemp("outliers")
    log = load_cdnow(sample=True)
    log["customer_id"] = [f"Cust-{i}" for i in log["customer_id"]]
    days = pd.date_range("1997-03-22", periods=12, freq="14D")
    test = pd.DataFrame({"customer_id": "test@shop.example", "date": days, "amount": 9_999.0})
    pd.concat([log, test]).to_csv(place / "log.csv", index=False)
    trained.save(place / "model")
    return place


def test_predict_points_to_the_test_account_among_the_flagged(folder, clvml):
    asked = ("--as-of", AS_OF, "--model", folder / "model", "--out", folder / "scores.parquet")
    out = " ".join(clvml("predict", folder / "log.csv", *asked)[1].split())
    assert "Look at test@shop.example (a test or house account): `clvml check` says why" in out
    code, out, err = clvml("predict", folder / "log.csv", *asked, "--exclude", "test@shop.example")
    assert (code, err) == (0, "")
    assert "test@shop" not in out
    assert "Look at" not in out
    assert not (pd.read_parquet(folder / "scores.parquet")["customer_id"] == "test@shop.example").any()


def test_predict_says_that_it_did_not_look_in_a_large_log(folder, clvml, monkeypatch):
    monkeypatch.setattr("clvml.cli.jobs.models.OUTLIER_LINES", 1_000)
    asked = ("--as-of", AS_OF, "--model", folder / "model", "--out", folder / "scores.parquet")
    code, out, _ = clvml("predict", folder / "log.csv", *asked)
    assert code == 0
    assert "were not looked for in so many lines; `clvml check` does" in " ".join(out.split())
    assert "Look at" not in out


def test_check_names_it_and_a_list_excludes_it(folder, clvml):
    out = clvml("check", folder / "log.csv")[1]
    assert "test or house accounts" in out
    assert "outsize orders" in out
    (folder / "out.txt").write_text("test@shop.example\n")
    out = clvml("check", folder / "log.csv", "--exclude", folder / "out.txt")[1]
    assert "excluded customer 12 dropped: left out" in " ".join(out.split())
    assert "test or house accounts" not in out
    code, _, err = clvml("check", folder / "log.csv", "--exclude", folder / "none.txt")
    assert (code, "There is no file" in err) == (2, True)


def test_predict_says_where_ids_start_anew(folder, clvml):
    log = load_cdnow(sample=True)
    late = pd.to_datetime(log["date"]) >= "1997-07-01"
    log["customer_id"] = log["customer_id"].astype(str).where(~late, "new-" + log["customer_id"].astype(str))
    log.to_csv(folder / "restart.csv", index=False)
    asked = ("--as-of", AS_OF, "--model", folder / "model", "--out", folder / "scores.parquet")
    code, out, _ = clvml("predict", folder / "restart.csv", *asked)
    assert code == 0
    shown = " ".join(out.split())
    assert re.search(
        r"Ids that start anew: 2,3\d\d customers bought before 1997-07-01 and none of them from then", shown
    )
    assert "Ids that start anew" not in clvml("predict", folder / "log.csv", *asked)[1]
