"""Coverage-guided fuzzing of saved models, by atheris: `python tasks.py fuzz [options of libFuzzer]`.

It alters one place of a model's file after another and keeps what reaches new lines of the readers, until a prediction
raises anything but ModelError, is no number, or takes longer than 20 seconds. What it finds it writes to a file
`crash-…`, which it takes as an argument to show it again.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris
from hypothesis import given, strategies as st

with atheris.instrument_imports(include=["clvml.scores", "clvml.estimators"]):
    from tests.scores.test_tampered_models import ANYTHING, loads_or_is_refused, saved_model

DEFAULTS = ["-max_total_time=60", "-timeout=20", "-max_len=512", "-len_control=0"]


def main() -> None:
    """Fuzz for a minute, or as the options say."""
    with tempfile.TemporaryDirectory() as place:
        saved = saved_model(Path(place))

        @given(at=st.integers(0, len(saved.places) - 1), value=ANYTHING)
        def altered(at: int, value: object) -> None:
            loads_or_is_refused(saved, saved.places[at], value)

        atheris.Setup([sys.argv[0], *DEFAULTS, *sys.argv[1:]], altered.hypothesis.fuzz_one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
