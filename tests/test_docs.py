"""The documentation: it is built without a warning, asks nobody for anything, and has every public name."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

import clvml

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_the_site_asks_nobody_for_anything(site):
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        asked = re.findall(
            r"""<(?:script|img|iframe)[^>]*src="(?:https?:)?//[^"]*"|<link[^>]*rel="(?:stylesheet|preconnect|icon)"[^>]*href="(?:https?:)?//[^"]*""",
            text,
        )
        assert not asked, page


@pytest.mark.slow
def test_every_public_name_is_in_the_reference(site):
    shown = "".join(page.read_text(encoding="utf-8") for page in (site / "reference").glob("*.html"))
    missing = [name for name, home in clvml._HOMES.items() if f'id="{home}.{name}"' not in shown]
    assert not missing


def test_the_way_from_lifetimes_names_what_there_is():
    """First column: words of the lifetimes package; third: names of clvml, its methods and arguments."""
    rows = [
        line.split("|")[1:5]
        for line in (ROOT / "docs" / "howto" / "migrate.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| `") or line.startswith("| —")
    ]
    package = Path(importlib.util.find_spec("lifetimes").submodule_search_locations[0])
    theirs = "".join(path.read_text(encoding="utf-8") for path in package.rglob("*.py"))
    ours = "".join(path.read_text(encoding="utf-8") for path in Path(clvml.__file__).parent.rglob("*.py"))
    assert len(rows) > 12
    for theirs_said, _, ours_said, _ in rows:
        for said, known in ((theirs_said, theirs), (ours_said, ours)):
            for code in re.findall(r"`([^`]+)`", said):
                words = re.findall(r"[A-Za-z_][A-Za-z_]{3,}", re.sub(r"\"[^\"]*\"", "", code))
                assert not [word for word in words if word.rstrip("_*") not in known], code


def test_the_example_prints_what_the_readme_says():
    done = subprocess.run(
        [sys.executable, "docs/examples.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")], ids=lambda page: page.name)
def test_tests_and_sources_that_a_page_names_exist(page):
    named = re.findall(r"`((?:tests|src|docs)/[\w/.]+)`", page.read_text(encoding="utf-8"))
    assert not [path for path in named if not (ROOT / path).exists()]
