"""Only what changed is read: the same result as a full run, however the log is split into nights."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

from clvml import ClvModel, Transactions, load_cdnow
from clvml.cli import main
from clvml.errors import ClvWarning, DataError, OptionError
from clvml.horizon import as_date
from clvml.orders.state import manifest
from tests.support.logs import START, shop

AS_OF = "2024-12-31"
SEEDS = 60


def random_log(rng):
    """A small log with all that makes folding hard: orders of several lines and days, refunds under the order's id and
    loose ones, of the same day and later, free lines, lines twice, lines that do not count, costs, and settings.
    """
    n = int(rng.integers(20, 250))
    day = rng.integers(0, 60, n)
    rows = pd.DataFrame(
        {
            "customer_id": rng.integers(1, 12, n),
            "date": START.astype("datetime64[us]") + day.astype("timedelta64[D]"),
            "amount": rng.choice([0.0, 5.0, 5.0, 7.25, 20.0, -5.0, -7.25, -20.0, 0.1], n),
            "order": rng.choice(["a", "b", "c", "d", None], n),
            "cost": rng.choice([1.0, 2.5, np.nan], n),
            "handling": rng.choice([0.0, 1.5], n),
            "back": rng.random(n) < 0.1,
            "channel": rng.choice(["web", "shop", None], n),
            "town": rng.choice(["x", "y", None], n),
        }
    )
    rows.loc[rng.random(n) < 0.03, "date"] = pd.NaT
    rows = pd.concat([rows, rows.sample(n // 20, random_state=int(rng.integers(99)))], ignore_index=True)
    some = {
        "order": "order",
        "cost": "cost",
        "service_cost": rng.choice(["handling", 2.0]),
        "is_return": "back",
        "channel": "channel",
        "covariates": ("town",),
        "free_orders": True,
        "returns": rng.choice(["net", "ignore"]),
        "grain": rng.choice(["day", "week"]),
    }
    settings = {name: value for name, value in some.items() if rng.random() < 0.5}
    for name, value in settings.items():
        if isinstance(value, np.str_):
            settings[name] = float(value) if value == "2.0" else str(value)
    return rows, settings


def nights(rows, rng):
    """The log in parts, a night each: in order of time but for a few late lines, or in no order at all."""
    count = int(rng.integers(2, 6))
    if rng.random() < 0.3:
        night = rng.integers(0, count, len(rows))
    else:
        place = rows["date"].rank(method="first").fillna(0).to_numpy() / len(rows)
        late = np.where(rng.random(len(rows)) < 0.1, rng.integers(0, count, len(rows)), 0)
        night = np.minimum((place * count).astype(int) + late, count - 1)
    return [part for _, part in rows.groupby(night)]


def same(kept, full, as_of=AS_OF):
    """All that scores are made of, and the report; of a sample of the customers too."""
    try:
        other = full.summarize(as_of, 30)
    except DataError as error:  # of a first night with refunds alone
        with pytest.raises(DataError, match=re.escape(str(error))):
            kept.summarize(as_of, 30)
        return
    one = kept.summarize(as_of, 30)
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    assert one.attrs == other.attrs
    logs = (kept._log, full._log)
    days = [log.engine.frame(f"SELECT * FROM ({log.days(as_date(as_of))}) ORDER BY ALL") for log in logs]
    pd.testing.assert_frame_equal(*days, check_exact=True)
    assert (kept.first_date, kept.last_date) == (full.first_date, full.last_date)
    few = [log.sample(5, as_of).summarize(as_of, 30) for log in (kept, full)]
    pd.testing.assert_frame_equal(*few, check_exact=True)


@pytest.mark.parametrize("seed", [pytest.param(s, marks=[pytest.mark.slow] if s >= 6 else []) for s in range(SEEDS)])
def test_any_split_into_nights_gives_what_a_full_run_gives(seed, tmp_path):
    rng = np.random.default_rng(seed)
    rows, settings = random_log(rng)
    form, read = rng.choice(["csv", "parquet"]), 0
    (tmp_path / "log").mkdir()
    for i, part in enumerate(nights(rows, rng)):
        for j, piece in enumerate(np.array_split(np.arange(len(part)), int(rng.integers(1, 3)))):
            path = tmp_path / "log" / f"night{i}-{j}.{form}"
            lines = part.iloc[piece]
            lines.to_csv(path, index=False) if form == "csv" else lines.to_parquet(path)
        files = len(list((tmp_path / "log").iterdir()))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ClvWarning)
            kept = Transactions(tmp_path / "log", state=tmp_path / "state", **settings)
        told = f"State: all {files} files were read, for the first time." if i == 0 else "State: "
        assert kept.state_note.startswith(told)
        read += "new files read" in kept.state_note
        assert bool(caught) == (i > 0 and ", as " in kept.state_note)
        full = Transactions(tmp_path / "log", **settings)
        same(kept, full)
        if rng.random() < 0.3:
            middle = START + np.timedelta64(int(rng.integers(20, 50)), "D")
            if middle > START + np.timedelta64(20, "D") and full.first_date < middle.astype(object):
                same(kept, full, str(middle))
    assert read or form == "parquet"


@pytest.fixture
def log(tmp_path):
    """A folder with a file a month, and the whole log."""
    rows = shop(80, 300, refunds=0.2)
    (tmp_path / "log").mkdir()
    for month, part in rows.groupby(rows["date"].dt.strftime("%Y-%m")):
        part.to_parquet(tmp_path / "log" / f"{month}.parquet", index=False)
    return tmp_path / "log"


def opened(log, **settings):
    """The log with its state, and whether all was read again though it had been read before."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ClvWarning)
        kept = Transactions(log, state=log.parent / "state", **settings)
    assert [str(w.message) for w in caught] in ([], [kept.state_note])
    return kept, bool(caught)


def late_night(log):
    """A file of new orders, and of late ones for days long read."""
    rows = shop(80, 300, seed=1, refunds=0.2).iloc[::7]
    rows.to_parquet(log / "late.parquet", index=False)


def test_known_files_are_not_read_again(log, monkeypatch):
    """Their content is replaced by nonsense of the same size and time: whoever read it would fail."""
    opened(log)
    full = Transactions(log).summarize(AS_OF)
    for path in log.iterdir():
        stat = path.stat()
        path.write_bytes(b"\xff" * stat.st_size)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    kept, again = opened(log)
    assert not again
    assert kept.state_note == "State: nothing new, 10 files not read."
    pd.testing.assert_frame_equal(kept.summarize(AS_OF), full, check_exact=True)
    late_night(log)
    kept, again = opened(log)
    assert (again, kept.state_note) == (False, "State: 1 new files read, 10 known ones not.")
    assert kept.check().rows == full.attrs["data_report"]["rows"] + len(pd.read_parquet(log / "late.parquet"))


def _rewritten(log):
    path = log / "2023-03.parquet"
    pd.read_parquet(path).iloc[1:].to_parquet(path, index=False)


def _text_ids(log):
    pd.DataFrame({"customer_id": ["A1"], "date": [pd.Timestamp("2023-09-01")], "amount": [1.0]}).to_parquet(
        log / "new.parquet", index=False
    )


def _narrow(log):
    pd.DataFrame({"customer_id": [1], "date": [pd.Timestamp("2023-09-01")]}).to_parquet(log / "new.parquet")


CHANGES = {
    "2023-03.parquet has changed": _rewritten,
    "2023-03.parquet is gone": lambda log: (log / "2023-03.parquet").unlink(),
    "new files hold the column for customer as VARCHAR, not BIGINT": _text_ids,
    "the new files cannot be added: The log has no column 'amount'": _narrow,
    "clvml-state.json is damaged": lambda log: (log.parent / "state/clvml-state.json").write_text("{"),
    "of another version of clvml": lambda log: (log.parent / "state/clvml-state.json").write_text('{"format": 0}'),
    "is gone or damaged": lambda log: next((log.parent / "state").glob("lines-*")).unlink(),
    "part lines-": lambda log: os.truncate(next((log.parent / "state").glob("lines-*")), 99),
}


@pytest.mark.parametrize("reason", CHANGES)
def test_what_cannot_be_folded_in_is_rebuilt_and_said(log, reason):
    opened(log)
    CHANGES[reason](log)
    kept, again = opened(log)
    assert again
    assert reason in kept.state_note
    assert kept.state_note.startswith(f"State: all {len(list(log.iterdir()))} files were read, as ")
    pd.testing.assert_frame_equal(kept.summarize(AS_OF), Transactions(log).summarize(AS_OF), check_exact=True)
    assert not opened(log)[1]


@pytest.mark.parametrize(("first", "then"), [("17", "A17"), ("17", "017")])
def test_ids_that_turn_out_to_be_no_numbers_are_all_read_again(tmp_path, first, then):
    (tmp_path / "log").mkdir()
    for i, name in enumerate((first, then)):
        (tmp_path / f"log/{i}.csv").write_text(f"customer_id,date,amount\n{name},2023-01-0{i + 1},5\n")
        kept, again = opened(tmp_path / "log")
    assert again
    assert "ids are no longer all whole numbers" in kept.state_note
    assert kept.summarize(AS_OF)["customer_id"].tolist() == sorted([first, then])


def test_days_that_turn_out_to_be_first_are_all_read_again(tmp_path):
    (tmp_path / "log").mkdir()
    for i, day in enumerate(("3/4/2023", "13/4/2023")):
        (tmp_path / f"log/{i}.csv").write_text(f"customer_id,date,amount\n1,{day},5\n1,2023-01-01,5\n")
        kept, again = opened(tmp_path / "log")
    assert again
    assert str(kept.summarize(AS_OF)["last_date"][0].date()) == "2023-04-13"


@pytest.mark.parametrize("settings", [{"timezone": "Asia/Tokyo"}, {"returns": "ignore"}, {"margin": 0.3}])
def test_other_settings_read_all_again(log, settings):
    opened(log)
    kept, again = opened(log, **settings)
    assert again
    assert f"the setting {next(iter(settings))} is another" in kept.state_note
    full = Transactions(log, **settings)
    same(kept, full)


def test_a_file_that_was_only_copied_is_known_by_its_content(log):
    opened(log)
    for path in log.iterdir():
        os.utime(path, (1, 1))
    kept, again = opened(log)
    assert (again, kept.state_note) == (False, "State: nothing new, 10 files not read.")
    for path in log.iterdir():
        path.write_bytes(b"\xff" * path.stat().st_size)
        os.utime(path, (1, 1))
    assert not opened(log)[1], "the new times have been noted"


def test_many_nights_make_few_parts(tmp_path):
    rows = load_cdnow(sample=True)
    weeks = [part for _, part in rows.groupby(rows["date"].dt.strftime("%Y-%W"))]
    (tmp_path / "log").mkdir()
    for i, part in enumerate(weeks):
        part.to_csv(tmp_path / "log" / f"{i}.csv", index=False)
        if i % 2:
            assert not opened(tmp_path / "log")[1]
            assert len(list((tmp_path / "state").glob("lines-*"))) <= 32
    same(opened(tmp_path / "log")[0], Transactions(tmp_path / "log"), "1998-06-30")


def test_the_state_folder_is_for_the_state_alone(log, tmp_path):
    with pytest.raises(OptionError, match=r"holds other files, such as 2023-01\.parquet"):
        Transactions(log, state=log)
    (log / "state").mkdir()
    late_night(log)
    (log / "late.parquet").rename(log / "state" / f"lines-{'0' * 32}.parquet")
    with pytest.raises(OptionError, match="lies among the files of the log"):
        Transactions(log, state=log / "state")
    with pytest.raises(OptionError, match="named twice"):
        Transactions([log / "2023-01.parquet", log / "2023-01.parquet"], state=tmp_path / "other")
    with pytest.raises(OptionError, match="remembers files by name, and this log is a pandas frame"):
        Transactions(shop(5), state=tmp_path / "other")
    (tmp_path / "file").write_text("")
    with pytest.raises(OptionError, match="cannot be opened: File exists"):
        Transactions(log / "2023-01.parquet", state=tmp_path / "file")


def test_a_log_without_a_usable_line(tmp_path):
    (tmp_path / "log.csv").write_text("customer_id,date,amount\n1,nonsense,5\n")
    kept = Transactions(tmp_path / "log.csv", state=tmp_path / "state")
    with pytest.raises(DataError, match="None of the 1 rows can be used: 1 with unparsable date"):
        kept.summarize(AS_OF)
    (tmp_path / "log2.csv").write_text("customer_id,date,amount\n1,2023-01-01,-5\n1,2023-01-01,8\n")
    with pytest.raises(DataError, match=r"returns='error', and 1 lines are refunds\. Use"):
        Transactions(tmp_path / "log2.csv", state=tmp_path / "state2", returns="error").summarize(AS_OF)


def test_a_file_that_is_written_while_it_is_read_is_refused(log, monkeypatch):
    opened(log)
    before = (log.parent / "state/clvml-state.json").read_bytes()
    late_night(log)
    digest = manifest.sha256_of_file

    def grows(path):
        os.utime(path)
        return digest(path)

    monkeypatch.setattr(manifest, "sha256_of_file", grows)
    with pytest.raises(DataError, match=r"late\.parquet changed while it was read"):
        opened(log)
    assert (log.parent / "state/clvml-state.json").read_bytes() == before
    named = json.loads(before)
    assert {p.name for p in (log.parent / "state").glob("*.parquet")} == {part[0] for part in named["lines"]}


HOLD = """
import sys
from clvml import Transactions
log = Transactions(sys.argv[1], state=sys.argv[2])
print(log.state_note, flush=True)
input()
"""


def test_one_process_at_a_time_works_on_a_state(log, tmp_path):
    command = [sys.executable, "-c", HOLD, str(log), str(tmp_path / "state")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert "for the first time" in other.stdout.readline()
        with pytest.raises(OptionError, match=rf"state is being worked on by process {other.pid}\. Wait for its end"):
            Transactions(log, state=tmp_path / "state")
        other.kill()
    kept, again = opened(log)
    assert (again, kept.state_note) == (False, "State: nothing new, 10 files not read.")
    opened(log)  # in this process as often as one likes


def test_scores_and_models_of_many_nights_are_those_of_a_whole_log(log, tmp_path):
    """Late orders, refunds of old ones, a file that is corrected and one that is deleted."""
    model = ClvModel(horizon="13w").fit(Transactions(log), "2023-08-01")
    late = shop(80, 300, seed=1, refunds=0.2)
    changes = (
        lambda: None,
        lambda: late.iloc[::7].to_parquet(log / "late.parquet", index=False),
        lambda: _rewritten(log),
        (log / "2023-05.parquet").unlink,
        lambda: late.iloc[3::11].to_parquet(log / "later.parquet", index=False),
    )
    for night, change in enumerate(changes):
        change()
        day = str(as_date("2023-10-01") + pd.Timedelta(days=night))
        scores = [model.score(each, day, f"{13 - night}w") for each in (opened(log)[0], Transactions(log))]
        pd.testing.assert_frame_equal(*scores, check_exact=True)
    for name, each in (("kept", opened(log)[0]), ("full", Transactions(log))):
        ClvModel(horizon="13w").fit(each, "2023-10-01").save(tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "full").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "kept").iterdir())
    assert all((tmp_path / "kept" / name).read_bytes() == (tmp_path / "full" / name).read_bytes() for name in files)


@pytest.mark.slow
def test_a_model_trained_on_a_sample_is_that_of_a_whole_log(tmp_path):
    rows = load_cdnow(sample=True)
    (tmp_path / "log").mkdir()
    for night, part in enumerate((rows.iloc[::2], rows.iloc[1::2])):
        part.to_parquet(tmp_path / "log" / f"{night}.parquet", index=False)
        kept, _ = opened(tmp_path / "log")
    models = [
        ClvModel(horizon="13w", sample=1_000).fit(log, "1998-03-31") for log in (kept, Transactions(tmp_path / "log"))
    ]
    for name, model in zip(("kept", "full"), models, strict=True):
        model.save(tmp_path / name)
    for path in (tmp_path / "full").iterdir():
        assert path.read_bytes() == (tmp_path / "kept" / path.name).read_bytes()


def test_on_the_command_line(log, tmp_path, capsys):
    job = ["predict", str(log), "--as-of", AS_OF, "--model", str(tmp_path / "m"), "--state", str(tmp_path / "state")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ClvWarning)
        ClvModel(horizon="13w").fit(Transactions(log), "2023-10-01").save(tmp_path / "m")
    told = []
    for name in ("a.csv", "b.csv", "c.csv"):
        with pytest.raises(SystemExit) as left:
            main([*job, "--out", str(tmp_path / name)])
        assert left.value.code == 0
        told.append(capsys.readouterr())
        if name == "b.csv":
            (log / "2023-03.parquet").unlink()
    assert "State: all 10 files were read, for the first time." in told[0].out
    assert "State: nothing new, 10 files not read." in told[1].out
    assert "State: all 9 files were read, as " in told[2].out
    assert "2023-03.parquet is gone" in " ".join(told[2].err.split())
    assert all("432 days after the last order" in " ".join(each.err.split()) for each in told)
    assert not any("gone" in each.err for each in told[:2])
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    with pytest.raises(SystemExit):
        main([*job[:-2], "--out", str(tmp_path / "d.csv")])
    assert (tmp_path / "c.csv").read_bytes() == (tmp_path / "d.csv").read_bytes()
