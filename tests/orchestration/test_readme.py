"""The README is true: its commands, options, exit codes, links and figures exist as it says."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

import orchestrate
from benchmarks import archive, batch_report
from benchmarks.report import BEGIN_MARK, END_MARK, render
from orchestration import errors as host_errors

REPOSITORY = Path(__file__).resolve().parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Codes that no error class carries.
PLAIN_CODES = {
    0,
    2,
    host_errors.EXIT_SOME_FAILED,
    host_errors.EXIT_ITEMS_LEFT,
    host_errors.EXIT_INTERRUPTED,
    129,
    143,
}


def blocks(language: str) -> list[str]:
    return [body for found, body in BLOCK.findall(README) if found == language]


def shell_commands() -> list[list[str]]:
    return [shlex.split(line) for body in blocks("sh") for line in body.splitlines() if line]


def section(title: str) -> str:
    """The text below a heading, up to the next one."""
    return re.split(
        r"^#+ .*$", README.partition(f"# {title}\n")[2], maxsplit=1, flags=re.MULTILINE
    )[0]


def rows(title: str) -> list[list[str]]:
    """The body cells of a section's first table."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    # A pipe inside `…` would be escaped; none of these tables has one.
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def named(commands: list[list[str]], program: str) -> list[list[str]]:
    return [command for command in commands if command[: len(program.split())] == program.split()]


def test_every_command_is_of_a_kind_that_is_checked() -> None:
    commands = shell_commands()
    checked = [
        *named(commands, "make"),
        *named(commands, "python orchestrate.py"),
        *named(commands, "python -m pip install"),
    ]
    assert len(commands) >= 10
    assert sorted(checked) == sorted(commands)


@pytest.mark.parametrize("command", named(shell_commands(), "make"), ids=" ".join)
def test_make_target_exists(command: list[str]) -> None:
    plan = subprocess.run(
        [*command, "--dry-run"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert plan.returncode == 0, plan.stderr
    assert plan.stdout


@pytest.mark.parametrize("target", re.findall(r"`make ([a-z-]+)`", README))
def test_make_target_named_in_the_text_exists(target: str) -> None:
    test_make_target_exists(["make", target])


@pytest.mark.parametrize("command", named(shell_commands(), "python orchestrate.py"), ids=" ".join)
def test_command_line_is_understood(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every argument is parsed by the real command line; what it would do is not done here."""
    monkeypatch.chdir(tmp_path)
    for folder in ("ckpt", "export", "result"):
        (tmp_path / folder).mkdir()
    (tmp_path / "result" / "mapping.csv").touch()
    understood: list[str] = []
    for name, subcommand in orchestrate.cli.commands.items():
        monkeypatch.setattr(subcommand, "callback", lambda name=name, **_: understood.append(name))
    orchestrate.cli.main(command[2:], standalone_mode=False)
    assert understood == [command[2] if command[2] in orchestrate.cli.commands else "convert"]


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["convert", "--help"], ["load", "-h"], ["doctor", "--runtime", "local"]],
    ids=" ".join,
)
def test_quick_commands_run(arguments: list[str]) -> None:
    program = [sys.executable, os.fspath(REPOSITORY / "orchestrate.py"), *arguments]
    finished = subprocess.run(program, capture_output=True, text=True, check=False)
    assert "Traceback" not in finished.stderr
    assert finished.stdout


@pytest.mark.parametrize("command", named(shell_commands(), "python -m pip install"), ids=" ".join)
def test_requirements_are_locked(command: list[str]) -> None:
    lock = (REPOSITORY / command[command.index("-r") + 1]).read_text(encoding="utf-8")
    requirements = re.findall(r"^[a-z][^#\n]*==", lock, re.MULTILINE)
    assert "--require-hashes" in command
    assert len(requirements) >= 4
    assert lock.count("--hash=sha256:") >= len(requirements)


def test_python_sample_uses_what_there_is() -> None:
    [sample] = blocks("python")
    [found] = [node for node in ast.walk(ast.parse(sample)) if isinstance(node, ast.ImportFrom)]
    package = (REPOSITORY / "stage_load" / "__init__.py").read_text(encoding="utf-8")
    assert found.module == "stage_load"
    assert all(f'"{alias.name}"' in package for alias in found.names)


def options_of_the_program() -> dict[str, set[str]]:
    """Option -> commands that have it."""
    found: dict[str, set[str]] = {}
    for name, command in orchestrate.cli.commands.items():
        context = click.Context(command, info_name=name, parent=click.Context(orchestrate.cli))
        # The help option takes its names from the group.
        context.help_option_names = ["-h", "--help"]
        for parameter in command.get_params(context):
            if isinstance(parameter, click.Option):
                for option in (*parameter.opts, *parameter.secondary_opts):
                    found.setdefault(option, set()).add(name)
    return found


def commands_in_words(words: str) -> set[str]:
    every = set(orchestrate.cli.commands)
    if words == "all":
        return every
    if words.startswith("all but "):
        return every - set(words.removeprefix("all but ").split(", "))
    return set(words.split(", "))


def test_every_option_is_listed_with_its_commands() -> None:
    listed: dict[str, set[str]] = {}
    for cell, words, _ in rows("Options"):
        for option in re.findall(r"`(--?[a-z-]+)", cell):
            listed.setdefault(option, set()).update(commands_in_words(words))
    assert listed == options_of_the_program()


def test_defaults_in_the_text_are_those_of_the_program() -> None:
    convert = orchestrate.cli.commands["convert"]
    defaults = {parameter.name: parameter.default for parameter in convert.params}
    text = {cell: meaning for cell, _, meaning in rows("Options")}
    for option, name in (
        ("`--tolerance X`", "tolerance"),
        ("`--reference-mb N`", "reference_mb"),
        ("`--seed N`", "seed"),
    ):
        assert float(text[option].rpartition("; ")[2]) == defaults[name]


def error_classes(module: str) -> set[tuple[int, str]]:
    """(exit code, class) of a module of errors, without importing what it imports."""
    path = REPOSITORY / module / "errors.py"
    specification = importlib.util.spec_from_file_location(f"errors_of_{module}", path)
    assert specification is not None
    assert specification.loader is not None
    loaded = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(loaded)
    return {
        (value.exit_code, name)
        for name, value in vars(loaded).items()
        if isinstance(value, type) and "exit_code" in vars(value) and value.exit_code > 9
    }


def test_every_exit_code_is_listed() -> None:
    listed = {(int(code), name) for code, name, _ in rows("Exit codes") if name}
    expected = {(host_errors.EXIT_INTERNAL_ERROR, "InternalError")}
    for module in ("orchestration", "stage_extract", "stage_load"):
        expected |= error_classes(module)
    assert listed == expected
    assert {int(code) for code, name, _ in rows("Exit codes") if not name} == PLAIN_CODES


def test_contract_files_are_listed() -> None:
    contract = json.loads((REPOSITORY / "stage_extract" / "contract_v1.json").read_text())
    assert {cell.strip("`") for cell, _ in rows("The contract")[:3]} == set(
        contract["files"].values()
    )


LINKS = sorted(
    target
    for target in re.findall(r"\]\(([^)#]+)\)", README)
    if not target.startswith(("http://", "https://"))
)


@pytest.mark.parametrize("target", LINKS)
def test_link_leads_to_a_file(target: str) -> None:
    assert (REPOSITORY / target).is_file()


@pytest.mark.parametrize(
    "path", re.findall(r"`((?:stage_|benchmarks/|tests/|docker/)[\w/.]+)`", README)
)
def test_path_in_the_text_exists(path: str) -> None:
    assert (REPOSITORY / path).exists()


def test_tables_are_those_of_the_stored_figures() -> None:
    results = json.loads((REPOSITORY / "benchmarks" / "results.json").read_text(encoding="utf-8"))
    shown = README.partition(BEGIN_MARK)[2].partition(END_MARK)[0]
    assert shown.strip() == render(results).strip()


def test_tables_of_a_batch_are_those_of_the_stored_figures() -> None:
    results = json.loads((REPOSITORY / "benchmarks" / "batch.json").read_text(encoding="utf-8"))
    shown = README.partition(batch_report.BEGIN_MARK)[2].partition(batch_report.END_MARK)[0]
    assert shown.strip() == batch_report.render(results).strip()


def test_tables_of_archives_are_those_of_the_stored_figures() -> None:
    results = json.loads((REPOSITORY / "benchmarks" / "archive.json").read_text(encoding="utf-8"))
    shown = README.partition(archive.BEGIN_MARK)[2].partition(archive.END_MARK)[0]
    assert shown.strip() == archive.render(results).strip()
