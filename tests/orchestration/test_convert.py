"""The whole host side on tiny stages: results appear whole, or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.manifest_schema import checked_manifest

RESULT_FILES = [
    "export/graph.json",
    "export/variables.safetensors",
    "manifest.json",
    "model.safetensors",
    "report.json",
]


def files_below(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def manifest_of(folder: Path):
    return checked_manifest(folder)


@pytest.mark.parametrize(
    ("model", "exit_code", "headline"),
    [
        pytest.param("unet", 0, "PROVEN", id="proven"),
        pytest.param("unproven", 0, "UNPROVEN", id="unproven-is-a-success-that-says-so"),
        # A failed parity check keeps its result, marked, and does not exit with 0.
        pytest.param("failed", 53, "FAILED", id="failed-parity-keeps-its-result"),
    ],
)
def test_a_result_is_whole_and_tells_its_verdict(machine, model, exit_code, headline):
    machine.checkpoint()
    done = machine.run("ckpt", "--model", model)
    assert done.returncode == exit_code, done.stderr
    assert done.stdout.split()[:2] == [headline, "ckpt-torch"]
    assert files_below(machine.folder / "ckpt-torch") == RESULT_FILES
    assert machine.names() == ["ckpt", "ckpt-torch"]


def test_the_manifest_lists_inputs_outputs_and_what_ran(machine):
    machine.checkpoint()
    machine.run("ckpt", "--model", "unet", "--seed", "7")
    out = machine.folder / "ckpt-torch"
    manifest = manifest_of(out)
    assert [entry["name"] for entry in manifest["files"]] == [
        "model.safetensors",
        "report.json",
        "export/graph.json",
        "export/variables.safetensors",
    ]
    for entry in manifest["files"]:
        content = (out / entry["name"]).read_bytes()
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert entry["size_bytes"] == len(content)
    index = {
        "name": "model.ckpt.index",
        "size_bytes": 4,
        "sha256": hashlib.sha256(b"fine").hexdigest(),
    }
    assert manifest["inputs"] == [
        {"role": "checkpoint", "folder": str(machine.folder / "ckpt"), "files": [index]}
    ]
    assert manifest["argv"][1:] == ["ckpt", "--model", "unet", "--seed", "7", "--runtime", "local"]
    assert manifest["runtime"] == "local"
    assert manifest["request"]["load"]["loader"]["lock"] == "requirements-load-cpu.txt"
    assert manifest["extract"]["versions"] == {"python": "3", "tensorflow": "1"}
    assert manifest["extract"]["reader"] == "tf"
    assert manifest["load"]["timings_s"] == {"load": 0.1}
    # Only the manifest may tell where and when: the export is the same wherever it is made.
    assert str(machine.folder) not in (out / "export" / "graph.json").read_text()


FAILURES = [
    # TensorFlow aborts the process on a truncated data file: that is the input's fault.
    pytest.param("abort", "unet", 24, "CorruptCheckpoint", id="stage-1-aborts"),
    pytest.param("killed", "unet", 17, "killed from outside", id="stage-1-killed"),
    pytest.param("illegal", "unet", 17, "AVX", id="stage-1-illegal-instruction"),
    pytest.param("no memory", "unet", 16, "OutOfMemory", id="stage-1-out-of-memory"),
    pytest.param("exit 3", "unet", 17, "first words / last words", id="stage-1-exits"),
    pytest.param("leave", "unet", 17, "exit code 0", id="stage-1-leaves-without-an-answer"),
    pytest.param("nonsense", "unet", 17, "Segmentation what?", id="stage-1-speaks-nonsense"),
    pytest.param("fail", "unet", 32, "TruncatedData", id="stage-1-reports-an-error"),
    pytest.param("short export", "unet", 18, "variables.safetensors", id="export-is-short"),
    pytest.param("next version", "unet", 18, "version 2; known are: 1", id="export-is-newer"),
    # What a container wrote is not trusted: a link could lead anywhere on the host.
    pytest.param("link", "unet", 18, "no plain file", id="export-holds-a-link"),
    pytest.param("fine", "unknown", 50, "UnknownModel", id="model-unknown"),
    pytest.param("fine", "misfit", 51, "ModelDoesNotFit", id="stage-2-reports-an-error"),
    pytest.param("fine", "abort", 17, "exit code 134", id="stage-2-aborts"),
    pytest.param("fine", "killed", 17, "killed from outside", id="stage-2-killed"),
]


@pytest.mark.parametrize(("behaviour", "model", "exit_code", "text"), FAILURES)
def test_a_failure_has_its_class_and_leaves_nothing(machine, behaviour, model, exit_code, text):
    machine.checkpoint(behaviour)
    done = machine.run("ckpt", "--model", model)
    assert done.returncode == exit_code
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert machine.names() == ["ckpt"]


@pytest.mark.parametrize("command", [["extract"], ["convert", "--model", "unet"]])
def test_nothing_is_written_through_a_stages_link(machine, command):
    # A manifest would be written to the place that the link leads to.
    victim = machine.folder / "victim"
    victim.write_text("precious")
    machine.checkpoint(f"write through {victim}")
    done = machine.run(command[0], "ckpt", *command[1:])
    assert done.returncode == 17, done.stderr
    assert "'manifest.json', which is neither file nor folder" in done.stderr
    assert victim.read_text() == "precious"
    assert machine.names() == ["ckpt", "victim"]


def test_a_pipe_among_stage_2s_files_is_refused(machine):
    machine.checkpoint()
    done = machine.run("ckpt", "--model", "pipe")
    assert done.returncode == 17, done.stderr
    assert "neither file nor folder" in done.stderr
    assert machine.names() == ["ckpt"]


def test_proposals_are_kept_beside_the_result_and_never_replaced(machine):
    machine.checkpoint()
    for name in ("ckpt-torch.proposed-mapping.csv", "ckpt-torch.proposed-mapping-2.csv"):
        done = machine.run("ckpt", "--model", "proposes")
        assert done.returncode == 65
        assert f"{name}: complete the lines" in done.stderr
        path = machine.folder / name
        assert path.read_bytes() == b"tf_name,torch_name,rule\r\na,,?\r\n"
        path.write_bytes(b"edited")
    assert (machine.folder / "ckpt-torch.proposed-mapping.csv").read_bytes() == b"edited"


def test_a_link_is_no_proposal(machine):
    machine.checkpoint()
    assert machine.run("ckpt", "--model", "proposes a link").returncode == 65
    assert machine.names() == ["ckpt"]


def test_a_wrong_model_name_is_told_before_the_extraction(machine):
    # Stage 1 hangs: only an answer of stage 2 that does not wait for it can end this run.
    machine.checkpoint("hang")
    done = machine.run("ckpt", "--model", "unknown")
    assert done.returncode == 50
    assert machine.names() == ["ckpt"]


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        pytest.param([], False, id="quiet-about-it"),
        pytest.param(["--verbose"], True, id="verbose"),
    ],
)
def test_a_bug_in_a_stage_goes_to_a_log_file(machine, options, shown):
    machine.checkpoint("bug")
    done = machine.run("ckpt", "--model", "unet", *options)
    assert done.returncode == 1
    assert ("Traceback: deep inside" in done.stderr) is shown
    logs = Path(machine.environment["XDG_CACHE_HOME"]) / "tf1-to-torch" / "logs"
    (log,) = logs.iterdir()
    assert "Traceback: deep inside" in log.read_text()
    assert str(log) in done.stderr


def test_a_second_run_has_nothing_to_do(machine):
    machine.checkpoint()
    machine.run("ckpt", "--model", "failed")
    before = (machine.folder / "ckpt-torch" / "manifest.json").read_bytes()
    again = machine.run("ckpt", "--model", "failed")
    # The stored verdict decides the exit code.
    assert again.returncode == 53
    assert "nothing to do" in again.stdout
    assert "ready" not in again.stderr
    assert (machine.folder / "ckpt-torch" / "manifest.json").read_bytes() == before


def change_weights(folder: Path) -> None:
    (folder / "ckpt-torch" / "model.safetensors").write_bytes(b"other")


def change_checkpoint(folder: Path) -> None:
    (folder / "ckpt" / "model.ckpt.index").write_bytes(b"same")


def replace_by_strangers(folder: Path) -> None:
    (folder / "ckpt-torch" / "manifest.json").unlink()


@pytest.mark.parametrize(
    ("arguments", "change", "text"),
    [
        pytest.param(["--model", "other"], None, "model, device", id="another-model"),
        pytest.param(
            ["--model", "unet", "--seed", "1"], None, "extraction options", id="another-seed"
        ),
        pytest.param(["--model", "unet"], change_weights, "model.safetensors", id="changed-file"),
        pytest.param(["--model", "unet"], change_checkpoint, "input changed", id="changed-input"),
        pytest.param(
            ["--model", "unet"], replace_by_strangers, "no result of this", id="not-our-folder"
        ),
    ],
)
def test_an_existing_folder_is_not_overwritten(machine, arguments, change, text):
    machine.checkpoint()
    machine.run("ckpt", "--model", "unet")
    if change is not None:
        change(machine.folder)
    out = machine.folder / "ckpt-torch"
    before = {name: (out / name).read_bytes() for name in files_below(out)}
    done = machine.run("ckpt", *arguments)
    assert done.returncode == 11
    assert text in done.stderr
    assert {name: (out / name).read_bytes() for name in files_below(out)} == before


def test_force_replaces_an_earlier_result_and_redoes_both_stages(machine):
    machine.checkpoint()
    machine.run("ckpt", "--model", "unet")
    done = machine.run("ckpt", "--model", "other", "--force")
    assert done.returncode == 0
    assert "extract: done" in done.stderr
    assert manifest_of(machine.folder / "ckpt-torch")["load"]["result"]["model"]["name"] == "other"
    assert machine.names() == ["ckpt", "ckpt-torch"]


def test_force_keeps_the_earlier_result_when_the_new_run_fails(machine):
    machine.checkpoint()
    machine.run("ckpt", "--model", "unet")
    assert machine.run("ckpt", "--model", "misfit", "--force").returncode == 51
    assert manifest_of(machine.folder / "ckpt-torch")["load"]["result"]["model"]["name"] == "unet"
    assert machine.names() == ["ckpt", "ckpt-torch"]


@pytest.mark.parametrize(
    "out",
    [
        pytest.param("notes", id="folder-of-somebody-else"),
        pytest.param("ckpt", id="the-checkpoint-itself"),
        pytest.param(".", id="the-current-folder"),
        pytest.param("notes/todo.txt", id="a-file"),
    ],
)
def test_force_replaces_nothing_but_results(machine, out):
    machine.checkpoint()
    (machine.folder / "notes").mkdir()
    (machine.folder / "notes" / "todo.txt").write_text("keep me")
    done = machine.run("ckpt", "--model", "unet", "--out", out, "--force")
    assert done.returncode == 11
    assert files_below(machine.folder) == ["ckpt/model.ckpt.index", "notes/todo.txt"]


def test_force_does_not_replace_a_result_that_holds_its_input(machine):
    machine.checkpoint()
    machine.run("ckpt", "--model", "unet")
    done = machine.run("load", "ckpt-torch", "--model", "other", "--out", "ckpt-torch", "--force")
    assert done.returncode == 11
    assert "holds the input" in done.stderr
    assert files_below(machine.folder / "ckpt-torch") == RESULT_FILES


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("with blank", id="blank"),
        pytest.param("a,b;c", id="comma"),
        pytest.param("a:b", id="colon"),
        pytest.param('it\'s "quoted"', id="quotes"),
        pytest.param("Größe-模型", id="non-ascii"),
        pytest.param("two\nlines", id="newline"),
        pytest.param("-dash", id="dash"),
        pytest.param("[brackets]$HOME`x`", id="shell-and-markup"),
        pytest.param("x" * 240, id="long"),
    ],
)
def test_awkward_paths(machine, name):
    machine.checkpoint(folder=name)
    out = f"{name[:200]} out"
    done = machine.run(f"./{name}/model.ckpt", "--model", "unet", "--out", f"./{out}")
    assert done.returncode == 0, done.stderr
    assert files_below(machine.folder / out) == RESULT_FILES


def test_files_of_a_result_follow_the_umask(machine):
    machine.checkpoint()
    machine.run("ckpt", "--model", "unet", umask=0o027)
    out = machine.folder / "ckpt-torch"
    assert out.stat().st_mode & 0o777 == 0o750
    assert (out / "manifest.json").stat().st_mode & 0o777 == 0o640
    assert (out / "export").stat().st_mode & 0o777 == 0o750


def test_missing_parents_of_the_output_are_made_and_taken_back(machine):
    machine.checkpoint()
    failed = machine.run("ckpt", "--model", "misfit", "--out", "a/b/c")
    assert failed.returncode == 51
    assert machine.names() == ["ckpt"]
    done = machine.run("ckpt", "--model", "unet", "--out", "a/b/c")
    assert done.returncode == 0
    assert files_below(machine.folder / "a") == [f"b/c/{name}" for name in RESULT_FILES]
