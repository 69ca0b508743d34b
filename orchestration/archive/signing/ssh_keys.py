"""Private keys as OpenSSH keeps them, and their passphrases.

`cryptography` reads the keys and does the arithmetic. It is imported where it is needed, for it
would be a fifth of a second of every command's start.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orchestration.archive.layout import NAMESPACE, SIGNED
from orchestration.archive.signing.ssh_public_keys import (
    HARDWARE_KEY_TYPES,
    KEY_TYPES,
    PublicBlob,
    read_key_file,
    refuse_short_key,
    take_string,
    unknown_type,
)
from orchestration.errors import KeyUnusable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    PrivateKey = Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey

AskPassphrase = Callable[[Path], bytes]
"""Gives the passphrase of a key's file; called only for one that is encrypted."""

PASSPHRASE_VARIABLE: Final = "TF1_TO_TORCH_PASSPHRASE"
_OPENSSH_MAGIC: Final = b"openssh-key-v1\0"
_OPENSSH_KEY: Final = re.compile(
    b"-----BEGIN OPENSSH PRIVATE KEY-----(.+)-----END OPENSSH PRIVATE KEY-----", re.DOTALL
)
_ENCRYPTED_PEM: Final = re.compile(b"BEGIN ENCRYPTED PRIVATE KEY|^Proc-Type: 4,ENCRYPTED", re.M)


def load_private_key(path: Path, ask_passphrase: AskPassphrase) -> PrivateKey:
    """Read a private key, in OpenSSH's own format or in PEM.

    Raises:
        KeyUnusable: it cannot be read, is no private key, is of another kind than Ed25519, ECDSA
            or RSA, lies on a security key, or the passphrase is wrong.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import (
        load_pem_private_key,
        load_ssh_private_key,
    )

    data = read_key_file(path)
    own = _OPENSSH_KEY.search(data)
    if own is None and b" PRIVATE KEY-----" not in data:
        raise _no_private_key(path)
    try:
        encrypted = _is_encrypted(path, own[1]) if own else bool(_ENCRYPTED_PEM.search(data))
        load = load_ssh_private_key if own else load_pem_private_key
        key = load(data, ask_passphrase(path) if encrypted else None)
    except (ValueError, TypeError, NotImplementedError, UnsupportedAlgorithm) as error:
        raise KeyUnusable(
            f"The key {path} cannot be opened: {error}.",
            "A private key was expected, and its passphrase if it has one.",
            f"Check the passphrase with: ssh-keygen -y -f {shlex.quote(os.fspath(path))}",
        ) from error
    return _signing_key(key, path)


def ask_on_terminal(environment: Mapping[str, str]) -> AskPassphrase:
    """Ask for a passphrase on the terminal; an environment variable may have it instead."""

    def ask(path: Path) -> bytes:
        given = environment.get(PASSPHRASE_VARIABLE)
        if given is not None:
            return os.fsencode(given)
        if not sys.stdin.isatty():
            raise KeyUnusable(
                f"The key {path} has a passphrase, and there is no terminal to ask for it.",
                "A passphrase was expected.",
                f"Put it into the environment variable {PASSPHRASE_VARIABLE}.",
            )
        import click

        return os.fsencode(click.prompt(f"Passphrase of {path}", hide_input=True, err=True))

    return ask


def public_blob(key: PrivateKey) -> PublicBlob:
    """The public half of a private key."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return PublicBlob.parse(base64.b64decode(line.split()[1]))


def _is_encrypted(path: Path, base64_text: bytes) -> bool:
    """Whether a key in OpenSSH's format has a passphrase.

    Raises:
        KeyUnusable: it is of a type that cannot be used here.
        ValueError: it is damaged.
    """
    try:
        data = binascii.a2b_base64(base64_text)
    except binascii.Error as error:
        raise ValueError(str(error)) from error
    if not data.startswith(_OPENSSH_MAGIC):
        raise ValueError("it does not begin as OpenSSH's keys do")
    cipher, rest = take_string(data[len(_OPENSSH_MAGIC) :])
    for _ in ("derivation of the key", "its options"):
        _, rest = take_string(rest)
    public, _ = take_string(rest[4:])
    key_type = PublicBlob.parse(public).key_type
    if key_type in HARDWARE_KEY_TYPES:
        raise _on_hardware(path, key_type)
    if key_type not in KEY_TYPES:
        raise unknown_type(f"The key {path}", key_type)
    return cipher != b"none"


def _signing_key(key: object, path: Path) -> PrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, rsa.RSAPrivateKey):
        refuse_short_key(key.key_size, path)
        return key
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey):
        curve = f"ecdsa-sha2-nistp{key.key_size}"
        if key.curve.name == f"secp{key.key_size}r1" and curve in KEY_TYPES:
            return key
        raise unknown_type(f"The key {path}", key.curve.name)
    raise unknown_type(f"The key {path}", type(key).__name__)


def _on_hardware(path: Path, key_type: str) -> KeyUnusable:
    return KeyUnusable(
        f"The key {path} is of type {key_type}: it lies on a security key.",
        "A key in a file was expected.",
        f"Leave --sign out; then, in the bag, ssh-keygen -Y sign -n {NAMESPACE} -f"
        f" {shlex.quote(os.path.abspath(path))} {SIGNED}",
    )


def _no_private_key(path: Path) -> KeyUnusable:
    remedy = "Name the file with the private key"
    if path.suffix == ".pub" and path.with_suffix("").is_file():
        remedy += f", perhaps {path.with_suffix('')}"
    return KeyUnusable(
        f"{path} holds no private key.",
        "A private key as ssh-keygen makes it was expected.",
        f"{remedy}; a key that only an agent or a security key has signs with ssh-keygen -Y sign.",
    )
