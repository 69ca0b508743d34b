"""What the doctor says of Apptainer, and how it is mended."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestration import apptainer_doctor
from orchestration.apptainer_doctor import (
    check_apptainer,
    check_fuse,
    check_namespaces,
    check_scratch,
)
from orchestration.doctor_checks import Check, check_own_image
from orchestration.errors import OrchestrationError
from orchestration.settings import RuntimeOptions
from orchestration.sif.program import Program
from orchestration.sif.store import SifStore


def test_not_installed_is_no_fault(tmp_path: Path) -> None:
    (check,) = check_apptainer(RuntimeOptions(), {"PATH": os.fspath(tmp_path)})
    assert (check.name, check.ok) == ("apptainer", None)
    assert "There is no Apptainer on this machine" in check.detail


def test_an_image_that_is_named_is_looked_at(tmp_path: Path) -> None:
    store = SifStore(Program("/usr/bin/apptainer", "1.4.5"), {"HOME": os.fspath(tmp_path)})
    named = os.fspath(tmp_path / "x.sif")
    check = check_own_image(store, "load", named)
    assert (check.name, check.ok) == ("apptainer image load", False)
    assert check.detail == f"There is no image file {named}."
    assert "Correct --image-load" in str(check.remedy)
    (tmp_path / "x.sif").write_bytes(b"no image")
    with pytest.raises(OrchestrationError, match=r"x\.sif cannot be used"):
        store.find_image(named)


@pytest.mark.parametrize(
    ("text", "ok", "detail"),
    [
        pytest.param("0\n", False, "user.max_user_namespaces is 0", id="forbidden"),
        pytest.param("15000\n", True, "user namespaces are open to you", id="allowed"),
        pytest.param(None, True, "user namespaces are open to you", id="no-such-setting"),
    ],
)
def test_namespaces(tmp_path: Path, text: str | None, ok: bool, detail: str) -> None:
    path = tmp_path / "setting"
    if text is not None:
        path.write_text(text)
    check = check_namespaces({os.fspath(path): "0"})
    assert check.ok is ok
    assert check.detail == detail.replace(
        "user.max_user_namespaces", os.fspath(path).replace("/", ".")
    )
    assert (check.remedy is None) is ok


def test_fuse(tmp_path: Path) -> None:
    device = tmp_path / "fuse"
    device.touch()
    assert check_fuse(device) == Check("apptainer FUSE", True, f"{device} may be opened")
    check = check_fuse(tmp_path / "none")
    assert (check.ok, check.detail) == (False, f"{tmp_path / 'none'} is not there")
    assert "--unsquash" in str(check.remedy)


def test_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apptainer_doctor, "SCRATCH_NEEDS_BYTES", 1)
    assert check_scratch(tmp_path).ok is True
    monkeypatch.setattr(apptainer_doctor, "SCRATCH_NEEDS_BYTES", 1 << 60)
    check = check_scratch(tmp_path)
    assert check.ok is False
    assert "APPTAINER_TMPDIR" in str(check.remedy)
    assert check_scratch(tmp_path / "none").ok is False
