"""SSHSIG, the form of OpenSSH's signatures of files, as PROTOCOL.sshsig of OpenSSH tells it.

A key signs the hash of a file, bound to a namespace, so that a signature made for another purpose
counts for nothing here.
"""

from __future__ import annotations

import base64
import hashlib
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orchestration.archive.signing.ssh_public_keys import PublicBlob, put_string, take_string

_MAGIC: Final = b"SSHSIG"
_START: Final = _MAGIC + struct.pack(">I", 1)
_BEGIN: Final = "-----BEGIN SSH SIGNATURE-----"
_END: Final = "-----END SSH SIGNATURE-----"
_ARMOR: Final = re.compile(rf"\s*{_BEGIN}\n(?P<base64>[A-Za-z0-9+/=\s]+){_END}\s*".encode("ascii"))
_LINE_CHARACTERS: Final = 70
# An RSA key of 16,384 bits needs 6 kB.
_LARGEST_BYTES: Final = 1 << 16
# What a security key adds: a byte of flags, and how often it has signed.
_ASSERTION_BYTES: Final = 5
_PIECE_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class SshSignature:
    """What a signature holds.

    Attributes:
        key: whose it is.
        namespace: what it was made for.
        hash_name: of the hash of the file.
        algorithm: by which the key has signed.
        value: the signature itself, as SSH writes it.
        assertion: what a security key has signed besides; empty for other keys.
    """

    key: PublicBlob
    namespace: str
    hash_name: str
    algorithm: str
    value: bytes
    assertion: bytes = b""

    def text(self) -> bytes:
        """What stands in the file of a signature."""
        signature = put_string(self.algorithm.encode("ascii")) + put_string(self.value)
        # Between namespace and hash lies what is left for versions to come.
        fields = (
            self.key.data,
            self.namespace.encode("ascii"),
            b"",
            self.hash_name.encode("ascii"),
            signature + self.assertion,
        )
        blob = base64.b64encode(_START + b"".join(map(put_string, fields))).decode("ascii")
        lines = [blob[at : at + _LINE_CHARACTERS] for at in range(0, len(blob), _LINE_CHARACTERS)]
        return "\n".join([_BEGIN, *lines, _END, ""]).encode("ascii")

    @classmethod
    def parse(cls, text: bytes) -> SshSignature:
        """Read a signature's text. Raises ValueError for what is none."""
        if len(text) > _LARGEST_BYTES:
            raise ValueError(f"it has {len(text):,} bytes")
        armor = _ARMOR.fullmatch(text.replace(b"\r\n", b"\n"))
        if armor is None:
            raise ValueError(f"it does not go from {_BEGIN!r} to {_END!r}")
        blob = base64.b64decode(b"".join(armor["base64"].split()), validate=True)
        if not blob.startswith(_START):
            raise ValueError(f"it does not begin with {_START!r}")
        fields = []
        rest = blob[len(_START) :]
        for _ in range(5):
            field, rest = take_string(rest)
            fields.append(field)
        key, (namespace, reserved, hash_name, signature) = PublicBlob.parse(fields[0]), fields[1:]
        algorithm, value = take_string(signature)
        value, assertion = take_string(value)
        if rest or reserved or len(assertion) != (_ASSERTION_BYTES if key.is_hardware else 0):
            raise ValueError("bytes are left over")
        texts = [part.decode("ascii") for part in (namespace, hash_name, algorithm)]
        return cls(key, texts[0], texts[1], texts[2], value, assertion)


def signed_data(content: Path, namespace: str, hash_name: str) -> bytes:
    """What is signed of a file, which is read in pieces."""
    digest = hashlib.new(hash_name)
    with content.open("rb", buffering=0) as stream:
        while piece := stream.read(_PIECE_BYTES):
            digest.update(piece)
    fields = (namespace.encode("ascii"), b"", hash_name.encode("ascii"), digest.digest())
    return _MAGIC + b"".join(map(put_string, fields))
