"""`orchestrate.py batch` as people call it, before any stage runs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import click
import pytest

from orchestration.batch.command import batch
from orchestration.batch.options import batch_settings, check_options, slurm_settings
from orchestration.batch.settings import BatchSettings, Shard, SlurmSettings
from orchestration.settings import RuntimeOptions

GB = 1 << 30
# As in the whole program: click keeps the help option that a command was first asked for.
HELP = {"help_option_names": ["-h", "--help"]}


def parsed(*options: str) -> dict:
    return batch.make_context("batch", ["m.csv", "--out", "o", *options], **HELP).params


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        pytest.param([], {}, id="defaults"),
        pytest.param(["--jobs", "3"], {"jobs": 3}, id="jobs"),
        pytest.param(["--memory-gb", "1.5"], {"memory_bytes": 3 * GB // 2}, id="memory"),
        pytest.param(["--item-timeout", "30m"], {"item_timeout_s": 1800}, id="minutes"),
        pytest.param(["--item-timeout", "600"], {"item_timeout_s": 600}, id="seconds"),
        pytest.param(["--item-timeout", "1h 2.5m 3s"], {"item_timeout_s": 3753}, id="mixed"),
        pytest.param(["--recycle-after", "5"], {"recycle_after": 5}, id="recycle"),
        pytest.param(["--shard", "3/20"], {"shard": Shard(3, 20)}, id="shard"),
        pytest.param(
            ["--shard", "1/1", "--requeue"], {"shard": Shard(1, 1), "requeue": True}, id="requeue"
        ),
        pytest.param(["--retry-failed"], {"retry_failed": True}, id="retry"),
        pytest.param(["--verify", "--force"], {"verify": True, "force": True}, id="verify"),
        pytest.param(
            ["--runtime", "local", "--device", "cuda:1", "--memory-limit", "2g"],
            {"runtime": RuntimeOptions("local", "cuda:1", 2 * GB)},
            id="runtime",
        ),
    ],
)
def test_settings(tmp_path, monkeypatch, options, settings):
    monkeypatch.chdir(tmp_path)
    given = parsed(*options)
    check_options(given)
    assert batch_settings(given) == BatchSettings(**{"out": tmp_path / "o", **settings})


def test_settings_of_slurm():
    words = ["--sbatch", "--partition=cpu --comment='two words'", "--sbatch", "--time=0:30:00"]
    given = parsed("--slurm", "--shards", "20", *words)
    check_options(given)
    sbatch = ("--partition=cpu", "--comment=two words", "--time=0:30:00")
    assert slurm_settings(given, items=500) == SlurmSettings(20, sbatch)
    # No shard without an item.
    assert slurm_settings(given, items=3).shards == 3
    given = parsed("--slurm", "--shards", "1", "--sbatch", "--comment='open")
    with pytest.raises(click.BadParameter, match="quote without end"):
        slurm_settings(given, items=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(["--json"], "--json goes with --status only", id="json"),
        pytest.param(["--failed"], "--failed goes with --status only", id="failed"),
        pytest.param(["--shards", "3"], "--shards goes with --slurm only", id="shards"),
        pytest.param(["--sbatch", "-p x"], "--sbatch goes with --slurm only", id="sbatch"),
        pytest.param(["--slurm"], "--slurm goes with --shards only", id="slurm"),
        pytest.param(["--wait"], "--wait goes with --slurm only", id="wait"),
        pytest.param(["--requeue"], "--requeue goes with --shard only", id="requeue"),
        pytest.param(
            ["--slurm", "--shards", "3", "--shard", "1/3"],
            "--slurm does not go with --shard;",
            id="slurm-in-a-shard",
        ),
        pytest.param(["--status", "--cancel"], "--status does not go with --cancel", id="two"),
        pytest.param(["--status", "--retry-failed"], "does not go with --retry-failed", id="retry"),
        pytest.param(["--cancel", "--force"], "--cancel does not go with --force", id="force"),
        pytest.param(["--shard", "0/3"], "'0/3' is no shard", id="shard-zero"),
        pytest.param(["--shard", "4/3"], "'4/3' is no shard", id="shard-beyond"),
        pytest.param(["--shard", "3"], "'3' is no shard", id="shard-without-count"),
        pytest.param(["--item-timeout", "soon"], "'soon' is no time", id="time"),
        pytest.param(["--item-timeout", "0"], "'0' is no time", id="no-time"),
        pytest.param(["--item-timeout", ""], "'' is no time", id="empty-time"),
        pytest.param(["--jobs", "0"], "'--jobs'", id="jobs"),
        pytest.param(["--memory-gb", "0"], "'--memory-gb'", id="memory"),
        pytest.param(["more.csv"], "put a glob into quotes", id="two-sources"),
    ],
)
def test_options_that_contradict_each_other_are_usage_errors(options, message):
    with pytest.raises(click.UsageError) as caught:
        batch.main(["m.csv", "--out", "o", *options], standalone_mode=False, **HELP)
    assert message in caught.value.format_message()


def run(machine, *arguments: str) -> subprocess.CompletedProcess[str]:
    return machine.run("batch", *arguments)


def models(machine, text: str) -> None:
    for name in ("a", "b", "c"):
        machine.checkpoint(folder=name)
    Path(machine.folder, "models.csv").write_text(text, encoding="utf-8")


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(machine):
    models(machine, "checkpoint,name\na,first\nb,second\nc,third\n")
    before = machine.names()
    done = run(machine, "models.csv", "--out", "o", "--model", "unet", "--dry-run")
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert rows == [
        ["first", "4", f"{machine.folder}/a", "models.csv line 2"],
        ["second", "4", f"{machine.folder}/b", "models.csv line 3"],
        ["third", "4", f"{machine.folder}/c", "models.csv line 4"],
    ]
    parts = [
        run(machine, "models.csv", "--out", "o", "--model", "u", "--dry-run", "--shard", f"{n}/2")
        for n in (1, 2)
    ]
    assert [[line.split("\t")[0] for line in part.stdout.splitlines()] for part in parts] == [
        ["first", "third"],
        ["second"],
    ]
    assert machine.names() == before


@pytest.mark.parametrize(
    ("arguments", "exit_code", "text"),
    [
        pytest.param(["models.csv", "--out", "o"], 28, "models.csv line 2: No model", id="row"),
        pytest.param(["gone.csv", "--out", "o"], 28, "There is no items file", id="no-file"),
        pytest.param(["--out", "o"], 2, "Missing argument 'ITEMS'", id="no-items"),
        pytest.param(["models.csv"], 2, "Missing option '--out'", id="no-out"),
        pytest.param(["--out", "o", "--status"], 28, "No items are known in", id="status"),
        pytest.param(["--out", "o", "--retry-failed"], 28, "No items are known", id="retry"),
        pytest.param(
            ["models.csv", "--model", "u", "--out", "models.csv"], 19, "OutputNot", id="out-a-file"
        ),
    ],
)
def test_errors_before_any_work(machine, arguments, exit_code, text):
    models(machine, "checkpoint\na\n")
    before = machine.names()
    done = run(machine, *arguments)
    assert done.returncode == exit_code
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert machine.names() == before


def test_shards_do_their_items_and_no_others(machine):
    """Also the one that has none, and the second time, when nothing is left to do."""
    models(machine, "checkpoint,name\na,first\nb,second\nc,third\n")
    out = machine.folder / "o"
    made = []
    for shard in ("1/4", "2/4", "3/4", "4/4", "1/4"):
        done = run(machine, "models.csv", "--out", "o", "--model", "unet", "--shard", shard)
        assert done.returncode == 0, done.stderr
        made.append({path.parent.name for path in out.glob("*/manifest.json")})
    assert made == [
        {"first"},
        {"first", "second"},
        {"first", "second", "third"},
        {"first", "second", "third"},
        {"first", "second", "third"},
    ]
    [stored] = (out / "batch" / "items").iterdir()
    [plan] = (out / "batch" / "plans").iterdir()
    assert plan.name == f"{stored.stem}-4.json"
