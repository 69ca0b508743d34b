"""Real runs around the conversion itself: signals, reuse, failed proofs, maps, odd paths."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

PATIENCE_S = 60


def containers(folder: Path) -> list[str]:
    """Names of the containers that see a folder, running or not."""
    command = ["docker", "ps", "--all", "--no-trunc", "--format", "{{.Names}} {{.Mounts}}"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line.split()[0] for line in shown.splitlines() if os.fspath(folder) in line]


def stages_of(program: subprocess.Popen[str]) -> list[int]:
    """Processes that the program started."""
    with open(f"/proc/{program.pid}/task/{program.pid}/children", encoding="ascii") as stream:
        return [int(pid) for pid in stream.read().split()]


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            return stream.read().rpartition(b")")[2].split()[0] != b"Z"
    except FileNotFoundError:
        return False


def read_until(program: subprocess.Popen[str], text: str) -> None:
    assert any(text in line for line in program.stderr), f"it never said {text!r}"


MOMENTS = [
    pytest.param("extract: ready", id="in-stage-1"),
    pytest.param("extract: done", id="between-the-stages"),
    pytest.param("load: ready", id="in-stage-2"),
]


@pytest.mark.parametrize(
    ("number", "exit_code"),
    [pytest.param(signal.SIGINT, 130, id="ctrl-c"), pytest.param(signal.SIGTERM, 143, id="term")],
)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_signal_ends_everything(workplace, zoo, runtime, moment, number, exit_code):
    shutil.copytree(zoo("five_levels"), workplace.folder / "ckpt")
    with workplace.start("ckpt", "--model", "unet", "--runtime", runtime) as program:
        read_until(program, moment)
        stages = stages_of(program)
        program.send_signal(number)
        said = "".join(program.communicate())
    assert program.returncode == exit_code, said
    assert "Traceback" not in said
    assert workplace.names() == ["ckpt"]
    end = time.monotonic() + PATIENCE_S
    while any(map(is_running, stages)):
        assert time.monotonic() < end, "a stage runs on"
        time.sleep(0.05)
    if runtime == "docker":
        assert containers(workplace.folder) == []


@pytest.mark.docker
def test_containers_of_a_killed_run_are_removed_by_the_next(workplace, zoo):
    shutil.copytree(zoo("five_levels"), workplace.folder / "ckpt")
    with workplace.start("ckpt", "--model", "unet", "--runtime", "docker") as program:
        read_until(program, "extract: ready")
        program.kill()
        program.communicate()
    assert containers(workplace.folder) != []
    done = workplace.run("ckpt", "--model", "unet", "--runtime", "docker", "--out", "other")
    assert done.returncode == 0, done.stderr
    assert containers(workplace.folder) == []


def test_a_second_run_uses_the_export_again(workplace, checkpoint, runtime):
    arguments = ["ckpt", "--model", "unet", "--runtime", runtime]
    workplace.run(*arguments, "--out", "one")
    done = workplace.run(*arguments, "--out", "two", "--tolerance", "1e-3")
    assert done.returncode == 0, done.stderr
    assert "Using the export of an earlier run again" in done.stderr
    for name in ("model.safetensors", "export/reference.safetensors"):
        one, two = (workplace.folder / out / name for out in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()
    again = workplace.run(*arguments, "--out", "two", "--tolerance", "1e-3")
    assert "nothing to do" in again.stdout


def test_equal_input_gives_equal_bytes(workplace, checkpoint, extract_python, load_python):
    arguments = ["ckpt", "--model", "unet", "--runtime", "local", "--force"]
    for out in ("one", "two"):
        workplace.run(*arguments, "--out", out)
    for path in sorted((workplace.folder / "one").rglob("*")):
        if path.is_file() and path.name != "manifest.json":
            other = workplace.folder / "two" / path.relative_to(workplace.folder / "one")
            assert path.read_bytes() == other.read_bytes(), path.name


def test_a_failed_proof_keeps_its_result_and_names_the_first_layer(workplace, checkpoint, runtime):
    # Both frameworks round differently: below that, nothing agrees.
    options = ["--tolerance", "1e-12", "--out", "out"]
    done = workplace.run("ckpt", "--model", "unet", "--runtime", runtime, *options)
    assert done.returncode == 53, done.stderr
    assert done.stdout.startswith("FAILED  out\n")
    first = workplace.manifest("out")["load"]["result"]["parity"]["first_differing_layer"]
    assert first["name"] in done.stdout
    assert (workplace.folder / "out" / "model.safetensors").is_file()
    config = json.loads((workplace.folder / "out" / "config.json").read_bytes())
    assert config["verdict"] == "failed"
    again = workplace.run("ckpt", "--model", "unet", "--runtime", runtime, *options)
    assert again.returncode == 53


def test_a_mapping_goes_out_and_comes_back(workplace, checkpoint, runtime):
    arguments = ["ckpt", "--model", "unet", "--runtime", runtime]
    workplace.run(*arguments, "--out", "one")
    mapping = workplace.folder / "one" / "mapping.csv"
    shutil.copy(mapping, workplace.folder / "edited.csv")
    done = workplace.run(*arguments, "--out", "two", "--map", "edited.csv")
    assert done.returncode == 0, done.stderr
    one, two = (workplace.folder / out / "model.safetensors" for out in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    with (workplace.folder / "two" / "mapping.csv").open(newline="") as stream:
        assert {row["how"] for row in csv.DictReader(stream)} <= {"map", "constant"}


def test_a_wrong_mapping_is_refused(workplace, checkpoint, runtime):
    (workplace.folder / "edited.csv").write_text("a,b\n1,2\n")
    done = workplace.run(*("ckpt", "--model", "unet", "--runtime", runtime, "--map", "edited.csv"))
    assert done.returncode == 56, done.stderr
    assert "edited.csv" in done.stderr


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("with blank", id="blank"),
        pytest.param("a,b", id="comma"),
        pytest.param("a:b", id="colon"),
        pytest.param('it\'s "so"', id="quotes"),
        pytest.param("Größe-模型", id="non-ascii"),
        pytest.param("two\nlines", id="newline"),
    ],
)
def test_awkward_paths(workplace, zoo, runtime, name):
    shutil.copytree(zoo("two_levels"), workplace.folder / name)
    out = f"{name} out"
    done = workplace.run(name, "--model", "unet", "--runtime", runtime, "--out", out)
    assert done.returncode == 0, done.stderr
    assert (workplace.folder / out / "model.safetensors").is_file()


def link_folder(folder, store):
    (folder / "ckpt").symlink_to(store)
    return folder / "ckpt"


def link_files(folder, store):
    """Every file a link into a store, as data tools lay out what they track."""
    (folder / "ckpt").mkdir()
    for number, path in enumerate(sorted(store.iterdir())):
        target = path.rename(path.with_name(f"blob{number}"))
        link = folder / "ckpt" / path.name
        link.symlink_to(target if number % 2 else os.path.relpath(target, link.parent))
    return folder / "ckpt"


@pytest.mark.parametrize("link", [link_folder, link_files])
def test_symlinked_checkpoints(workplace, zoo, runtime, link):
    store = workplace.folder / "store"
    shutil.copytree(zoo("upconvcat"), store)
    path = link(workplace.folder, store)
    done = workplace.run(path, "--model", "unet", "--runtime", runtime, "--out", "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("PROVEN")


def test_results_belong_to_the_caller(workplace, checkpoint, runtime):
    workplace.run("ckpt", "--model", "unet", "--runtime", runtime, "--out", "out", umask=0o027)
    for path in [workplace.folder / "out", *(workplace.folder / "out").rglob("*")]:
        status = path.stat()
        assert (status.st_uid, status.st_gid) == (os.getuid(), os.getgid()), path
        assert status.st_mode & 0o777 == (0o750 if path.is_dir() else 0o640), path


def test_an_environment_of_the_users_own(workplace, checkpoint, load_python, extract_python):
    done = workplace.run(
        *("ckpt", "--model", "unet", "--load-python", load_python.parent.parent, "--out", "out")
    )
    assert done.returncode == 0, done.stderr
    assert "Runtime: local (--load-python was given)" in done.stderr
    assert "with torch 2." in done.stderr
    loader = workplace.manifest("out")["request"]["load"]["loader"]
    assert loader["packages"]["torch"].startswith("2.")


def test_extract_then_load_is_the_same_as_convert(workplace, checkpoint, runtime):
    options = ["--runtime", runtime]
    workplace.run("ckpt", "--model", "unet", "--out", "whole", *options)
    workplace.run("extract", "ckpt", "--out", "export", "--force", *options)
    done = workplace.run("load", "export", "--model", "unet", "--out", "parts", *options)
    assert done.returncode == 0, done.stderr
    for name in ("model.safetensors", "config.json", "mapping.csv", "report.json"):
        whole, parts = (workplace.folder / out / name for out in ("whole", "parts"))
        assert whole.read_bytes() == parts.read_bytes(), name


def test_inspect_shows_what_is_inside(workplace, checkpoint, runtime):
    done = workplace.run("inspect", "ckpt", "--runtime", runtime)
    assert done.returncode == 0, done.stderr
    shown = json.loads(workplace.run("inspect", "ckpt", "--runtime", runtime, "--json").stdout)
    for kind in ("inputs", "outputs"):
        for entry in shown[kind]:
            assert entry["tensor"] in done.stdout
    for variable in shown["variables"]:
        assert variable["name"] in done.stdout
    assert workplace.names() == ["ckpt"]


def test_an_archive_with_more_than_a_containers_own_room_is_inspected(
    workplace, checkpoint, runtime
):
    more_bytes = 300 * 2**20
    with tarfile.open(workplace.folder / "all.tar", "w") as archive:
        archive.add(checkpoint, "ckpt")
        rest = tarfile.TarInfo("notes.bin")
        rest.size = more_bytes
        with open("/dev/zero", "rb") as zeros:
            archive.addfile(rest, zeros)
    done = workplace.run("inspect", "all.tar", "--json", "--runtime", runtime)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["totals"]["variables"]["tensors"] > 0
