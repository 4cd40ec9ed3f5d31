"""Amounts as people write them: read exactly where it is said how, refused where plain numbers would be wrong ones."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from clvml import Transactions, load_cdnow
from clvml.errors import DataError, OptionError
from clvml.redaction import ids_hidden

WRITTEN = {
    "27,70": "27.70",
    "1.234,50": "1234.50",
    "-1.234.567,8901": "-1234567.8901",
    "1 234,5": "1234.5",
    "1\u00a0234,50": "1234.50",
    "1\u202f234,50": "1234.50",
    "1'234,50": "1234.50",
    "1\u2019234,50": "1234.50",
    "1234,50": "1234.50",
    " 12,5 ": "12.5",
    "1.234": "1234",
    "+3": "3",
    ",5": "0.5",
    "5,": "5",
    "12.50": None,
    "1.23,5": None,
    "1,2,3": None,
    "1.2345,0": None,
    "12,50 EUR": None,
    ".": None,
    "0,1": "0.1",
}
"""Texts, and what they are where a comma stands before decimals."""


def rows_of(amounts):
    return pd.DataFrame({"customer_id": range(1, len(amounts) + 1), "date": "2024-01-01", "amount": amounts})


def comma(amount):
    """As a German spreadsheet writes it."""
    return f"{amount:,.2f}".translate(str.maketrans(",.", ".,"))


def amounts_read(rows, **settings):
    """What was booked of each customer, in the order of the rows; None where the line was dropped."""
    booked = Transactions(rows, **settings).activity("2023-12-31", "2024-01-01").set_index("customer_id")["amount"]
    return [Decimal(f"{booked[i]:.4f}") if i in booked.index else None for i in rows["customer_id"]]


def test_a_decimal_comma_is_read_exactly_and_what_is_none_is_counted():
    rows = rows_of(list(WRITTEN))
    expected = [None if number is None else Decimal(number) for number in WRITTEN.values()]
    assert amounts_read(rows, decimal=",") == expected
    report = Transactions(rows, decimal=",").check()
    assert report.rule("unparsable amount").rows == expected.count(None)
    assert "no number such as 1.234,50" in report.rule("unparsable amount").message


def test_a_decimal_point_reads_commas_between_thousands():
    written = ["1,234.50", "-1,234,567.8", "950.00", "1,234", "1 234.5", "12,50", "1,23.5"]
    expected = [Decimal(n) for n in ("1234.50", "-1234567.8", "950", "1234", "1234.5")]
    assert amounts_read(rows_of(written), decimal=".") == [*expected, None, None]


def test_words_for_no_number_are_counted_as_without_the_setting():
    rows = rows_of(["NaN", "inf", "", "5,0", "-"])
    found, plain = (Transactions(r, decimal=d).check() for r, d in ((rows, ","), (rows[rows.index != 3], None)))
    for rule in ("missing amount", "non-finite amount", "unparsable amount"):
        assert found.rule(rule).rows == plain.rule(rule).rows


def test_a_csv_of_another_country_is_the_same_log(tmp_path):
    log = load_cdnow(sample=True)
    there = pd.DataFrame(
        {"Kunde": log["customer_id"], "Tag": log["date"].dt.strftime("%d.%m.%Y"), "Umsatz": log["amount"].map(comma)}
    )
    there["Rohertrag"] = "0,4"
    there.to_csv(tmp_path / "umsatz.csv", sep=";", index=False)
    settings = {"customer": "Kunde", "date": "Tag", "amount": "Umsatz", "decimal": ",", "margin": "Rohertrag"}
    expected = Transactions(log, margin=0.4).summarize("1998-06-30")
    for state in (None, tmp_path / "state", tmp_path / "state"):
        got = Transactions(tmp_path / "umsatz.csv", state=state, **settings).summarize("1998-06-30")
        pd.testing.assert_frame_equal(got, expected, check_dtype=False)


@pytest.mark.parametrize("written", ["{:,.2f}", "{:,.0f}"])
def test_many_amounts_with_a_comma_are_not_dropped_but_refused(written):
    amounts = [written.format(amount) for amount in np.linspace(1.0, 5000.0, 50)]
    with pytest.raises(DataError, match=r"40 of 50 amounts in 'amount' have a comma, such as 1,021"):
        Transactions(rows_of(amounts))


def test_the_advice_is_the_setting_that_reads_them():
    for amounts, sign in (([comma(a) for a in range(900, 1100, 5)], ","), (["1,234.50"] * 10 + ["7"], ".")):
        with pytest.raises(DataError, match=rf"With decimal='{sign}' they are read\.$"):
            Transactions(rows_of(amounts))
        assert Transactions(rows_of(amounts), decimal=sign).dropped == 0
    with pytest.raises(DataError, match=r"such as 1,234\. Say what it is: decimal=',' takes it for a decimal comma, "):
        Transactions(rows_of(["1,234"] * 10))


def test_a_slip_among_many_is_dropped_and_counted():
    rows = rows_of(["5"] * 999 + ["1,5"])
    assert Transactions(rows).check().rule("unparsable amount").rows == 1


def test_points_between_thousands_are_not_taken_for_decimals():
    rows = rows_of(["1.072", "12.500", "1.200.000", *["1.100"] * 9, "950", "7"])
    with pytest.raises(
        DataError, match=r"12 of 14 amounts .* three digits after a point, such as 1\.200\.000, and the"
    ):
        Transactions(rows)
    assert amounts_read(rows, decimal=",")[:3] == [1072, 12500, 1200000]
    assert amounts_read(rows[rows["amount"] != "1.200.000"], decimal=".")[0] == Decimal("1.072")


@pytest.mark.parametrize(
    "amounts",
    [
        ["1.072"] * 10,  # a scale at most
        ["1.072"] * 9 + ["950"],  # too few to tell
        ["1.072"] * 10 + ["1.5", "950"],
        ["1.072"] * 10 + ["1000"],
        ["0.125"] * 10 + ["950"],
    ],
)
def test_other_numbers_with_three_decimals_are_numbers(amounts):
    assert Transactions(rows_of(amounts)).dropped == 0


def test_the_message_names_no_text_where_ids_are_hidden():
    with ids_hidden(), pytest.raises(DataError, match=r"have a comma\. With"):
        Transactions(rows_of(["1,5"] * 10))


def test_a_sign_that_is_none_is_refused():
    with pytest.raises(OptionError, match="decimal"):
        Transactions(rows_of(["5"]), decimal=";")
