"""Keys as OpenSSH keeps them: private ones to sign with, public ones that tell who signed.

`cryptography` reads the keys and does the arithmetic. It is imported where it is needed, for it
would be a fifth of a second of every command's start.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import stat
import struct
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orchestration.errors import KeyUnusable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import (
        EllipticCurvePrivateKey,
        EllipticCurvePublicKey,
    )
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

    PrivateKey = Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey
    PublicKey = Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey

AskPassphrase = Callable[[Path], bytes]
"""Gives the passphrase of a key's file; called only for one that is encrypted."""

PASSPHRASE_VARIABLE: Final = "TF1_TO_TORCH_PASSPHRASE"
KEY_TYPES: Final = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
)
# On a security key, which alone can use them.
HARDWARE_KEY_TYPES: Final = ("sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com")
LEAST_RSA_BITS: Final = 2048
# A key of 16,384 bits has 13 kB; a longer file is none, and may have no end.
_LARGEST_KEY_FILE_BYTES: Final = 1 << 20
_OPENSSH_MAGIC: Final = b"openssh-key-v1\0"
_OPENSSH_KEY: Final = re.compile(
    b"-----BEGIN OPENSSH PRIVATE KEY-----(.+)-----END OPENSSH PRIVATE KEY-----", re.DOTALL
)
_ENCRYPTED_PEM: Final = re.compile(b"BEGIN ENCRYPTED PRIVATE KEY|^Proc-Type: 4,ENCRYPTED", re.M)


@dataclass(frozen=True)
class PublicBlob:
    """A public key as it stands, in base64, in a .pub file.

    Attributes:
        key_type: such as "ssh-ed25519".
        data: the key's bytes, its type among them.
    """

    key_type: str
    data: bytes

    @classmethod
    def parse(cls, data: bytes) -> PublicBlob:
        """Read the type of a key's bytes. Raises ValueError for what is none."""
        key_type, _ = take_string(data)
        return cls(key_type.decode("ascii"), data)

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` shows it."""
        digest = base64.b64encode(hashlib.sha256(self.data).digest()).decode("ascii")
        return f"SHA256:{digest.rstrip('=')}"

    def load(self) -> PublicKey:
        """The key, of one of `KEY_TYPES`, to verify with.

        Raises:
            KeyUnusable: it is too short to prove anything.
            ValueError: it is damaged.
        """
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric import dsa, rsa
        from cryptography.hazmat.primitives.serialization import load_ssh_public_key

        line = b" ".join((self.key_type.encode("ascii"), base64.b64encode(self.data)))
        try:
            key = load_ssh_public_key(line)
        except (NotImplementedError, UnsupportedAlgorithm) as error:
            raise ValueError(str(error)) from error
        if isinstance(key, dsa.DSAPublicKey):
            raise ValueError("a DSA key, which its type does not say")
        if isinstance(key, rsa.RSAPublicKey):
            refuse_short_key(key.key_size, self.fingerprint)
        return key


def take_string(data: bytes) -> tuple[bytes, bytes]:
    """Split off a string as SSH writes it: its length in 4 bytes, big-endian, then its bytes.

    Raises:
        ValueError: there are fewer bytes than that length says.
    """
    if len(data) < 4:
        raise ValueError("a length is cut off")
    (length,) = struct.unpack(">I", data[:4])
    if len(data) - 4 < length:
        raise ValueError(f"{length} bytes are announced, {len(data) - 4} are there")
    return data[4 : 4 + length], data[4 + length :]


def put_string(data: bytes) -> bytes:
    """A string as SSH writes it."""
    return struct.pack(">I", len(data)) + data


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
            f"Check the passphrase with: ssh-keygen -y -f {path}",
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


def read_key_file(path: Path) -> bytes:
    """The bytes of a file with keys. Raises KeyUnusable if it cannot be read, or is no file."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError("it is no plain file")
        with path.open("rb") as stream:
            data = stream.read(_LARGEST_KEY_FILE_BYTES + 1)
    except OSError as error:
        raise KeyUnusable(
            f"The key {path} cannot be read: {error.strerror or error}.",
            "A file with a key was expected.",
            "Check the path and the permissions.",
        ) from error
    if len(data) > _LARGEST_KEY_FILE_BYTES:
        raise KeyUnusable(
            f"{path} has more than {_LARGEST_KEY_FILE_BYTES:,} bytes.",
            "A file with keys was expected.",
            "Check the path.",
        )
    return data


def refuse_other_types(key_type: str, happened: str) -> None:
    """Raise KeyUnusable for a key on hardware, and for a type that is not signed with here."""
    if key_type in HARDWARE_KEY_TYPES:
        raise KeyUnusable(
            f"{happened}, which is of type {key_type}: it lies on a security key.",
            f"A key in a file was expected, of type {', '.join(KEY_TYPES)}.",
            "ssh-keygen uses security keys: `ssh-keygen -Y sign -n tf1-to-torch-bag -f KEY"
            " tagmanifest-sha512.txt` in the bag signs, `ssh-keygen -Y verify -n tf1-to-torch-bag"
            " -f ALLOWED_SIGNERS -I PRINCIPAL -s tagmanifest-sha512.txt.sig <"
            " tagmanifest-sha512.txt` checks.",
        )
    if key_type not in KEY_TYPES:
        raise KeyUnusable(
            f"{happened}, which is of type {key_type!r}.",
            f"One of these types was expected: {', '.join(KEY_TYPES)}.",
            "Make a key with: ssh-keygen -t ed25519",
        )


def refuse_short_key(bits: int, name: object) -> None:
    """Raise KeyUnusable for an RSA key that is too short to prove anything."""
    if bits < LEAST_RSA_BITS:
        raise KeyUnusable(
            f"The RSA key {name} has {bits} bits.",
            f"At least {LEAST_RSA_BITS} bits were expected.",
            "Make a key with: ssh-keygen -t ed25519",
        )


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
    refuse_other_types(PublicBlob.parse(public).key_type, f"--sign names the key {path}")
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
    raise KeyUnusable(
        f"The key {path} is a {type(key).__name__}.",
        f"One of these types was expected: {', '.join(KEY_TYPES)}.",
        "Make a key with: ssh-keygen -t ed25519",
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
