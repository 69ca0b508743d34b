"""Keys that cannot sign are refused, each with its reason; a passphrase is asked for."""

from __future__ import annotations

import base64
import os
import pty
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from orchestration.archive.signing.ssh_keys import (
    PASSPHRASE_VARIABLE,
    ask_on_terminal,
    load_private_key,
    public_blob,
)
from orchestration.archive.signing.ssh_public_keys import put_string
from orchestration.errors import KeyUnusable
from tests.orchestration.archive import ssh_keygen

REPOSITORY = Path(__file__).resolve().parents[3]


def no_passphrase(path: Path) -> bytes:
    raise AssertionError(f"{path} has none")


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def hardware_key(path: Path, key_type: bytes) -> Path:
    """What `ssh-keygen -t …-sk` leaves on disk: which key it is, and how to ask for it."""
    public = put_string(key_type) + put_string(b"k" * 32) + put_string(b"ssh:")
    data = b"openssh-key-v1\0" + put_string(b"none") * 2 + put_string(b"") + b"\0\0\0\1"
    text = base64.encodebytes(data + put_string(public) + put_string(b"\0" * 64))
    return written(
        path,
        b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + text + b"-----END OPENSSH PRIVATE KEY-----\n",
    )


def dsa_key(path: Path) -> Path:
    # Newer ssh-keygen makes none.
    return pem(path, dsa.generate_private_key(2048))


def odd_curve_key(path: Path) -> Path:
    return pem(path, ec.generate_private_key(ec.SECP256K1()))


def pem(path: Path, key: dsa.DSAPrivateKey | ec.EllipticCurvePrivateKey) -> Path:
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return written(path, text)


def fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def made(path: Path, *options: str) -> Path:
    return ssh_keygen.make_key(path, *options)


def damaged(path: Path) -> Path:
    """A key whose public half is not that of its private half."""
    text = made(path, "-t", "ed25519").read_bytes().splitlines()
    text[2] = text[2][::-1]
    return written(path, b"\n".join(text) + b"\n")


def cut_off(path: Path) -> Path:
    lines = made(path, "-t", "ed25519").read_bytes().splitlines(keepends=True)
    return written(path, b"".join((lines[0], lines[1][:40] + b"\n", lines[-1])))


UNUSABLE = {
    "missing": (lambda path: path, "cannot be read: No such file"),
    "folder": (lambda path: path.parent, "is no plain file"),
    "without-end": (fifo, "is no plain file"),
    "large": (lambda path: written(path, b"x" * (2 << 20)), "has more than 1,048,576 bytes"),
    "text": (lambda path: written(path, b"hello\n"), "holds no private key"),
    "public": (
        lambda path: ssh_keygen.public_key(made(path, "-t", "ed25519")),
        r"holds no private key.*perhaps .*key[^.]*; a key that only an agent",
    ),
    "hardware": (
        lambda path: hardware_key(path, b"sk-ssh-ed25519@openssh.com"),
        "lies on a security key.*ssh-keygen -Y sign -n tf1-to-torch-bag -f /.*/key tagmanifest",
    ),
    "hardware-ecdsa": (
        lambda path: hardware_key(path, b"sk-ecdsa-sha2-nistp256@openssh.com"),
        "lies on a security key",
    ),
    "unknown": (lambda path: hardware_key(path, b"ssh-new"), "of type 'ssh-new'"),
    "dsa": (lambda path: hardware_key(path, b"ssh-dss"), "of type 'ssh-dss'"),
    "dsa-pem": (dsa_key, "is of type 'DSAPrivateKey'"),
    "odd-curve": (
        odd_curve_key,
        "is of type 'secp256k1'",
    ),
    "short-rsa": (lambda path: made(path, "-t", "rsa", "-b", "1024"), "has 1024 bits"),
    "damaged": (damaged, "cannot be opened"),
    "cut-off": (cut_off, "cannot be opened"),
    "empty-pem": (
        lambda path: written(path, b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"),
        "cannot be opened",
    ),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_keys_that_cannot_sign(name, tmp_path):
    make, why = UNUSABLE[name]
    path = make(tmp_path / "key")
    with pytest.raises(KeyUnusable, match=why):
        load_private_key(path, no_passphrase)


@pytest.mark.parametrize("format", ["RFC4716", "PEM", "PKCS8"])
def test_a_wrong_passphrase(format, tmp_path):
    options = ("-t", "ecdsa", "-a", "1", "-m", format)
    key = ssh_keygen.make_key(tmp_path / "key", *options, passphrase="right")
    loaded = load_private_key(key, lambda path: b"right")
    assert public_blob(loaded).fingerprint == ssh_keygen.fingerprint(key)
    for wrong in (b"wrong", b""):
        with pytest.raises(KeyUnusable, match="cannot be opened"):
            load_private_key(key, lambda path, wrong=wrong: wrong)


def test_a_passphrase_from_the_environment(tmp_path):
    key = ssh_keygen.make_key(tmp_path / "key", "-t", "ed25519", "-a", "1", passphrase="gehéim")
    load_private_key(key, ask_on_terminal({PASSPHRASE_VARIABLE: "gehéim"}))
    with pytest.raises(KeyUnusable, match="cannot be opened"):
        load_private_key(key, ask_on_terminal({PASSPHRASE_VARIABLE: ""}))


def test_no_passphrase_and_no_terminal(tmp_path, monkeypatch):
    key = ssh_keygen.make_key(tmp_path / "key", "-t", "ed25519", "-a", "1", passphrase="x")
    with (tmp_path / "empty").open("w+") as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        with pytest.raises(KeyUnusable, match=PASSPHRASE_VARIABLE):
            load_private_key(key, ask_on_terminal({}))


def test_a_passphrase_on_the_terminal(tmp_path):
    key = ssh_keygen.make_key(tmp_path / "key", "-t", "ed25519", "-a", "1", passphrase="typed")
    program = (
        "import sys; from pathlib import Path;"
        "from orchestration.archive.signing import ssh_keys as k;"
        "print(k.public_blob(k.load_private_key(Path(sys.argv[1]), k.ask_on_terminal({})))"
        ".fingerprint)"
    )
    process_id, terminal = pty.fork()
    if process_id == 0:
        os.chdir(REPOSITORY)
        os.execv(sys.executable, [sys.executable, "-c", program, os.fspath(key)])
    said = b""
    while b"Passphrase of " not in said or not said.endswith(b": "):
        said += os.read(terminal, 1024)
    os.write(terminal, b"typed\n")
    said = said_to_the_end(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(process_id, 0)[1]) == 0
    os.close(terminal)
    assert said.strip().decode() == ssh_keygen.fingerprint(key)


def said_to_the_end(terminal: int) -> bytes:
    said = b""
    while True:
        try:
            said += os.read(terminal, 1024)
        except OSError:
            # How Linux tells that the other side of a terminal is closed.
            return said
