"""What holds the package together: what may import what, what an import costs, that public things are told."""

import ast
import importlib
import inspect
import json
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import clvml

HOME = Path(clvml.__file__).parent
HEAVY = (
    "pandas",
    "numpy",
    "scipy",
    "sklearn",
    "mlflow",
    "matplotlib",
    "lifetimes",
    "duckdb",
    "pyspark",
    "tqdm",
)
"""Packages that cost seconds, or that not everybody has."""

LAYERS = (
    ("errors", "horizon", "tables", "maths", "metrics"),
    ("fit", "origins", "estimators", "uncertainty", "sums", "totals", "spendtests"),
    (
        "resources",
        "threads",
        "engines",
        "spark",
        "csvfiles",
        "databases",
        "dates",
        "sources",
        "columns",
        "rules",
        "report",
        "log",
        "locks",
        "manifest",
        "state",
    ),
    ("summaries", "intake", "datasets", "snapshots", "attributes"),
    (
        "segments",
        "score",
        "spark_scores",
        "model",
        "schema",
        "persist",
        "evaluate",
        "shock",
        "recalibration",
    ),
    ("audience", "uplift", "channels", "profiles", "lookalikes", "history", "outcome", "profit", "monitoring"),
    ("terminal", "files", "printed", "plots", "interop", "flavor", "tracking"),
    ("config", "stream", "jobs", "campaign_jobs", "spark_job", "demo", "cli"),
)
"""From the bottom up: a part imports from its own row and those above it in this table, never from below it."""

ONLY = {
    "mlflow": {"tracking"},
    "lifetimes": {"interop"},
    "matplotlib": {"plots"},
    "duckdb": {"engines"},
    "adbc_driver_postgresql": {"databases"},
    "pyspark": {"spark", "sources"},
    "sklearn": {"estimators", "uplift", "lookalikes"},
    "click": {"cli", "config", "demo", "terminal"},
}
"""Packages that only these parts may import."""


def modules():
    for path in sorted(HOME.rglob("*.py")):
        name = ".".join(path.relative_to(HOME).with_suffix("").parts)
        yield name.removesuffix(".__init__"), path


def part(name):
    """The file or folder right under clvml: where a module stands on the page of DESIGN."""
    return name.split(".")[0]


def imports(path):
    """(module, whether at the top of the file) for every import, those for type checkers left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        top = node in tree.body
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            if node.module == "clvml":
                yield from ((f"clvml.{alias.name}", top) for alias in node.names)
            else:
                yield node.module, top


IMPORTS = [(name, *told) for name, path in modules() for told in imports(path) if name not in ("__init__", "clvml")]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def test_every_part_has_a_place():
    parts = {part(name) for name, _ in modules()} - {"__init__"}
    assert parts == set(LEVEL), "name the new part in LAYERS, and in the layout of the README"


def test_imports_point_down():
    up = [
        f"{name} imports {target}"
        for name, target, _ in IMPORTS
        if target.startswith("clvml.") and LEVEL.get(part(target[6:]), 0) > LEVEL.get(part(name), 0)
    ]
    assert not up


def test_modules_do_not_import_in_a_circle():
    edges = {}
    for name, target, top in IMPORTS:
        if top and target.startswith("clvml."):
            edges.setdefault(name, set()).add(target[6:])

    def visit(name, path):
        assert name not in path, " -> ".join([*path, name])
        for target in edges.get(name, ()):
            visit(target, (*path, name))

    for name in edges:
        visit(name, ())


def test_maths_knows_only_numbers():
    allowed = {*sys.stdlib_module_names, "numpy", "scipy"}
    strange = {
        (name, target)
        for name, target, _ in IMPORTS
        if part(name) == "maths" and target.split(".")[0] not in allowed and not target.startswith("clvml.maths")
    }
    assert not strange


def test_estimators_never_see_an_engine():
    seen = {(name, target) for name, target, _ in IMPORTS if part(name) == "estimators" and target.startswith("clvml.")}
    allowed = {"clvml", *(f"clvml.{p}" for row in LAYERS[:2] for p in row)}
    assert not {pair for pair in seen if ".".join(pair[1].split(".")[:2]) not in allowed}


@pytest.mark.parametrize("package", ONLY)
def test_who_may_import(package):
    users = {part(name) for name, target, _ in IMPORTS if target.split(".")[0] == package}
    assert users <= ONLY[package]


@pytest.mark.parametrize("package", ["sklearn", "mlflow", "matplotlib", "lifetimes", "duckdb", "pyspark"])
def test_heavy_imports_stand_inside_functions(package):
    assert not [name for name, target, top in IMPORTS if top and target.split(".")[0] == package]


def loaded_by(code):
    """Heavy packages in sys.modules after running code in a process of its own."""
    told = f"{code}\nimport json, sys\nprint(json.dumps([p for p in {HEAVY!r} if p in sys.modules]), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=False)
    return json.loads(done.stderr.strip().splitlines()[-1])


def test_importing_the_package_costs_nothing():
    assert loaded_by("import clvml; dir(clvml); clvml.__version__") == []


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"], ["predict", "--as-off", "x"]])
def test_the_command_line_answers_without_loading_anything(arguments):
    code = f"from clvml.cli import main\ntry: main({arguments!r})\nexcept SystemExit: pass"
    assert loaded_by(code) == []


def test_estimators_load_no_heavy_package_before_they_need_it():
    code = "import clvml; [getattr(clvml, name) for name in clvml.__all__]"
    assert set(loaded_by(code)) <= {"pandas", "numpy", "scipy"}


@pytest.mark.parametrize("name", clvml.__all__)
def test_public_names_resolve(name):
    assert getattr(clvml, name) is not None
    assert name in dir(clvml)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'clvml' has no attribute 'BetaGeo'"):
        clvml.BetaGeo  # noqa: B018


ALL = [m.name for m in pkgutil.walk_packages(clvml.__path__, "clvml.")]


@pytest.mark.parametrize("name", ALL)
def test_everything_public_is_told(name):
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    for exported in getattr(module, "__all__", ()):
        thing = getattr(module, exported)
        if getattr(thing, "__name__", None) == exported and thing.__module__.startswith("clvml"):
            assert thing.__doc__, f"{name}.{exported} has no docstring"
            for method, function in inspect.getmembers(thing, inspect.isfunction) if inspect.isclass(thing) else ():
                if not method.startswith("_") and function.__module__.startswith("clvml"):
                    assert function.__doc__, f"{name}.{exported}.{method} has no docstring"


def test_statements_and_type_marker_are_part_of_the_package():
    assert (HOME / "py.typed").is_file()
    named = set(re.findall(r'statement\(\s*"(\w+)"', "".join(p.read_text(encoding="utf-8") for _, p in modules())))
    assert named
    assert named <= {p.stem for p in (HOME / "sql").glob("*.sql")}


README = HOME.parents[1] / "README.md"


@pytest.mark.skipif(not README.is_file(), reason="the package is installed without its README")
def test_python_in_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    scope = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), scope)


@pytest.mark.skipif(not README.is_file(), reason="the package is installed without its README")
def test_commands_in_the_readme_exist():
    from clvml.cli import cli

    text = README.read_text(encoding="utf-8")
    for block in re.findall(r"```(?:sh|bash|console)\n(.*?)```", text, re.DOTALL):
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            words = line.removeprefix("$ ").split()
            if words[:1] == ["clvml"]:
                known = {text for p in cli.commands[words[1]].params for text in p.opts}
                assert {w for w in words if w.startswith("--")} <= known, line
