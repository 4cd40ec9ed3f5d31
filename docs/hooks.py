"""What the site takes from elsewhere in the repository: benchmarks, notes for contributors, the help of commands."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PROJECT = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
REFERENCE = {
    "orders": "A log of orders: read where it lies, checked, summarized, looked at on earlier days.",
    "estimators": "Fitted models in scikit-learn's manner, from few numbers a customer.",
    "scores": "A trained model and a log make scores: one row a customer.",
    "evaluation": "Was it right?",
    "insights": "What sets the best customers apart, and how value moves.",
    "campaigns": "Whom to treat with what, and whether it paid.",
    "report": "The page for a manager, and plots.",
    "tracking": "MLflow: runs, the registry, serving.",
}
"""The rooms of the reference."""
MORE = {
    "orders": ["clvml.orders.origins.Snapshots", "clvml.errors"],
    "estimators": [
        "clvml.estimators.purchases.model.PurchaseModel",
        "clvml.estimators.purchases.covariates.CovariateModel",
        "clvml.estimators.fitted.FittedModel",
        "clvml.estimators.fit.FitStatus",
        "clvml.estimators.interop",
    ],
    "evaluation": ["clvml.evaluation.backtest.Backtest", "clvml.maths.metrics"],
    "tracking": ["clvml.tracking.record.log_run", "clvml.tracking.registry.promote", "clvml.tracking.flavor.Scorer"],
}
"""What users meet beside the public names."""
LINK = re.compile(r"\[([^\]]*)\]\((?!https?:|mailto:|#)([^)#\s]*)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Pages that do not stand in docs/."""
    for path in [*sorted((ROOT / "benchmarks").glob("*.md")), *(ROOT / name for name in PROJECT)]:
        files.append(
            File.generated(config, path.relative_to(ROOT).as_posix(), content=path.read_text(encoding="utf-8"))
        )
    files.append(File.generated(config, "reference/cli.md", content=commands()))
    for room, lead in REFERENCE.items():
        files.append(File.generated(config, f"reference/{room}.md", content=reference(room, lead)))
    return files


def reference(room: str, lead: str) -> str:
    """The public names of a room, from their docstrings."""
    from clvml import _HOMES

    names = [f"{home}.{name}" for name, home in _HOMES.items() if home.split(".")[1] == room]
    found = "\n\n".join(f"::: {name}" for name in [*names, *MORE.get(room, [])])
    return f"# {'Models' if room == 'estimators' else room.capitalize()}\n\n{lead}\n\n{found}\n"


def on_page_markdown(markdown: str, page: Any, files: Files, **_: Any) -> str:
    """Links as they work in the repository, made to work in the site; what the site does not have stays as text."""
    source = page.file.src_uri
    in_repository = source if source.startswith("benchmarks/") or source in PROJECT else f"docs/{source}"
    here = posixpath.dirname(in_repository)

    def place(found: re.Match[str]) -> str:
        label, path, anchor = found[1], found[2], found[3] or ""
        target = posixpath.normpath(posixpath.join(here, path)).removeprefix("docs/")
        if files.get_file_from_path(target) is not None:
            return f"[{label}]({posixpath.relpath(target, posixpath.dirname(source) or '.')}{anchor})"
        return f"{label} (`{target}` in the repository)" if (ROOT / target).exists() else found[0]

    return LINK.sub(place, markdown)


def commands() -> str:
    """The help of every command, as it is printed."""
    import click

    from clvml.cli.commands import cli

    parts = ["# Command line\n", "Every option can stand in `clv.toml` under its own name; the command line wins.\n"]

    def add(command: click.Command, words: tuple[str, ...]) -> None:
        context = click.Context(command, info_name=" ".join(words), max_content_width=100, terminal_width=100)
        parts.append(f"## {' '.join(words)}\n\n```text\n{command.get_help(context)}\n```\n")
        for name, inner in sorted(getattr(command, "commands", {}).items()):
            add(inner, (*words, name))

    add(cli, ("clvml",))
    return "\n".join(parts)
