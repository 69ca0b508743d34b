"""A wheelhouse gives exactly the files that a lock names, or says all that is missing."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from orchestration.errors import ImageBuildFailed
from orchestration.image_sources import ImageSources
from orchestration.wheelhouse import LockedPackage, read_lock, select_files


def sha256(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


LOCK = f"""\
alpha==1.0 \\
    --hash=sha256:{sha256("alpha wheel")} \\
    --hash=sha256:{sha256("alpha source")}
    # via -r some.in
beta-two==2.0+cpu ; python_full_version < '3.12' \\
    --hash=sha256:{sha256("beta")}
gamma[extra]==3 \\
    --hash=sha256:{sha256("gamma")}
"""


def test_lock_is_read() -> None:
    alpha = frozenset({sha256("alpha wheel"), sha256("alpha source")})
    assert read_lock(LOCK) == [
        LockedPackage("alpha", "1.0", conditional=False, sha256=alpha),
        LockedPackage("beta-two", "2.0+cpu", conditional=True, sha256=frozenset({sha256("beta")})),
        LockedPackage("gamma", "3", conditional=False, sha256=frozenset({sha256("gamma")})),
    ]


@pytest.mark.parametrize("stage", ["extract", "load"])
@pytest.mark.parametrize("variant", ["cpu", "cuda"])
def test_every_package_of_our_locks_is_read(stage: str, variant: str) -> None:
    sources = ImageSources.read(stage, variant)
    text = sources.files[sources.lock].decode()
    packages = read_lock(text)
    assert len(packages) == len(re.findall(r"^[a-z]", text, re.MULTILINE))
    assert sum(len(package.sha256) for package in packages) == text.count("--hash=sha256:")
    assert all(package.sha256 for package in packages)


def fill(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return folder


def test_only_files_of_the_lock_are_taken(tmp_path: Path) -> None:
    fill(
        tmp_path,
        {
            "sub/gamma-3-py3-none-any.whl": "gamma",
            "alpha-1.0.tar.gz": "alpha source",
            "beta_two-2.0+cpu-py3-none-any.whl": "beta",
            # Right name, other content: an index that was tampered with, or another build.
            "alpha-1.0-py3-none-any.whl": "something else",
            "README.txt": "gamma",
        },
    )
    assert [path.name for path in select_files(LOCK, tmp_path)] == [
        "alpha-1.0.tar.gz",
        "beta_two-2.0+cpu-py3-none-any.whl",
        "gamma-3-py3-none-any.whl",
    ]


def test_all_that_is_missing_is_named(tmp_path: Path) -> None:
    # beta-two is for some platforms only: pip knows whether it is needed here.
    with pytest.raises(ImageBuildFailed, match=r"lacks alpha==1\.0, gamma==3\.") as caught:
        select_files(LOCK, tmp_path)
    assert "make wheelhouse" in caught.value.remedy


def test_long_list_of_missing_packages_is_cut(tmp_path: Path) -> None:
    lock = "\n".join(f"p{n}==1 --hash=sha256:{sha256(str(n))}" for n in range(13))
    with pytest.raises(ImageBuildFailed, match=r"p9==1 and 3 more\."):
        select_files(lock, tmp_path)


def test_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ImageBuildFailed, match="is not a folder"):
        select_files(LOCK, tmp_path / "missing")
