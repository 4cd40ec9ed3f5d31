"""The wheel that travels with a model is the package that runs."""

import subprocess
import sys
import zipfile

import clvml
from clvml.tracking.wheel import wheel_name, write_wheel


def test_the_wheel_installs_and_runs(tmp_path):
    wheel = write_wheel(tmp_path)
    assert wheel.name == wheel_name()
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert f"clvml-{clvml.__version__}.dist-info/RECORD" in names
        record = archive.read(f"clvml-{clvml.__version__}.dist-info/RECORD").decode().splitlines()
        assert b"Name: clvml" in archive.read(f"clvml-{clvml.__version__}.dist-info/METADATA")
    assert [line.split(",")[0] for line in record] == names
    code = "import clvml; print(clvml.__file__); from clvml import BetaGeoModel; import clvml.cli"
    environment = {"PYTHONPATH": str(wheel)}  # a wheel of pure Python is a zip that Python can import from
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(str(wheel))


def test_the_same_package_makes_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    assert write_wheel(tmp_path / "one").read_bytes() == write_wheel(tmp_path / "two").read_bytes()
