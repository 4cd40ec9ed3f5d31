"""MLflow in bad weather: what a store cannot do is said before the training, and what jobs left there is tidied up."""

import os
import socket
import sqlite3
import subprocess
import sys
import time

import pytest
from sqlalchemy.engine import make_url

from clvml import tracking
from clvml.cli import main
from clvml.errors import ModelError, without_secrets
from clvml.tracking import sqlite
from clvml.tracking.preflight import PROCESS
from clvml.tracking.store import connect


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u:se/cr@t@h/db", "postgresql://***@h/db"),
        ("POSTGRESQL+psycopg2://u:secret@h/db refused", "POSTGRESQL+psycopg2://***@h/db refused"),
        ("at https://u:secret@h/x and s3://key:secret@b/k", "at https://***@h/x and s3://***@b/k"),
        ("postgresql://h/db?user=u&password=secret&x=1", "postgresql://h/db?user=u&password=***&x=1"),
        ("mail a@b.c, horizon=12, https://h/db", "mail a@b.c, horizon=12, https://h/db"),
    ],
)
def test_no_password_is_shown(text, shown):
    assert without_secrets(text) == shown


def garbage(folder):
    (folder / "mlflow.db").write_bytes(b"no data base " * 300)
    return f"sqlite:///{folder}/mlflow.db"


def directory(folder):
    (folder / "mlflow.db").mkdir()
    return f"sqlite:///{folder}/mlflow.db"


def below_a_file(folder):
    (folder / "file").write_text("")
    return f"sqlite:///{folder}/file/x/mlflow.db"


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (garbage, r"mlflow\.db cannot be used: file is not a database\. Name another store by --tracking-uri"),
        (directory, r"mlflow\.db is no file\. Name another"),
        (below_a_file, r"cannot be used: Not a directory\. Name another"),
        (lambda _: "mysql://u:secret@h/db", r"mysql://\*\*\*@h/db needs the Python package MySQLdb, which is not"),
        (lambda _: "POSTGRESQL+nodriver://u:secret@h/db", r"POSTGRESQL\+nodriver://\*\*\*@h/db refused: Can't load"),
        (lambda _: "foo://u:secret@h/db", r"foo://\*\*\*@h/db refused: .*unsupported URI 'foo://\*\*\*@h/db'"),
    ],
)
def test_a_store_that_is_none(tmp_path, monkeypatch, place, message):
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    begun = time.process_time()
    with pytest.raises(ModelError, match=message) as caught:
        tracking.check_store("clvml", tracking_uri=place(tmp_path))
    assert "secret" not in str(caught.value)
    assert time.process_time() - begun < 30


def test_a_full_disk(store, monkeypatch):
    monkeypatch.setattr(sqlite, "_ROOM", 1 << 60)
    with pytest.raises(ModelError, match=r"MiB left, and a run may take .* Make room"):
        tracking.check_store("clvml", tracking_uri=store)


def test_a_store_that_another_process_holds(store, monkeypatch):
    monkeypatch.setattr(sqlite, "_PATIENCE", 0.1)
    holder = sqlite3.connect(store.removeprefix("sqlite:///"), isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(ModelError, match=r"mlflow\.db cannot be used: database is locked"):
        tracking.check_store("clvml", tracking_uri=store)
    holder.execute("ROLLBACK")
    holder.close()
    assert tracking.check_store("clvml", tracking_uri=store) == []


def test_artifacts_that_cannot_be_written(store, tmp_path):
    (tmp_path / "mlartifacts").write_text("")
    with pytest.raises(ValueError, match="mlartifacts is a file, so no folder can be made there"):
        tracking.check_store("clvml", tracking_uri=store)


LINES = "customer_id,date,amount\na,2023-01-01,5\na,2023-05-01,5\nb,2023-02-01,7\na,2023-11-01,5\n"


def refused_to_train(folder, monkeypatch, capsys):
    """What `clvml train` says in a folder before it trains."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("clvml.scores.model.ClvModel.fit", None)  # not reached
    (folder / "log.csv").write_text(LINES)
    with pytest.raises(SystemExit) as left:
        main(["train", "log.csv", "--as-of", "2023-12-31", "--horizon", "8w"])
    assert left.value.code == 2
    return capsys.readouterr().err


def test_train_says_so_before_it_trains(tmp_path, monkeypatch, capsys):
    garbage(tmp_path)
    assert "cannot be used: file is not a database" in refused_to_train(tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize("name", ["q?m=1", "100%41"])
def test_folders_whose_names_mean_something_else_in_an_address(tmp_path, monkeypatch, capsys, name):
    if make_url(f"sqlite:///{name}").database == name:
        pytest.skip("SQLAlchemy before 2.1 takes % as it is")
    folder = tmp_path / name
    folder.mkdir()
    assert "it would open another file. Name another store" in refused_to_train(folder, monkeypatch, capsys)
    assert os.listdir(tmp_path) == [name]
    assert os.listdir(folder) == ["log.csv"]


def dead():
    """The id of a process that has ended."""
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    return done.stdout.decode()


def test_runs_that_dead_processes_left_are_closed_and_named(store):
    here = socket.gethostname()
    week_ago = int((time.time() - 7 * 86400) * 1000)
    left = {
        "dead": {PROCESS: f"{here} {dead().strip()}"},
        "alive": {PROCESS: f"{here} {os.getppid()}"},
        "elsewhere": {PROCESS: "another-machine 1"},
        "not ours": {},
    }
    with connect(store, create=True) as client:
        place = client.create_experiment("clvml")
        ids = {
            name: client.create_run(place, start_time=week_ago, tags=tags).info.run_id for name, tags in left.items()
        }
    notes = tracking.check_store("clvml", tracking_uri=store)
    assert sorted(note.split(" ")[1] for note in notes) == sorted([ids["dead"], ids["elsewhere"]])
    assert any("was left unfinished by a process that has ended. It is now marked as KILLED" in n for n in notes)
    assert any("on another-machine is still marked as RUNNING" in n for n in notes)
    with connect(store) as client:
        assert {name: client.get_run(i).info.status for name, i in ids.items()} == {
            "dead": "KILLED",
            "alive": "RUNNING",
            "elsewhere": "RUNNING",
            "not ours": "RUNNING",
        }
    assert len(tracking.check_store("clvml", tracking_uri=store)) == 1


@pytest.mark.parametrize("process", ["this", "dead"])
def test_a_store_that_dies_in_the_middle_of_a_run(store, trained, cdnow_log, monkeypatch, process):
    """Not even the failure can be written then: the next training does it, and says so."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    def gone(*_, **__):
        raise MlflowException("API request to http://u:secret@shop failed: Connection refused")

    with monkeypatch.context() as broken:
        for name in ("log_model_artifacts", "set_terminated"):
            broken.setattr(MlflowClient, name, gone)
        with pytest.raises(ModelError, match="Connection refused") as caught:
            tracking.log_run(trained, cdnow_log.check("1997-09-30"), tracking_uri=store)
    assert "secret" not in str(caught.value)
    with connect(store) as client:
        (run,) = client.search_runs([client.get_experiment_by_name("clvml").experiment_id])
        assert run.info.status == "RUNNING"
        if process == "dead":
            client.set_tag(run.info.run_id, PROCESS, f"{socket.gethostname()} {dead().strip()}")
    (note,) = tracking.check_store("clvml", tracking_uri=store)
    how = {"this": "when the store did not answer", "dead": "by a process that has ended"}[process]
    assert f"was left unfinished {how}. It is now marked as KILLED" in note
    with connect(store) as client:
        assert client.get_run(run.info.run_id).info.status == "KILLED"
    assert tracking.check_store("clvml", tracking_uri=store) == []


def test_a_deleted_experiment(store):
    tracking.check_store("clvml", tracking_uri=store)
    with connect(store) as client:
        client.delete_experiment(client.get_experiment_by_name("clvml").experiment_id)
    with pytest.raises(ModelError, match=r"The experiment 'clvml' was deleted"):
        tracking.check_store("clvml", tracking_uri=store)


@pytest.mark.slow
def test_two_first_jobs_on_a_fresh_store(tmp_path):
    """Both make the tables; one waits for the other."""
    code = "from clvml import tracking; print(tracking.check_store('clvml', tracking_uri='sqlite:///new.db'))"
    jobs = [
        subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    told = [job.communicate() for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0, 0], told
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new.db"]


@pytest.mark.slow
def test_a_server_that_does_not_answer(monkeypatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    with pytest.raises(ModelError, match=r"http://\*\*\*@127\.0\.0\.1:\d+ refused: API request to") as caught:
        tracking.check_store("clvml", tracking_uri=f"http://u:secret@127.0.0.1:{port}")
    assert "secret" not in str(caught.value)
