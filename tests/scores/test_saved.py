"""Saved models: the same predictions after a round trip, and nothing that was changed is loaded, let alone run."""

import json
import os
import shutil
import signal
import subprocess
import sys
from copy import copy as shallow
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clvml import ClvModel, Transactions, load_cdnow
from clvml.errors import ClvWarning, ModelError, NotFittedError, OptionError
from clvml.files import sha256
from clvml.scores.saved import MODEL_FORMAT, model_digest

SAME = {"check_exact": True}


@pytest.fixture(scope="module")
def saved(trained, tmp_path_factory):
    return trained.save(tmp_path_factory.mktemp("models") / "clv")


@pytest.fixture
def copy(saved, tmp_path):
    """A saved model that a test may spoil."""
    return Path(shutil.copytree(saved, tmp_path / "copy"))


def change(folder, name, content):
    """Change a file as an attacker would: with a new manifest."""
    (folder / name).write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] = {"bytes": len(content), "sha256": sha256(content)}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def edit(folder, how):
    told = json.loads((folder / "model.json").read_text())
    how(told["model"])
    change(folder, "model.json", json.dumps(told).encode())


class TestRoundTrip:
    def test_predictions_are_the_same_to_the_last_bit(self, saved, trained, trained_frame):
        again = ClvModel.load(saved)
        pd.testing.assert_frame_equal(again.predict(trained_frame), trained.predict(trained_frame), **SAME)
        pd.testing.assert_frame_equal(again.predict(trained_frame, "2y"), trained.predict(trained_frame, "2y"), **SAME)

    def test_everything_else_is_the_same_too(self, saved, trained):
        again = ClvModel.load(saved)
        assert again.to_dict() == trained.to_dict()
        assert repr(again) == repr(trained)
        assert again.name == trained.name

    def test_a_log_too_short_for_a_classifier(self, cdnow_log, tmp_path):
        with pytest.warns(ClvWarning) as told:
            model = ClvModel(horizon="8w").fit(cdnow_log, "1997-01-15")
        assert "without corrections learned from" in str(told[-1].message)
        frame = model.frame(cdnow_log)
        folder = model.save(tmp_path / "short")
        assert {p.name for p in folder.iterdir()} == {"model.json", "manifest.json"}
        again = ClvModel.load(folder)
        assert again.churn_ is None
        assert again.notes_ == model.notes_
        pd.testing.assert_frame_equal(again.predict(frame), model.predict(frame), **SAME)

    def test_the_same_model_gives_the_same_bytes(self, saved, trained, tmp_path):
        assert model_digest(trained.save(tmp_path / "again")) == model_digest(saved)

    def test_settings_may_be_numbers_of_numpy(self, trained, tmp_path):
        other = shallow(trained).set_params(seed=np.int64(3), good_share=np.float32(0.25))
        assert ClvModel.load(other.save(tmp_path / "m")).get_params()["good_share"] == 0.25

    def test_what_could_not_be_measured_is_missing_again(self, saved, trained, tmp_path, monkeypatch):
        audit = trained.churn_.audit_._replace(returned_later=float("nan"))
        monkeypatch.setattr(trained.churn_, "audit_", audit)
        assert np.isnan(ClvModel.load(trained.save(tmp_path / "nan")).churn_.audit_.returned_later)

    def test_no_customer_is_inside(self, tmp_path):
        log = load_cdnow(sample=True).query("customer_id <= 800")
        log["customer_id"] = [f"shopper-{i}" for i in log["customer_id"]]
        folder = ClvModel(horizon="26w").fit(Transactions(log), "1997-09-30").save(tmp_path / "model")
        for path in folder.iterdir():
            assert b"shopper" not in path.read_bytes()


class TestFolder:
    def test_replaces_an_older_model_and_nothing_else(self, copy, trained):
        before = model_digest(copy)
        edit(copy, lambda m: m.update(as_of="1997-09-01"))
        trained.save(copy)
        assert model_digest(copy) == before
        assert [p.name for p in copy.parent.iterdir()] == ["copy"]

    def test_refuses_to_replace_what_is_no_model(self, trained, tmp_path):
        (tmp_path / "precious").mkdir()
        (tmp_path / "precious" / "thesis.txt").write_text("years of work")
        for place in (tmp_path / "precious", tmp_path / "precious" / "thesis.txt"):
            with pytest.raises(OptionError, match=r"is there and is no saved model, so it is not replaced"):
                trained.save(place)
        assert (tmp_path / "precious" / "thesis.txt").read_text() == "years of work"

    def test_refuses_to_replace_a_model_beside_which_something_lies(self, copy, trained):
        (copy / "notes.md").write_text("why we chose it")
        with pytest.raises(OptionError, match=r"holds notes\.md beside a saved model, so it is not replaced"):
            trained.save(copy)
        assert (copy / "notes.md").read_text() == "why we chose it"

    def test_refuses_an_unfitted_model(self, tmp_path):
        with pytest.raises(NotFittedError, match="not fitted"):
            ClvModel().save(tmp_path / "none")
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(("older", "files"), [(False, 0), (True, 1)])
    def test_a_killed_save_leaves_the_whole_old_model_or_none(self, saved, trained_frame, tmp_path, older, files):
        target = tmp_path / "target"
        if older:
            shutil.copytree(saved, target)
        code = f"""
import os, signal, clvml
from clvml import ClvModel
model, written, sync = ClvModel.load({str(saved)!r}), [], os.fsync
def fsync(file):
    written.append(file)
    if len(written) > {files}:
        os.kill(os.getpid(), signal.SIGKILL)
    sync(file)
os.fsync = fsync
model.as_of_ = "1997-08-01"
model.save({str(target)!r})
"""
        done = subprocess.run([sys.executable, "-c", code], check=False)
        assert done.returncode == -signal.SIGKILL
        if older:
            assert model_digest(target) == model_digest(saved)
            ClvModel.load(target)
        else:
            assert not target.exists()

    def test_a_failing_disk_leaves_nothing_behind(self, saved, trained, tmp_path, monkeypatch):
        def full(_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OptionError, match=r"model could not be written: No space left on device"):
            trained.save(tmp_path / "model")
        assert not list(tmp_path.iterdir())


class TestWhatIsRefused:
    def test_nothing_there(self, tmp_path):
        with pytest.raises(ModelError, match=r"There is no model at .*nope: nothing there"):
            ClvModel.load(tmp_path / "nope")
        with pytest.raises(ModelError, match=r"is no saved model: it has no manifest\.json"):
            ClvModel.load(tmp_path)

    def test_a_changed_byte(self, copy):
        path = copy / "model.json"
        path.write_text(path.read_text().replace('"margin": 1.0', '"margin": 9.0'))
        with pytest.raises(ModelError, match=r"model\.json is not what was saved: its SHA-256"):
            ClvModel.load(copy)

    def test_a_changed_model_with_a_new_manifest_against_the_pinned_digest(self, saved, copy):
        edit(copy, lambda m: m.update(threshold=0.01))
        assert ClvModel.load(copy).threshold_ == 0.01  # nobody pinned it
        with pytest.raises(ModelError, match="is not the one that was registered: its digest is"):
            ClvModel.load(copy, model_digest(saved))

    def test_a_file_too_many_or_too_few(self, copy):
        (copy / "code.py").write_text("print('hello')")
        with pytest.raises(ModelError, match=r"code\.py is not in its manifest"):
            ClvModel.load(copy)
        (copy / "code.py").unlink()
        (copy / "model.json").unlink()
        with pytest.raises(ModelError, match=r"model\.json is missing"):
            ClvModel.load(copy)

    def test_a_link_out_of_the_folder(self, copy, tmp_path):
        shutil.move(copy / "model.json", tmp_path / "elsewhere.json")
        (copy / "model.json").symlink_to(tmp_path / "elsewhere.json")
        with pytest.raises(ModelError, match="not a plain file"):
            ClvModel.load(copy)

    def test_another_file_in_a_new_manifest(self, copy):
        (copy / "trees.pkl").write_bytes(b"")
        change(copy, "trees.pkl", b"cos\nsystem\n(S'true'\ntR.")
        with pytest.raises(ModelError, match=r"names model\.json, trees\.pkl; a model is model\.json"):
            ClvModel.load(copy)

    def test_a_newer_format(self, copy):
        manifest = json.loads((copy / "manifest.json").read_text()) | {"format": MODEL_FORMAT + 1, "clvml": "9.1"}
        (copy / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(ModelError, match=r"has format \d+, written by clvml 9\.1.*Install a newer clvml"):
            ClvModel.load(copy)

    @pytest.mark.parametrize(
        ("how", "message"),
        [
            (lambda m: m.pop("threshold"), r"model\.threshold is missing"),
            (lambda m: m.update(treshold=0.5), r"unknown key model\.treshold\. Did you mean 'threshold'\?"),
            (
                lambda m: m.update(threshold=1.5),
                r"model\.threshold must be a number at least 0 and at most 1, found 1\.5",
            ),
            (lambda m: m.update(threshold="0.5"), r'model\.threshold must be a number .*, found "0\.5"'),
            (
                lambda m: m.update(margin=float("inf")),
                r"damaged at model\.margin: margin='Infinity' is not the share of the amount that is earned",
            ),
            (lambda m: m.update(as_of="yesterday"), r"model\.as_of must be a day such as"),
            (
                lambda m: m.update(horizon_days=True),
                r"model\.horizon_days must be a whole number from 1 to 36525, found true",
            ),
            (lambda m: m["settings"].update(horizon="soon"), r"model\.settings\.horizon must be a horizon"),
            (lambda m: m["settings"].update(code="x"), r"unknown key model\.settings\.code"),
            (lambda m: m["edges"].pop(), r"model\.edges must be a list of 2"),
            (lambda m: m["model"].update(type="os.system"), r"model\.model\.type must be 'HybridValueModel' or"),
            (
                lambda m: m["model"]["churn"]["ensemble"]["members"]["purchases_ridge"].pop(),
                r"members\.purchases_ridge must be a list of",
            ),
            (
                lambda m: m["model"]["churn"]["ensemble"]["members"]["return_ridge"].__setitem__(3, None),
                r"members\.return_ridge\[3\] must be a number",
            ),
            (
                lambda m: m["model"]["churn"]["ensemble"]["design"].update(spread=[0] * 28),
                r"design\.spread\[0\] must be a number at least 1e-09",
            ),
            (
                lambda m: m["model"]["churn"]["value"]["purchases"].update(type="Evil"),
                "'Evil' is no model of purchases",
            ),
            (
                lambda m: m["model"]["churn"]["value"]["purchases"]["params"].update(r=-1),
                "parameter r=-1 is not a number above",
            ),
            (
                lambda m: m["model"]["churn"]["value"]["purchases"]["settings"].update(x=1),
                "A saved ParetoNBDModel has an unknown setting 'x'",
            ),
        ],
    )
    def test_every_part_is_checked(self, copy, how, message):
        edit(copy, how)
        with pytest.raises(ModelError, match=message):
            ClvModel.load(copy)

    def test_a_file_larger_than_any_model(self, copy, monkeypatch):
        monkeypatch.setattr("clvml.scores.saved._LARGEST", 100)
        with pytest.raises(ModelError, match=r"manifest\.json has [0-9,]+ bytes; no model of clvml has more than 100"):
            ClvModel.load(copy)

    def test_a_number_beyond_all_doubles(self, copy):
        text = (copy / "model.json").read_text()
        change(copy, "model.json", text.replace('"margin": ', '"margin": 1e999, "x": ', 1).encode())
        with pytest.raises(ModelError, match=r"no JSON of a model \(1e999 is no finite number\)"):
            ClvModel.load(copy)

    def test_no_json(self, copy):
        for content in (b"\xff\xfe", b"{", b"[" * 100_000):
            change(copy, "model.json", content)
            with pytest.raises(ModelError, match=r"model\.json is no JSON"):
                ClvModel.load(copy)


class TestTrees:
    """Whatever stands in the place of a tree, it is refused or harmless: numbers alone, all within bounds."""

    @pytest.mark.parametrize(
        ("part", "value", "message"),
        [
            ("feature", 28, r"return_trees\.feature\[7\]\[0\] must be a whole number from 0 to 27, found 28"),
            ("feature", -1, r"feature\[7\]\[0\] must be a whole number from 0 to 27, found -1"),
            ("left", 256, r"left\[7\]\[0\] must be a whole number from 0 to 255, found 256"),
            ("threshold", float("nan"), r'threshold\[7\]\[0\] must be a number, found "NaN"'),
            ("value", float("inf"), r'value\[7\]\[0\] must be a number, found "Infinity"'),
        ],
    )
    def test_a_number_out_of_bounds_never_reaches_a_prediction(self, copy, part, value, message):
        edit(copy, lambda m: m["model"]["churn"]["ensemble"]["members"]["return_trees"][part][7].__setitem__(0, value))
        with pytest.raises(ModelError, match=message):
            ClvModel.load(copy)

    @pytest.mark.parametrize("part", ["feature", "threshold", "left", "value"])
    def test_a_tree_too_few(self, copy, part):
        edit(copy, lambda m: m["model"]["churn"]["ensemble"]["members"]["ticket_trees"][part].pop())
        with pytest.raises(ModelError, match=r"damaged \(ValueError: .*(is none|inhomogeneous)"):
            ClvModel.load(copy)

    def test_a_test_too_few(self, copy):
        edit(copy, lambda m: m["model"]["churn"]["ensemble"]["members"]["purchases_trees"]["left"][3].pop())
        with pytest.raises(ModelError, match="damaged"):
            ClvModel.load(copy)

    def test_any_bytes_of_leaves_give_some_leaf(self, copy, trained_frame):
        edit(copy, lambda m: m["model"]["churn"]["ensemble"]["members"]["return_trees"].update(left=[[255] * 7] * 60))
        assert ClvModel.load(copy).predict(trained_frame)["p_return"].between(0, 1).all()


def test_saving_needs_no_path_object(trained, tmp_path):
    assert trained.save(str(tmp_path / "a" / "b")) == tmp_path / "a" / "b"
