"""A table with a row a customer, made in passes: some customers at a time, the next while these are worked on.

Half of a large base fits in memory where all of it does not: a pass needs no spilling, and takes a third less of the
processor. An engine works beside Python, which never has more than one core.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from clvml.csvfiles import text
from clvml.engines import Engine

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["in_passes"]

_EVERY = 256
"""One customer in so many is looked at, to see where the passes part."""
_LEAST, _MOST = 250_000, 1_000_000
"""Customers of a pass: each reads the log anew."""
_PASSES = 4
"""Of a base between these: the first is waited for."""
_ROW_BYTES = 400
"""What a customer takes in a result."""


def in_passes(engine: Engine, sql: str, rows: int, room: int) -> Iterator[pd.DataFrame]:
    """The rows of a SELECT with a row a customer, in the order of customer_id, in frames of at most `rows`.

    room: bytes that the results may take. Nothing else may ask the engine until the last frame is there.
    """
    passes = [f"SELECT * FROM ({sql}) AS c{where} ORDER BY customer_id" for where in _ranges(engine, room)]
    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(engine.batches, passes[0], rows)
        for following in (*passes[1:], None):
            batches = coming.result()
            if following is not None:
                coming = ahead.submit(engine.batches, following, rows)
            while batches:
                yield batches.pop(0).to_pandas()


def _ranges(engine: Engine, room: int) -> list[str]:
    """Conditions on customer_id, ascending, that together take in everybody."""
    some = f"clean AND hash(customer_id) % {_EVERY} = 0"
    seen = [row[0] for row in engine.rows(f"SELECT DISTINCT customer_id FROM lines WHERE {some} ORDER BY customer_id")]
    each = min(_MOST, room // (2 * _ROW_BYTES), max(_LEAST, len(seen) * _EVERY // _PASSES))
    step = max(1, each // _EVERY)
    cuts = [text(cut) if isinstance(cut, str) else str(cut) for cut in seen[step : len(seen) - step // 2 : step]]
    below = [f"customer_id < {cut}" for cut in cuts]
    above = [f"customer_id >= {cut}" for cut in cuts]
    if not cuts:
        return [""]
    inner = [f"{low} AND {high}" for low, high in zip(above, below[1:], strict=False)]
    return [f" WHERE {condition}" for condition in (below[0], *inner, above[-1])]
