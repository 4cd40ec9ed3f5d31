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
README = HOME.parents[1] / "README.md"
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

ROOMS = (
    {"maths"},
    {"orders"},
    {"estimators"},
    {"scores"},
    {"evaluation", "insights", "campaigns"},
    {"report", "tracking", "cli"},
)
"""The walk of an order log. A room imports from the ground floor and from the sets above its own in this table; rooms
of one set do not know each other, but for the edges, which may see all."""

GROUND = {
    "checks",
    "display",
    "errors",
    "files",
    "horizon",
    "locks",
    "progress",
    "redaction",
    "resources",
    "spreadsheets",
    "tables",
}
"""Files that stand above no room: they import each other alone."""

SHIMS = {"__main__": "clvml.cli", "flavor": "clvml.tracking.flavor"}
"""Doors to other rooms: of `python -m clvml`, and where things once were, for models registered then."""

ONLY = {
    "mlflow": {"tracking"},
    "lifetimes": {"estimators.interop"},
    "matplotlib": {"report"},
    "duckdb": {"orders.engines"},
    "adbc_driver_postgresql": {"orders.reading"},
    "sqlalchemy": {"orders.reading", "scores.sinks", "tracking"},
    "pyspark": {"orders.engines", "scores.spark", "cli.jobs.spark"},
    "sklearn": {"estimators", "campaigns.uplift", "insights"},
    "click": {"cli"},
}
"""Packages that only these parts may import."""


def modules():
    for path in sorted(HOME.rglob("*.py")):
        name = ".".join(path.relative_to(HOME).with_suffix("").parts)
        yield name.removesuffix(".__init__"), path


def room(name):
    """The folder, or the file on the ground floor, where a module stands."""
    return name.split(".")[0]


def imports(path):
    """(module, whether at the top of the file) for every import, those for type checkers alone too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        top = node in tree.body
        if isinstance(node, ast.Import):
            yield from ((alias.name, top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield (whole if whole in MODULES else node.module), top


MODULES = {f"clvml.{name}" for name, _ in modules()}
IMPORTS = [(name, *found) for name, path in modules() if name != "__init__" for found in imports(path)]
LEVEL = {name: level for level, names in enumerate(ROOMS) for name in names}
OWN = [(name, target[6:]) for name, target, _ in IMPORTS if target.startswith("clvml.")]


def test_every_module_stands_in_a_room():
    assert {room(name) for name, _ in modules()} == {"__init__", *GROUND, *LEVEL, *SHIMS}


def test_a_log_walks_from_room_to_room_and_never_back():
    edges = ROOMS[-1]
    back = [
        f"{name} imports {target}"
        for name, target in OWN
        if room(name) not in SHIMS
        and room(target) != room(name)
        and LEVEL.get(room(target), -1) >= LEVEL.get(room(name), 0)
        and room(name) not in edges
    ]
    assert not back


def test_nothing_imports_in_a_circle():
    """Imports inside functions and for type checkers alone count too."""
    graph = {}
    for name, target in OWN:
        graph.setdefault(name, set()).add(target)
    done = set()

    def visit(name, path):
        assert name not in path, " -> ".join([*path, name])
        if name not in done:
            for target in graph.get(name, ()):
                visit(target, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_a_folder_is_seen_at_one_glance():
    crowded = {
        folder: len(files)
        for folder in {path.parent for _, path in modules()}
        if len(files := [file for file in folder.glob("*.py") if not file.name.startswith("__")]) > 12
    }
    assert not crowded


def test_maths_knows_only_numbers():
    allowed = {*sys.stdlib_module_names, "numpy", "scipy"}
    strange = {
        (name, target)
        for name, target, _ in IMPORTS
        if room(name) == "maths" and target.split(".")[0] not in allowed and not target.startswith("clvml.maths")
    }
    assert not strange


@pytest.mark.parametrize("package", ONLY)
def test_who_may_import(package):
    users = {name for name, target, _ in IMPORTS if target.split(".")[0] == package}
    assert not [name for name in users if not any(f"{name}.".startswith(f"{home}.") for home in ONLY[package])]


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


def test_predict_does_not_wait_for_what_only_training_needs():
    code = "import sys, clvml.scores.stream, clvml.tracking.record; sys.exit('scipy.optimize' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", clvml.__all__)
def test_public_names_resolve(name):
    assert getattr(clvml, name) is not None
    assert name in dir(clvml)


def test_type_checkers_see_the_public_names(tmp_path):
    """A misspelt setting of a lazily loaded class is found without running anything."""
    user = tmp_path / "user.py"
    user.write_text(
        "from clvml import BetaGeoModel, ClvModel, Transactions, plots\n"
        "import clvml\n"
        "model = BetaGeoModel(time_unti='week')\n"
        "reveal_type(ClvModel().fit)\n"
        "clvml.interop.to_lifetime\n"
    )
    command = [sys.executable, "-m", "mypy", "--config-file", str(README.with_name("pyproject.toml")), str(user)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=README.parent)
    assert 'Unexpected keyword argument "time_unti"' in done.stdout
    assert "Revealed type is" in done.stdout
    assert 'Any"' not in done.stdout
    assert "to_lifetime" in done.stdout


def test_type_checkers_and_users_see_the_same_names():
    tree = ast.parse((HOME / "__init__.py").read_text(encoding="utf-8"))
    block = next(n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING")
    declared = {
        alias.asname: f"{node.module}.{alias.name}" if alias.asname in clvml._MODULES else node.module
        for node in block.body
        for alias in node.names
    }
    assert declared == {
        **clvml._HOMES,
        **{name: home if home.count(".") > 1 else f"clvml.{name}" for name, home in clvml._MODULES.items()},
    }


@pytest.mark.parametrize("name", clvml._MODULES)
def test_modules_are_attributes(name):
    assert getattr(clvml, name).__name__ == clvml._MODULES[name]
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
    assert named <= {p.stem for p in (HOME / "orders/engines/sql").glob("*.sql")}


PAGES = [page for page in (README, *sorted(README.parent.glob("docs/**/*.md"))) if page.is_file()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_of_the_pages_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    scope = {}
    for block in blocks:
        exec(compile(block, page.name, "exec"), scope)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_the_pages_lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8"))
    assert not [target for target in targets if not (page.parent / target).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_of_the_pages_exist(page):
    from clvml.cli import cli

    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"```(?:sh|bash|console)\n(.*?)```", text, re.DOTALL):
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            words = line.removeprefix("$ ").split()
            if words[:1] == ["clvml"]:
                command = cli.commands[words[1]]
                command = command.commands[words[2]] if hasattr(command, "commands") else command
                known = {text for p in command.params for text in p.opts}
                assert {w for w in words if w.startswith("--")} <= known, line
