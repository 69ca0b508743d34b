"""Public keys as OpenSSH has them, on disk and in signatures."""

from __future__ import annotations

import base64
import hashlib
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orchestration.errors import KeyUnusable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    PublicKey = Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey

# Of keys in files.
KEY_TYPES: Final = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
)
# Of keys on security keys, which alone can sign with them.
HARDWARE_KEY_TYPES: Final = ("sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com")
LEAST_RSA_BITS: Final = 2048
# A key of 16,384 bits has 13 kB; a longer file is none, and may have no end.
_LARGEST_KEY_FILE_BYTES: Final = 1 << 20


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

    @property
    def is_hardware(self) -> bool:
        """Whether it lies on a security key."""
        return self.key_type in HARDWARE_KEY_TYPES

    @property
    def application(self) -> bytes:
        """What a key on hardware was made for, which is part of what it signs."""
        rest = self.data
        text = b""
        while rest:
            text, rest = take_string(rest)
        return text

    def load(self) -> PublicKey:
        """The key, to verify with.

        Raises:
            KeyUnusable: it is of a kind that is not verified here, or too short to prove anything.
            ValueError: it is damaged.
        """
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric import dsa, rsa
        from cryptography.hazmat.primitives.serialization import load_ssh_public_key

        if self.key_type not in (*KEY_TYPES, *HARDWARE_KEY_TYPES):
            raise unknown_type(f"The key {self.fingerprint}", self.key_type)
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


def refuse_short_key(bits: int, name: object) -> None:
    """Raise KeyUnusable for an RSA key that is too short to prove anything."""
    if bits < LEAST_RSA_BITS:
        raise KeyUnusable(
            f"The RSA key {name} has {bits} bits.",
            f"At least {LEAST_RSA_BITS} bits were expected.",
            "Make a key with: ssh-keygen -t ed25519",
        )


def unknown_type(which: str, key_type: str) -> KeyUnusable:
    """The error for a key of a type that neither signs nor is verified here."""
    return KeyUnusable(
        f"{which} is of type {key_type!r}.",
        f"One of these types was expected: {', '.join(KEY_TYPES)}.",
        "Make a key with: ssh-keygen -t ed25519",
    )
