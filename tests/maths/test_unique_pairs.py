"""What depends on two numbers of a customer: worked out once a pair, found again, the same from any thread."""

import threading

import numpy as np
import pytest

from clvml.maths import unique_pairs
from clvml.maths.unique_pairs import UniquePairs, distinct
from clvml.resources import in_order


def product(x, y):
    return x * 1_000 + y


@pytest.mark.parametrize("cells", [2**26, 50])  # with a grid, and with numbers that no grid holds
def test_each_pair_finds_its_own(monkeypatch, cells):
    monkeypatch.setattr(unique_pairs, "_MAX_GRID_CELLS", cells)
    rng, pairs = np.random.default_rng(0), UniquePairs()
    for longest in (9, 40, 700):
        x, y = rng.integers(0, longest, 500).astype(float), rng.integers(0, longest, 500).astype(float)
        place = pairs.find(x, y)
        assert (pairs.column("product", product)[place] == product(x, y)).all()
        assert (pairs.column("sum", lambda x, y: x + y)[place] == x + y).all()
    again = pairs.find(x[::-1].reshape(5, 100), y[::-1].reshape(5, 100))
    assert (pairs.column("product", product)[again].ravel() == product(x, y)[::-1]).all()


def test_no_pairs_have_no_places():
    pairs = UniquePairs()
    assert pairs.find(np.empty(0), np.empty(0)).shape == (0,)
    assert pairs.find(np.empty((0, 3)), np.empty((0, 3))).shape == (0, 3)


def test_a_quantity_is_worked_out_once_a_pair():
    asked, pairs = [], UniquePairs()

    def compute(x, y):
        asked.append(x.size)
        return x + y

    x = np.array([1.0, 2.0, 1.0, 1.0])
    for y in (x, x, x + 1):
        place = pairs.find(x, y)
        assert (pairs.column("sum", compute)[place] == x + y).all()
    assert asked == [2, 2]


def test_ages_that_are_no_whole_numbers_are_not_rounded():
    pairs, x, y = UniquePairs(), np.zeros(4), np.array([1.25, 1.5, 1.25, 1.0])
    place = pairs.find(x, y)
    assert (pairs.column("sum", lambda x, y: x + y)[place] == y).all()


def test_rows_may_be_of_any_length():
    pairs = UniquePairs()
    for n in (2, 3, 1):
        place = pairs.find(np.arange(2.0), np.full(2, float(n)))
        rows = pairs.column("rows", lambda x, y: np.tile(y[:, None], int(y.max())))[place]
        assert (rows[:, :n] == n).all()
        assert (rows[:, n:] == 0).all()
    assert rows.shape == (2, 3)


def test_threads_may_share_one():
    pairs, errors = UniquePairs(), []

    def look(k):
        rng = np.random.default_rng(k)
        for _ in range(30):
            x, y = rng.integers(0, 60, 300).astype(float), rng.integers(0, 900, 300).astype(float)
            place = pairs.find(x, y)
            if (pairs.column("product", product)[place] != product(x, y)).any():
                errors.append(k)

    threads = [threading.Thread(target=look, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


@pytest.mark.parametrize("n", [1, 50, 5_000])
@pytest.mark.parametrize("spread", [5, 100_000])
def test_distinct_pairs(n, spread):
    rng = np.random.default_rng(n)
    x, y = rng.integers(0, spread, n).astype(float), rng.integers(0, spread, n).astype(float) / 7
    first, place = distinct(x, y)
    assert (x[first][place] == x).all()
    assert (y[first][place] == y).all()
    assert first.size == np.unique(np.column_stack([x, y]), axis=0).shape[0]


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_parts_are_worked_on_in_order(threads):
    drawn, here = [], threading.get_ident()

    def parts():
        for i in range(20):
            assert threading.get_ident() == here
            drawn.append(i)
            yield i

    done = []
    for value in in_order(lambda i: (i * i, threading.get_ident()), parts(), threads):
        done.append(value)
        assert len(drawn) <= len(done) + threads  # only so many ahead
    assert [value for value, _ in done] == [i * i for i in range(20)]
    assert (here in {where for _, where in done}) == (threads == 0)


def test_an_error_of_a_part_is_raised_in_its_turn():
    results = in_order(lambda i: 1 // (3 - i), range(9), 2)
    assert [next(results) for _ in range(3)] == [0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
