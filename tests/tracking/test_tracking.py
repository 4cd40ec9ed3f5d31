"""MLflow on the embedded SQLite store: what a run keeps, the registry, and that no model's code is ever run."""

import json
import logging
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlparse

import numpy as np
import pandas as pd
import pytest
import yaml

from clvml import ClvModel, Transactions, load_cdnow, tracking
from clvml.errors import DataError, ModelError, OptionError
from clvml.files import sha256
from clvml.scores.saved import model_digest
from clvml.tracking.flavor import ORDERS, Scorer
from clvml.tracking.registry import _beside, _find
from clvml.tracking.serving import example
from clvml.tracking.store import connect

METRICS = {"backtest/clvml/spend/gini": 0.71, "backtest/own_rate/spend/gini": 0.65, "backtest/empty": float("nan")}


class Told:
    """As clvml.evaluation.backtest tells a backtest."""

    table = pd.DataFrame({"model": ["clvml", "own rate"], "metric": "gini", "value": [0.71, 0.65]})

    def metrics(self):
        return METRICS

    def to_dict(self):
        return {"table": json.loads(self.table.to_json(orient="records"))}


@pytest.fixture(scope="session")
def report(cdnow_log):
    return cdnow_log.check("1997-09-30")


@pytest.fixture(scope="module")
def logged(empty_store, tmp_path_factory, trained, report):
    """A store with one registered version of `trained`; not to be changed."""
    from matplotlib.figure import Figure

    database = Path(shutil.copy(empty_store, tmp_path_factory.mktemp("logged") / "mlflow.db"))
    figure = Figure()
    figure.subplots().plot([1, 2])
    return tracking.log_run(
        trained, report, Told(), register="clv", tracking_uri=f"sqlite:///{database}", figures={"recency": figure}
    )


@pytest.fixture
def client(logged):
    from mlflow import MlflowClient

    return MlflowClient(logged.tracking_uri, logged.tracking_uri)


@pytest.fixture
def own(store, trained, report):
    """A registered version that a test may spoil, and the folder of its artifact."""
    info = tracking.log_run(trained, report, register="clv", tracking_uri=store)
    return info, artifact(info)


def artifact(info):
    from mlflow import MlflowClient

    client = MlflowClient(info.tracking_uri, info.tracking_uri)
    return Path(unquote(urlparse(client.get_model_version_download_uri(info.name, info.version)).path))


@pytest.fixture(scope="module")
def served(logged):
    import mlflow.pyfunc

    return mlflow.pyfunc.load_model(str(artifact(logged)))


def same(model, trained, frame):
    pd.testing.assert_frame_equal(model.predict(frame), trained.predict(frame), check_exact=True)


class TestRun:
    def test_says_where_it_is(self, logged):
        assert (logged.name, logged.version, logged.experiment) == ("clv", "1", "clvml")
        assert logged.model_uri == "models:/clv/1"
        assert re.fullmatch("[0-9a-f]{64}", logged.digest)

    def test_settings_and_metrics_with_baselines(self, logged, client, trained):
        run = client.get_run(logged.run_id)
        assert run.info.status == "FINISHED"
        assert run.data.params["horizon"] == "26w"
        assert run.data.params["as_of"] == "1997-09-30"
        assert run.data.params["horizon_days"] == "182"
        assert run.data.metrics["backtest/own_rate/spend/gini"] == 0.65
        assert "backtest/empty" not in run.data.metrics
        assert run.data.metrics["audit/auc"] == trained.churn_.audit_.auc
        for part, parameter in ((trained.value_.purchases_, "alpha"), (trained.value_.spend_, "q")):
            name = f"fitted/{type(part).__name__}/{parameter}"
            assert run.data.metrics[name] == getattr(part.params_, parameter)
            assert run.data.metrics[f"{name}_se"] == getattr(part.standard_errors_, parameter)
        assert run.data.metrics["level/factor"] == trained.level_.factor

    def test_data_as_counts_and_digest(self, logged, client, report, trained):
        from clvml.tracking.record import data_digest

        (given,) = client.get_run(logged.run_id).inputs.dataset_inputs
        assert json.loads(given.dataset.profile) == report.to_dict()
        assert given.dataset.digest == data_digest(trained)
        assert len(given.dataset.digest) == 32
        assert [column["name"] for column in json.loads(given.dataset.schema)["mlflow_colspec"]] == [*ORDERS]

    def test_files(self, logged, client, tmp_path):
        client.download_artifacts(logged.run_id, "", str(tmp_path))
        assert {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()} == {
            "backtest.csv",
            "backtest.json",
            "data_report.json",
            "environment.json",
            "figures/recency.png",
            "notes.txt",
            "fitted_parameters.csv",
        }
        pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "backtest.csv"), Told.table, check_dtype=False)
        fitted = pd.read_csv(tmp_path / "fitted_parameters.csv")
        assert list(fitted["parameter"])[:7] == ["r", "alpha", "s", "beta", "p", "q", "v"]
        assert (fitted["standard_error"] > 0).all()
        assert json.loads((tmp_path / "environment.json").read_text()).keys() >= {"clvml", "python", "mlflow"}

    def test_models_can_be_searched_by_their_metrics(self, logged, client):
        place = client.get_experiment_by_name("clvml").experiment_id
        (found,) = client.search_logged_models([place], filter_string="metrics.`backtest/clvml/spend/gini` > 0.7")
        assert found.tags["clvml.digest"] == logged.digest
        assert not client.search_logged_models([place], filter_string="metrics.`backtest/clvml/spend/gini` > 0.72")

    def test_artifact_is_data_beside_the_database(self, logged):
        place = artifact(logged)
        assert place.is_relative_to(Path(logged.tracking_uri.removeprefix("sqlite:///")).parent / "mlartifacts")
        files = {str(p.relative_to(place)) for p in place.rglob("*") if p.is_file()}
        assert {f"data/clvml/{name}" for name in ("model.json", "manifest.json")} <= files
        assert not [f for f in files if f.endswith((".py", ".pkl", ".pickle"))]
        told = yaml.safe_load((place / "MLmodel").read_text())
        assert told["flavors"]["python_function"]["loader_module"] == "clvml.tracking.flavor"
        (wheel,) = place.glob("wheels/clvml-*-py3-none-any.whl")
        assert f"wheels/{wheel.name}" in (place / "requirements.txt").read_text().splitlines()
        assert model_digest(place / "data" / "clvml") == logged.digest

    def test_a_failed_run_is_marked(self, store, trained, report, monkeypatch):
        from mlflow import MlflowClient

        with pytest.raises(ModelError, match="refused"):
            tracking.log_run(trained, report, {"no/such:name*": 1.0}, tracking_uri=store)
        client = MlflowClient(store)
        (run,) = client.search_runs([client.get_experiment_by_name("clvml").experiment_id])
        assert run.info.status == "FAILED"

    def test_without_a_name_it_is_loaded_by_id_or_run(self, store, trained, report, trained_frame):
        info = tracking.log_run(
            trained, report, {"wape": 0.5}, experiment="trial"
        )  # the store of the working directory
        assert (info.name, info.version, info.tracking_uri) == (None, None, store)
        same(tracking.load_model(info.model_uri), trained, trained_frame)
        same(tracking.load_model(f"runs:/{info.run_id}/model"), trained, trained_frame)
        assert info.digest == model_digest(trained.save("folder"))

    def test_a_store_elsewhere(self, empty_store, tmp_path, monkeypatch, trained, report, trained_frame):
        for name in ("here", "there"):
            (tmp_path / name).mkdir()
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        monkeypatch.chdir(tmp_path / "here")
        address = f"sqlite:///{shutil.copy(empty_store, tmp_path / 'there' / 'mlflow.db')}"
        info = tracking.log_run(trained, report, register="clv", tracking_uri=address)
        tracking.promote("clv", 1, "First.", tracking_uri=address)
        same(tracking.load_model("models:/clv@champion", tracking_uri=address), trained, trained_frame)
        assert artifact(info).is_relative_to(tmp_path / "there")
        assert not list((tmp_path / "here").iterdir())

    def test_leaves_the_callers_mlflow_alone(self, store, trained, report, monkeypatch, capfd):
        import mlflow

        before = mlflow.get_tracking_uri(), dict(os.environ), logging.getLogger("mlflow").level
        info = tracking.log_run(trained, report, register="clv", tracking_uri=store)
        tracking.load_model(info.model_uri, tracking_uri=store)
        after = mlflow.get_tracking_uri(), dict(os.environ), logging.getLogger("mlflow").level
        assert (after[0], after[2]) == (before[0], before[2])
        new = {k: v for k, v in after[1].items() if before[1].get(k) != v}
        assert new.keys() <= {"MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"}
        assert mlflow.active_run() is None
        assert capfd.readouterr() == ("", "")


class TestLoad:
    @pytest.mark.parametrize("uri", ["models:/clv/1", "runs:/{run}/model", "runs:/{run}", "{artifact}"])
    def test_the_same_predictions(self, logged, trained, trained_frame, uri):
        uri = uri.format(run=logged.run_id, artifact=artifact(logged))
        same(tracking.load_model(uri, tracking_uri=logged.tracking_uri), trained, trained_frame)

    def test_a_version_in_a_file_beside_the_job_is_found_without_mlflow(self, own, trained, trained_frame, monkeypatch):
        info, place = own
        tracking.promote("clv", 1, "The first.")
        for uri in ("models:/clv/1", "models:/clv@champion"):
            with connect() as client:
                by_mlflow = _find(client, uri)
            assert _beside(uri, info.tracking_uri) == (place / "data" / "clvml", by_mlflow.digest)
            assert by_mlflow.location == place.as_uri()
        load = "from clvml.tracking import load_model; load_model('models:/clv/1')"
        code = f"import sys; {load}; print('mlflow' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "False"
        monkeypatch.setenv("MLFLOW_REGISTRY_URI", info.tracking_uri)
        assert _beside("models:/clv/1", info.tracking_uri) is None
        same(tracking.load_model("models:/clv/1"), trained, trained_frame)

    def test_a_deleted_version_is_not_found_in_the_file(self, own):
        info, _ = own
        with connect() as client:
            client.delete_model_version("clv", "1")
        assert _beside("models:/clv/1", info.tracking_uri) is None
        with pytest.raises(ModelError, match="has no version 1"):
            tracking.load_model("models:/clv/1")

    @pytest.mark.parametrize(
        ("uri", "message"),
        [
            ("models:/clw/1", r"No model is registered as 'clw'\. Did you mean 'clv'\? Registered: clv\."),
            ("models:/clv@champion", r"'clv' has no @champion\. It has: none\."),
            ("models:/clv/7", r"'clv' has no version 7\. It has: 1\."),
            ("models:/clv", r"does not say which model\. Write models:/NAME@champion"),
            ("models:/clv/latest", r"does not say which model"),
            ("models:/m-00000000000000000000000000000000", r"refused: Logged model with ID .* not found"),
            ("runs:/0123456789", r"refused: Run with id=0123456789 not found"),
            ("models/clv", r"There is no model at models/clv: nothing there"),
        ],
    )
    def test_what_is_not_there(self, logged, uri, message):
        with pytest.raises(ModelError, match=message) as told:
            tracking.load_model(uri, tracking_uri=logged.tracking_uri)
        assert "\n" not in str(told.value)

    def test_looking_makes_no_database(self, tmp_path, monkeypatch):
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ModelError, match=r"There is no tracking database .*mlflow\.db\. Train"):
            tracking.load_model("models:/clv@champion")
        with pytest.raises(ModelError, match="no tracking database"):
            tracking.promote("clv", 1, "The first.")
        assert tracking.champion_metrics("clv") is None
        assert not list(tmp_path.iterdir())

    def test_a_server_that_does_not_answer(self, monkeypatch):
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        with pytest.raises(ModelError, match=r"http://127\.0\.0\.1:9 refused: API request to"):
            tracking.load_model("models:/clv@champion", tracking_uri="http://127.0.0.1:9")

    def test_files_that_are_gone(self, own):
        info, place = own
        shutil.rmtree(place / "data")
        with pytest.raises(ModelError, match="The files of models:/clv/1 cannot be fetched"):
            tracking.load_model(info.model_uri)

    def test_a_run_without_a_model(self, store):
        from mlflow import MlflowClient

        run = MlflowClient(store).create_run("0")
        with pytest.raises(ModelError, match=r"has no single model\. It has: none"):
            tracking.load_model(f"runs:/{run.info.run_id}")


class TestTampering:
    def test_a_changed_mlmodel_is_not_obeyed(self, own, trained, trained_frame, tmp_path, monkeypatch):
        import mlflow.pyfunc

        info, place = own
        marker = tmp_path / "ran"
        (place / "code").mkdir()
        (place / "code" / "evil_loader.py").write_text(
            f"open({str(marker)!r}, 'w').close()\ndef _load_pyfunc(path):\n    raise SystemError\n"
        )
        told = yaml.safe_load((place / "MLmodel").read_text())
        told["flavors"]["python_function"] |= {"loader_module": "evil_loader", "code": "code", "data": "/etc"}
        (place / "MLmodel").write_text(yaml.safe_dump(told))
        same(tracking.load_model(info.model_uri), trained, trained_frame)
        assert not marker.exists()
        monkeypatch.setattr(sys, "path", list(sys.path))
        with pytest.raises(SystemError):
            mlflow.pyfunc.load_model(str(place))  # the attack is real: MLflow's own loader runs it
        assert marker.exists()

    def test_a_changed_file_with_a_new_manifest(self, own):
        info, place = own
        folder, name = place / "data" / "clvml", "model.json"
        content = (folder / name).read_bytes() + b"\n"
        (folder / name).write_bytes(content)
        with pytest.raises(ModelError, match=f"{name} is not what was saved"):
            tracking.load_model(info.model_uri)
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["files"][name] = {"bytes": len(content), "sha256": sha256(content)}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        ClvModel.load(folder)  # nothing in the folder tells it
        with pytest.raises(ModelError, match="is not the one that was registered") as told:
            tracking.load_model(info.model_uri)
        assert info.digest in str(told.value)

    def test_a_version_registered_by_hand_is_held_to_its_runs_digest(self, own, trained, trained_frame):
        from mlflow import MlflowClient

        info, place = own
        MlflowClient(info.tracking_uri).create_model_version("clv", place.as_uri(), info.run_id)
        same(tracking.load_model("models:/clv/2"), trained, trained_frame)
        (place / "data" / "clvml" / "manifest.json").write_bytes(b'{"type": "clvml model"}')
        with pytest.raises(ModelError, match="is not the one that was registered"):
            tracking.load_model("models:/clv/2")

    def test_a_version_that_nobody_vouches_for(self, own):
        from mlflow import MlflowClient

        info, place = own
        version = MlflowClient(info.tracking_uri).create_model_version("clv", place.as_uri())
        with pytest.raises(ModelError, match="was not logged by clvml"):
            tracking.load_model(f"models:/clv/{version.version}")


class TestRegistry:
    def test_from_challenger_to_champion(self, store, trained, report, trained_frame):
        from mlflow import MlflowClient

        assert tracking.champion_metrics("clv") is None
        first = tracking.log_run(trained, report, {"backtest/wape": 0.5}, register="clv")
        assert tracking.champion_metrics("clv") is None
        tracking.promote("clv", first.version, "The first of its name.")
        champion = tracking.champion_metrics("clv")
        assert (champion.version, champion.run_id, champion.digest) == ("1", first.run_id, first.digest)
        assert champion.metrics["backtest/wape"] == 0.5
        assert champion.settings["horizon_days"] == "182"

        second = tracking.log_run(trained, report, {"backtest/wape": 0.6}, register="clv")
        tracking.reject("clv", second.version, "WAPE .60 against .50 of version 1.")
        assert tracking.champion_metrics("clv").version == "1"
        client = MlflowClient(store, store)
        told = client.get_model_version("clv", "2")
        assert told.tags["clvml.verdict"] == "rejected"
        assert told.tags["clvml.reason"] == "WAPE .60 against .50 of version 1."
        assert told.description.endswith("Rejected: WAPE .60 against .50 of version 1.")
        assert told.description.startswith(f"{trained.name}; 2,349 customers, 182 days ahead.")
        same(tracking.load_model("models:/clv@challenger"), trained, trained_frame)

        tracking.promote("clv", second.version, "By hand.")
        assert client.get_registered_model("clv").aliases == {"champion": 2}
        tracking.promote("clv", 1, "And back.")
        assert tracking.champion_metrics("clv").version == "1"

    def test_unknown_versions(self, own):
        for judge in (tracking.promote, tracking.reject):
            with pytest.raises(ModelError, match=r"'clv' has no version 9\. It has: 1\."):
                judge("clv", 9, "no")
            with pytest.raises(ModelError, match=r"No model is registered as 'other'\. Registered: clv\."):
                judge("other", 1, "no")


class TestPyfunc:
    """What MLflow's own loader makes of it, for serving and Spark."""

    def test_equals_the_model(self, served, trained, trained_frame):
        rows = trained_frame  # as it is: whole counts, dates and columns that nobody asked for
        pd.testing.assert_frame_equal(served.predict(rows), trained.predict(trained_frame), check_exact=True)
        later = trained_frame.copy()
        later.attrs["as_of"] = "1998-01-01"
        told = served.predict(rows, params={"horizon": 90, "as_of": "1998-01-01"})
        pd.testing.assert_frame_equal(told, trained.predict(later, 90), check_exact=True)

    def test_takes_and_gives_what_the_signature_says(self, served, trained):
        signature = served.metadata.signature
        assert {spec.name for spec in signature.inputs} >= {*trained.needs(), *ORDERS}
        assert not [spec.name for spec in signature.inputs if spec.required]
        scores = served.predict(example(trained))
        assert list(scores.columns) == signature.outputs.input_names()
        assert list(scores["customer_id"]) == ["regular", "silent"]
        assert np.isfinite(scores.select_dtypes("number")).all(axis=None)

    def test_plain_rows_are_predicted_without_corrections(self, served, trained, trained_frame):
        plain = trained_frame[["customer_id", "frequency", "recency", "T", "monetary_value"]]
        scores = served.predict(plain.astype({"frequency": float}))
        expected = trained.value_.expected_purchases(plain, trained.horizon_days_)
        np.testing.assert_allclose(scores["expected_purchases"], expected, rtol=1e-12)
        assert set(scores["model"]) == {"Pareto/NBD + Gamma-Gamma, trained as of 1997-09-30"}
        assert scores["reason"].str.len().gt(0).all()
        with pytest.raises(DataError, match=r"The rows lack purchases_two\. Send all columns"):
            Scorer(trained).predict(trained_frame.drop(columns="purchases_two"))
        with pytest.raises(DataError, match="no column 'T'"):
            Scorer(trained).predict(plain.drop(columns="T"))
        with pytest.raises(DataError, match=r"'recency' holds .*no.* number"):
            Scorer(trained).predict(plain.assign(recency="long"))

    def test_orders_are_predicted_as_a_log(self, served, trained):
        orders = load_cdnow(sample=True)[["customer_id", "date", "amount"]]
        some = orders[orders["customer_id"].isin(orders["customer_id"].unique()[:40])]
        known = some[some["date"] <= "1997-09-30"]
        expected = trained.predict(trained.frame(Transactions(known)))
        pd.testing.assert_frame_equal(served.predict(known), expected, check_exact=True)
        as_text = known.assign(date=known["date"].dt.strftime("%Y-%m-%d"), amount=known["amount"].astype(str))
        pd.testing.assert_frame_equal(served.predict(as_text), expected, check_exact=True)
        named = served.predict(as_text.assign(customer_id=known["customer_id"].astype(str)))
        assert named["customer_id"].tolist() == sorted(
            expected["customer_id"].astype(str)
        )  # text as it came, in its order
        with pytest.raises(OptionError, match=r"The orders go on until 1998-.*after as_of=1997-09-30\. Say as_of"):
            Scorer(trained).predict(some)
        assert set(served.predict(some, params={"as_of": "1998-06-30"})["as_of"]) == {"1998-06-30"}
        with pytest.raises(DataError, match="these lack amount"):
            Scorer(trained).predict(known.drop(columns="amount"))
        with pytest.raises(DataError, match=r"1 of [\d,]+ orders are not readable, first row 0 .*'soon'"):
            Scorer(trained).predict(as_text.assign(date=["soon", *as_text["date"][1:]]))

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore")  # those of MLflow's evaluator itself
    def test_mlflow_evaluates_it(self, own, cdnow_log, trained, trained_frame, monkeypatch):
        import mlflow

        info, place = own
        came = cdnow_log.activity("1997-09-30", "1998-03-31").set_index("customer_id")["purchases"]
        data = trained_frame.assign(came=came.loc[trained_frame["customer_id"]].to_numpy())
        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(info.tracking_uri)
        try:
            found = mlflow.models.evaluate(
                str(place),
                data=data,
                targets="came",
                predictions="expected_purchases",
                model_type="regressor",
                evaluator_config={"log_model_explainability": False},
            )
        finally:
            mlflow.set_tracking_uri(before)
        error = np.abs(trained.predict(trained_frame)["expected_purchases"] - data["came"]).mean()
        assert found.metrics["mean_absolute_error"] == pytest.approx(error)

    def test_rows_without_an_id(self, served, trained):
        rows = example(trained).drop(columns="customer_id")
        assert list(served.predict(rows)["customer_id"]) == [0, 1]

    def test_our_own_reader_names_an_unknown_parameter(self, trained):
        with pytest.raises(
            OptionError, match=r"'horizn' is no parameter\. Did you mean 'horizon'\? There are: horizon, as_of"
        ):
            Scorer(trained).predict(example(trained), {"horizn": 90})
        with pytest.raises(OptionError, match="as_of='soon' is not a day"):
            Scorer(trained).predict(example(trained), {"as_of": "soon"})

    def test_a_text_where_a_number_should_be(self, trained):
        with pytest.raises(DataError, match="The column 'recency' holds something that is no number"):
            Scorer(trained).predict(example(trained).assign(recency=np.array(["long", 20], dtype=object)))

    def test_numbers_of_any_type_and_null(self, trained):
        rows = example(trained)
        plain = Scorer(trained).predict(rows.assign(gap_sd=np.nan))
        odd = rows.astype({"frequency": "Int64", "T": "float32", "recency": object}).assign(gap_sd=None)
        pd.testing.assert_frame_equal(Scorer(trained).predict(odd), plain, check_exact=True)

    def test_the_loader_is_light(self):
        code = "import sys, clvml.flavor; print(sorted({'mlflow', 'sklearn', 'matplotlib'} & set(sys.modules)))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"


def test_the_data_digest_knows_one_purchase_more(trained, monkeypatch):
    from clvml.tracking.record import data_digest

    before = data_digest(trained)
    monkeypatch.setattr(trained.value_.purchases_, "log_likelihood_", trained.value_.purchases_.log_likelihood_ - 1e-4)
    assert data_digest(trained) != before
