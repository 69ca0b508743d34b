"""Signatures of files with OpenSSH keys, in OpenSSH's own form (SSHSIG), so that in ten years
`ssh-keygen -Y verify` is enough to check one:

    ssh-keygen -Y check-novalidate -n tf1-to-torch-bag -s FILE.sig < FILE

The form is told in PROTOCOL.sshsig of OpenSSH: a key signs the hash of a file, bound to a namespace
so that a signature made for another purpose counts for nothing here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orchestration.archive.allowed_signers import AllowedSigners
from orchestration.archive.ssh_keys import (
    AskPassphrase,
    PublicBlob,
    load_private_key,
    public_blob,
    put_string,
    refuse_other_types,
    take_string,
)
from orchestration.errors import SignatureInvalid

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.hashes import HashAlgorithm

    from orchestration.archive.ssh_keys import PrivateKey

NAMESPACE: Final = "tf1-to-torch-bag"
_HASH: Final = "sha512"
# What the form allows.
_HASHES: Final = ("sha256", "sha512")
_MAGIC: Final = b"SSHSIG"
_VERSION: Final = 1
_BEGIN: Final = "-----BEGIN SSH SIGNATURE-----"
_END: Final = "-----END SSH SIGNATURE-----"
_ARMOR: Final = re.compile(rf"\s*{_BEGIN}\n(?P<base64>[A-Za-z0-9+/=\s]+){_END}\s*".encode("ascii"))
_LINE_CHARACTERS: Final = 70
# An RSA key of 16,384 bits needs 6 kB.
_LARGEST_SIGNATURE_BYTES: Final = 1 << 16
_PIECE_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class Signer:
    """Who signed.

    Attributes:
        fingerprint: of the key, as `ssh-keygen -l` shows it: "SHA256:…".
        key_type: such as "ssh-ed25519".
        principals: names that the list of allowed signers gives this key; empty for a .pub file.
        is_allowed: whether the key was compared with those that the caller trusts. If not, the
            signature says only that whoever has this key signed.
    """

    fingerprint: str
    key_type: str
    principals: tuple[str, ...] = ()
    is_allowed: bool = False


@dataclass(frozen=True)
class _Parts:
    """What a signature holds."""

    key: PublicBlob
    namespace: str
    hash_name: str
    algorithm: str
    value: bytes


def sign(content: Path, key: Path, ask_passphrase: AskPassphrase) -> bytes:
    """Sign a file.

    Args:
        content: the file, of any size: it is read in pieces.
        key: file of a private key: Ed25519, ECDSA or RSA.
        ask_passphrase: called if the key has one; `ssh_keys.ask_on_terminal` makes one.

    Returns:
        The signature's text, for a file of the same name with ".sig" after it.

    Raises:
        KeyUnusable: the key cannot be read, or cannot sign here.
    """
    private = load_private_key(key, ask_passphrase)
    public = public_blob(private)
    algorithm, value = _sign(private, public, _signed_data(content, NAMESPACE, _HASH))
    signature = put_string(algorithm.encode("ascii")) + put_string(value)
    blob = _MAGIC + struct.pack(">I", _VERSION)
    fields = (public.data, NAMESPACE.encode("ascii"), b"", _HASH.encode("ascii"), signature)
    return _armored(blob + b"".join(map(put_string, fields)))


def check(content: Path, signature: bytes, allowed: Path | None) -> Signer:
    """Check a signature of a file.

    Args:
        content: the file, of any size: it is read in pieces.
        signature: text of the signature.
        allowed: public key (a .pub file) or list of allowed signers (see ALLOWED SIGNERS in
            `man ssh-keygen`) of whom one must have signed; None = whoever signed is told.

    Raises:
        SignatureInvalid: the signature is damaged, not of this content, not for this purpose or not
            by a key that is allowed.
        KeyUnusable: `allowed` has no key, or the key is of a kind that is not verified here.
    """
    signers = None if allowed is None else AllowedSigners.read(allowed)
    parts = _parse(signature)
    if parts.namespace != NAMESPACE:
        raise _invalid(
            f"The signature was made for another purpose, {parts.namespace!r}.",
            f"The namespace {NAMESPACE!r} was expected.",
        )
    if parts.hash_name not in _HASHES:
        raise _invalid(
            f"The signature is of a hash {parts.hash_name!r}.",
            f"One of these was expected: {', '.join(_HASHES)}.",
        )
    _verify(parts, _signed_data(content, parts.namespace, parts.hash_name))
    if signers is None:
        return Signer(parts.key.fingerprint, parts.key.key_type)
    principals = signers.principals_of(parts.key, NAMESPACE)
    return Signer(parts.key.fingerprint, parts.key.key_type, principals, is_allowed=True)


def _signed_data(content: Path, namespace: str, hash_name: str) -> bytes:
    """What the key signs: the hash of the file, with what it is for."""
    digest = hashlib.new(hash_name)
    with content.open("rb", buffering=0) as stream:
        while piece := stream.read(_PIECE_BYTES):
            digest.update(piece)
    fields = (namespace.encode("ascii"), b"", hash_name.encode("ascii"), digest.digest())
    return _MAGIC + b"".join(map(put_string, fields))


def _sign(key: PrivateKey, public: PublicBlob, data: bytes) -> tuple[str, bytes]:
    """Name of the signature's algorithm, and its value as SSH writes it."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    if isinstance(key, ed25519.Ed25519PrivateKey):
        return public.key_type, key.sign(data)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        numbers = decode_dss_signature(key.sign(data, ec.ECDSA(_curve_hash(public.key_type))))
        return public.key_type, b"".join(put_string(_number(number)) for number in numbers)
    # What the type is called, "ssh-rsa", as an algorithm means SHA-1.
    return "rsa-sha2-512", key.sign(data, padding.PKCS1v15(), hashes.SHA512())


def _verify(parts: _Parts, data: bytes) -> None:
    """Raise SignatureInvalid unless the key that the signature names has signed these bytes."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding

    try:
        key = parts.key.load()
        if isinstance(key, ed25519.Ed25519PublicKey):
            _expect(parts.algorithm, (parts.key.key_type,))
            key.verify(parts.value, data)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            _expect(parts.algorithm, (parts.key.key_type,))
            key.verify(_der(parts.value), data, ec.ECDSA(_curve_hash(parts.key.key_type)))
        else:
            _expect(parts.algorithm, ("rsa-sha2-512", "rsa-sha2-256"))
            hashed = {"rsa-sha2-512": hashes.SHA512(), "rsa-sha2-256": hashes.SHA256()}
            key.verify(parts.value, data, padding.PKCS1v15(), hashed[parts.algorithm])
    except ValueError as error:
        raise _damaged(str(error)) from error
    except InvalidSignature as error:
        raise _invalid(
            f"The key {parts.key.fingerprint} did not sign this content.",
            "The content was expected to be as it was signed.",
        ) from error


def _expect(algorithm: str, known: tuple[str, ...]) -> None:
    if algorithm not in known:
        raise _invalid(
            f"The signature's algorithm is {algorithm!r}.",
            f"For its key, {' or '.join(known)} was expected.",
        )


def _curve_hash(key_type: str) -> HashAlgorithm:
    from cryptography.hazmat.primitives import hashes

    return {
        "ecdsa-sha2-nistp256": hashes.SHA256(),
        "ecdsa-sha2-nistp384": hashes.SHA384(),
        "ecdsa-sha2-nistp521": hashes.SHA512(),
    }[key_type]


def _number(value: int) -> bytes:
    """A positive number as SSH writes it: big-endian, its highest bit 0."""
    return value.to_bytes(value.bit_length() // 8 + 1, "big")


def _der(value: bytes) -> bytes:
    """Both numbers of an ECDSA signature in DER, from the two strings of SSH. Raises ValueError."""
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    first, rest = take_string(value)
    second, rest = take_string(rest)
    if rest:
        raise ValueError("bytes are left over")
    return encode_dss_signature(int.from_bytes(first, "big"), int.from_bytes(second, "big"))


def _armored(blob: bytes) -> bytes:
    text = base64.b64encode(blob).decode("ascii")
    lines = [text[at : at + _LINE_CHARACTERS] for at in range(0, len(text), _LINE_CHARACTERS)]
    return "\n".join([_BEGIN, *lines, _END, ""]).encode("ascii")


def _parse(signature: bytes) -> _Parts:
    """Take a signature's text apart.

    Raises:
        SignatureInvalid: it is none.
        KeyUnusable: its key is of a kind that is not verified here.
    """
    if len(signature) > _LARGEST_SIGNATURE_BYTES:
        raise _damaged(f"it has {len(signature):,} bytes")
    armor = _ARMOR.fullmatch(signature.replace(b"\r\n", b"\n"))
    if armor is None:
        raise _damaged(f"it does not go from {_BEGIN!r} to {_END!r}")
    try:
        blob = base64.b64decode(b"".join(armor["base64"].split()), validate=True)
        return _fields(blob)
    except (ValueError, binascii.Error) as error:
        raise _damaged(str(error)) from error


def _fields(blob: bytes) -> _Parts:
    """The fields of a signature's bytes. Raises ValueError, and KeyUnusable for other keys."""
    start = _MAGIC + struct.pack(">I", _VERSION)
    if not blob.startswith(start):
        raise ValueError(f"it does not begin with {start!r}")
    key_data, rest = take_string(blob[len(start) :])
    key = PublicBlob.parse(key_data)
    # Before the signature, which is of another form for keys on hardware.
    refuse_other_types(key.key_type, f"The signature is by the key {key.fingerprint}")
    namespace, rest = take_string(rest)
    # For versions to come; in this one it is empty, and signed as such.
    reserved, rest = take_string(rest)
    hash_name, rest = take_string(rest)
    signature, rest = take_string(rest)
    algorithm, value = take_string(signature)
    value, left = take_string(value)
    if rest or left or reserved:
        raise ValueError("bytes are left over")
    texts = [part.decode("ascii") for part in (namespace, hash_name, algorithm)]
    return _Parts(key, texts[0], texts[1], texts[2], value)


def _damaged(why: str) -> SignatureInvalid:
    return _invalid(
        f"The signature cannot be read: {why}.", "A signature by ssh-keygen's form was expected."
    )


def _invalid(happened: str, expected: str) -> SignatureInvalid:
    return SignatureInvalid(
        happened, expected, "Do not trust this content; ask whoever gave it to you for the whole."
    )
