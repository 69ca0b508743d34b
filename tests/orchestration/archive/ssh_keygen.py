"""The real ssh-keygen."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from orchestration.archive.signing.signature import NAMESPACE

if shutil.which("ssh-keygen") is None and os.environ.get("CI") != "true":
    pytest.skip("ssh-keygen is not installed (openssh-client)", allow_module_level=True)

PRINCIPAL = "ada@example.org"


def make_key(path: Path, *options: str, passphrase: str = "") -> Path:
    """Make a key; its public half lies beside it."""
    command = ["ssh-keygen", "-q", *options, "-N", passphrase, "-C", "of a test", "-f", path]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path


def public_key(key: Path) -> Path:
    """File of a key's public half."""
    return key.with_name(f"{key.name}.pub")


def sign(content: Path, key: Path, *options: str, namespace: str = NAMESPACE) -> bytes:
    """Sign a file."""
    command = ["ssh-keygen", "-Y", "sign", "-q", "-n", namespace, "-f", key, *options]
    with content.open("rb") as stream:
        answer = subprocess.run(command, check=True, stdin=stream, capture_output=True)
    return answer.stdout


def verify(content: Path, signature: bytes, allowed: Path) -> bool:
    """Whether a signature holds, by a list of allowed signers."""
    file = allowed.with_name(f"{allowed.name}.sig")
    file.write_bytes(signature)
    command = ["ssh-keygen", "-Y", "verify", "-n", NAMESPACE, "-f", allowed]
    command += ["-I", PRINCIPAL, "-s", file]
    with content.open("rb") as stream:
        answer = subprocess.run(command, check=False, stdin=stream, capture_output=True)
    return answer.returncode == 0


def fingerprint(key: Path) -> str:
    """Of a key, as it is shown to people."""
    command = ["ssh-keygen", "-l", "-f", key]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[1]
