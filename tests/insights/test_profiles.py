"""What sets the best apart: effect sizes by their definition, no difference told as none, nothing from the future."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clvml.errors import DataError, OptionError
from clvml.insights.attributes import attributes_of, attributes_of_lines, bought_after
from clvml.insights.look_alikes import look_alikes
from clvml.insights.profiles import Difference, benjamini_hochberg, cliffs_delta, delta_of_shares, profile
from clvml.orders.transactions import Transactions


def log_lines(n: int = 600, seed: int = 0) -> pd.DataFrame:
    """Customers of channel 'web', and those with a large first order, come back more often; colour means nothing."""
    rng = np.random.default_rng(seed)
    first = pd.Timestamp("2010-01-01") + pd.to_timedelta(rng.integers(0, 540, n), unit="D")
    web, size = rng.random(n) < 0.5, rng.gamma(4, 25, n)
    rate = np.where(web, 0.012, 0.003) * (size / 100)
    rows = []
    for i in range(n):
        days = np.r_[0, np.cumsum(rng.exponential(1 / rate[i], 30))]
        dates = first[i] + pd.to_timedelta(
            np.floor(days[days < 730 - (first[i] - pd.Timestamp("2010-01-01")).days]), unit="D"
        )
        amounts = np.r_[size[i], rng.gamma(4, 25, len(dates) - 1)]
        rows.append(
            pd.DataFrame(
                {
                    "customer_id": i,
                    "date": dates,
                    "amount": amounts,
                    "channel": "web" if web[i] else "shop",
                    "colour": rng.choice(["red", "blue"]),
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


LINES = log_lines()


@pytest.fixture(scope="module")
def log() -> Transactions:
    return Transactions(LINES, channel="channel", covariates=("colour",))


@pytest.fixture(scope="module")
def scores(log: Transactions) -> pd.DataFrame:
    return log.summarize("2011-12-31").assign(value_if_kept=lambda s: s["contribution"], as_of="2011-12-31")


def test_cliffs_delta_by_its_definition():
    a, b = np.array([1.0, 3, 3, 5]), np.array([2.0, 3, 0])
    pairs = np.sign(a[:, None] - b[None, :])
    delta, se = cliffs_delta(a, b)
    assert delta == pytest.approx(pairs.mean())
    assert se == pytest.approx(np.sqrt(pairs.mean(axis=1).var(ddof=1) / 4 + pairs.mean(axis=0).var(ddof=1) / 3))


def test_delta_of_a_flag_is_the_difference_of_shares():
    a, b = np.array([1.0, 1, 0, 1]), np.array([0.0, 1, 0, 0, 0])
    assert cliffs_delta(a, b)[0] == pytest.approx(0.75 - 0.2)
    assert delta_of_shares(0.75, 4, 0.2, 5) == pytest.approx(cliffs_delta(a, b))


def test_delta_covers():
    """100 draws without a difference: fewer than 89 covering intervals of 95% would have chance 0.005."""
    rng = np.random.default_rng(0)
    found = [cliffs_delta(rng.exponential(size=40), rng.exponential(size=120)) for _ in range(100)]
    assert sum(abs(d) < 1.96 * se for d, se in found) >= 89


def test_benjamini_hochberg():
    np.testing.assert_allclose(benjamini_hochberg(np.array([0.01, 0.04, 0.03, 0.5])), [0.04, 0.16 / 3, 0.16 / 3, 0.5])
    assert len(benjamini_hochberg(np.array([]))) == 0


def test_first_orders_tell_whom_to_acquire(scores, log):
    found = profile(scores, log, top=0.2, known_at="first_order")
    significant = [(d.attribute, d.value) for d in found.differences if d.is_significant]
    assert ("first order amount", "") in significant
    assert {("channel", "web"), ("channel", "shop")} & set(significant)
    assert "purchases" not in {d.attribute for d in found.differences}
    assert "at their first order" in str(found)
    assert "first order amount: median" in str(found)
    assert "higher for the best in" in str(found)
    assert max(map(len, str(found).splitlines())) <= 100


def test_what_means_nothing_is_not_significant(scores, log):
    found = profile(scores, log, top=0.2)
    colour = next(d for d in found.differences if d.attribute == "colour")
    assert not colour.is_significant
    assert colour.low < 0 < colour.high
    assert next(d for d in found.differences if d.attribute == "channel").is_significant
    assert abs(found.differences[0].delta) == max(abs(d.delta) for d in found.differences)
    assert len(found.to_frame()) == len(found.to_dict()["differences"])


def test_what_the_value_is_worked_out_from_is_left_out_and_named(scores, log):
    found = profile(scores, log, top=0.2)
    assert found.left_out == ("purchases", "mean gap (days)", "days since last purchase", "amount per purchase")
    assert not set(found.left_out) & {d.attribute for d in found.differences}
    assert "Not compared, for value_if_kept is worked out from them: purchases" in str(found)


def test_an_attribute_of_many_words_takes_one_sentence():
    """Twelve months, of which half are frequent among the best: two of either kind are named, in one sentence."""
    rng = np.random.default_rng(0)
    month = rng.integers(0, 12, 6000)
    table = pd.DataFrame({"customer_id": np.arange(6000), "month": np.array(list("abcdefghijkl"))[month]})
    s = pd.DataFrame({"customer_id": np.arange(6000), "value_if_kept": month + rng.normal(size=6000)})
    found = profile(s, table, top=0.3)
    assert sum(d.is_significant for d in found.differences) == 12
    sentence = " ".join(line.strip() for line in str(found).splitlines()[1:])
    assert sentence.startswith("month is more often 'l'")
    assert sentence.count("of the best") == 4


def test_nothing_at_all_is_said_in_words():
    rng = np.random.default_rng(0)
    ids = np.arange(200)
    s = pd.DataFrame({"customer_id": ids, "value_if_kept": rng.normal(size=200)})
    assert "none of 1 attributes sets them apart" in str(
        profile(s, pd.DataFrame({"customer_id": ids, "x": rng.normal(size=200)}))
    )


def test_first_order_attributes_do_not_know_the_future(log):
    """Changing everything after each first day changes nothing."""
    first = LINES.groupby("customer_id")["date"].transform("min")
    changed = LINES.assign(amount=LINES["amount"].where(LINES["date"] == first, LINES["amount"] * 7 + 3))
    for one, two in (
        (
            attributes_of(log, "2011-12-31", known_at="first_order"),
            attributes_of(Transactions(changed, channel="channel"), "2011-12-31", known_at="first_order"),
        ),
        tuple(
            attributes_of_lines(t, "2011-12-31", columns=["channel", "colour", "amount"], known_at="first_order")
            for t in (LINES, changed)
        ),
    ):
        pd.testing.assert_frame_equal(one, two)


def test_attributes_of_lines():
    lines = pd.DataFrame(
        {
            "customer_id": [1, 1, 1, 2],
            "date": pd.to_datetime(["2011-01-03 10:00", "2011-01-03 11:00", "2011-02-01 09:00", "2011-03-05 12:00"]),
            "amount": [10.0, 30.0, 100.0, 5.0],
            "kind": ["a", "b", "c", "a"],
            "discount": [0.0, 0.2, 0.5, 0.1],
        }
    )
    first = attributes_of_lines(lines, "2011-12-31", columns=["kind", "discount"], known_at="first_order").set_index(
        "customer_id"
    )
    assert first.loc[1, ["first order amount", "lines of the first order", "kind"]].tolist() == [40.0, 2.0, "b"]
    assert first.loc[1, "discount"] == pytest.approx(0.1)
    assert first.loc[1, "weekday of the first order"] == "Monday"
    now = attributes_of_lines(lines, "2011-12-31", columns=["kind"]).set_index("customer_id")
    assert now.loc[1, ["purchases", "amount per purchase", "kind"]].tolist() == [2.0, 70.0, "c"]


def test_bought_after_counts_whole_windows_only(log):
    found = bought_after(log, "2011-12-31", 100)
    assert found["first_date"].max() <= pd.Timestamp("2011-12-31") - pd.Timedelta(days=100)
    row = found.iloc[3]
    own = LINES[(LINES["customer_id"] == row["customer_id"]) & (LINES["date"] > row["first_date"])]
    own = own[own["date"] <= row["first_date"] + pd.Timedelta(days=100)]
    assert row["contribution"] == pytest.approx(own["amount"].sum(), abs=1e-3)


def test_look_alikes_find_the_web_customers(log):
    found = look_alikes(log, "2011-12-31", days=150, top=0.25)
    assert found.usable
    assert found.auc > 0.65
    assert found.lift > 1.3
    ranked = found.rank(attributes_of(log, "2011-12-31", known_at="first_order"))
    best = LINES.drop_duplicates("customer_id").set_index("customer_id").loc[ranked["customer_id"].head(60), "channel"]
    assert (best == "web").mean() > 0.8
    assert "Usable" in str(found)
    assert set(found.to_dict()) == {
        "learned_on",
        "tested_on",
        "split",
        "days",
        "top",
        "auc",
        "auc_low",
        "auc_high",
        "lift",
        "usable",
    }


def test_look_alikes_say_when_there_is_nothing(log):
    rng = np.random.default_rng(0)
    noise = pd.DataFrame({"customer_id": np.arange(600), "x": rng.normal(size=600)})
    found = look_alikes(log, "2011-12-31", days=150, top=0.25, attributes=noise)
    assert not found.usable
    assert "Not better than chance" in str(found)


def test_messages(scores, log):
    with pytest.raises(OptionError, match="top=10 is not a share"):
        profile(scores, log, top=10)
    with pytest.raises(DataError, match="no column 'clw'"):
        profile(scores, log, by="clw")
    with pytest.raises(OptionError, match="known_at='now'"):
        profile(scores, log, known_at="now")
    with pytest.raises(DataError, match="none of the scored customers"):
        profile(scores, pd.DataFrame({"customer_id": ["x"], "a": [1.0]}))
    with pytest.raises(DataError, match="Too short a log: 0 customers to learn from"):
        look_alikes(log, "2011-12-31", days=500)
    with pytest.raises(OptionError, match="days=0 is not a whole number of 1 to 36,525"):
        look_alikes(log, "2011-12-31", days=0)
    with pytest.raises(DataError, match="no column 'kinds'"):
        attributes_of_lines(LINES, "2011-12-31", columns=["kinds"])
    with pytest.raises(DataError, match="no sales up to 2009-01-01"):
        attributes_of_lines(LINES, "2009-01-01")


def test_sentences_in_the_units_of_what_they_say():
    """An interval in the unit of the figure before it: in pairs of customers, or in points of a share."""
    number = Difference("returned share", "", 0.0019, 0.0, 0.15, 0.08, 0.23, 0.001, 0.001)
    assert number.sentence == (
        "returned share: median 0.2% of the best, 0.0% of the rest; higher for the best in 57% of pairs (54% to 62%)."
    )
    tied = Difference("returned share", "", 0.0, 0.0, 0.12, 0.08, 0.16, 0.001, 0.001)  # most have returned nothing
    assert tied.sentence == (
        "returned share: median 0.0% of both; of 100 pairs the best is higher in 12 more than lower (8 to 16)."
    )
    theirs = Difference("share_of_wallet", "", 45.0, 30.0, 0.15, 0.08, 0.23, 0.001, 0.001)
    assert "median 45 of the best, 30 of the rest" in theirs.sentence  # a column of the user's: in its own unit
    lower = Difference("mean gap", "", 10.0, 12.5, -0.5, -0.6, -0.4, 0.001, 0.001)
    assert lower.sentence.endswith("lower for the best in 75% of pairs (70% to 80%).")
    word = Difference("channel", "web", 0.4, 0.3, 0.1, 0.05, 0.15, 0.001, 0.001)
    assert word.sentence.endswith("(difference +10 p, +5 to +15).")


def test_few_customers_are_not_compared_and_no_interval_leaves_its_range():
    few = pd.DataFrame({"customer_id": range(17), "value_if_kept": np.arange(17.0)})
    known = pd.DataFrame({"customer_id": range(17), "size": np.arange(17.0), "way": ["a"] * 12 + ["b"] * 5})
    assert profile(few, known, top=0.1).differences == ()
    size = profile(few, known, top=0.3).differences[0]
    assert (size.attribute, size.delta, size.high) == ("size", 1.0, 1.0)
    noisy = known.assign(size=[0.0, 9, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 6.5, 15, 16])
    assert all(-1.0 <= d.low <= d.high <= 1.0 for d in profile(few, noisy, top=0.3).differences)


def test_words_are_compared_where_they_are_known():
    """Of the best half is known twice as often; among those of whom it is, no word is more frequent."""
    n = 400
    scores = pd.DataFrame({"customer_id": range(n), "value_if_kept": np.arange(n, 0, -1.0)})
    words = [None if i % 10 >= (8 if i < 200 else 4) else "ab"[i % 2] for i in range(n)]
    found = profile(scores, pd.DataFrame({"customer_id": range(n), "income": words}), top=0.5)
    told = {(d.attribute, d.value): d for d in found.differences}
    assert told["income where known", "b"].delta == 0.0
    assert told["income", "(missing)"].delta == pytest.approx(-0.4)
    assert told["income", "(missing)"].is_significant
    assert len(told) == 2
