"""Signatures of files with OpenSSH keys, in OpenSSH's own form, so that in ten years `ssh-keygen`
alone is enough to check one:

    ssh-keygen -Y check-novalidate -n tf1-to-torch-bag -s FILE.sig < FILE
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orchestration.archive.layout import NAMESPACE
from orchestration.archive.signing.allowed_signers import AllowedSigners
from orchestration.archive.signing.ssh_keys import AskPassphrase, load_private_key, public_blob
from orchestration.archive.signing.ssh_public_keys import put_string, take_string
from orchestration.archive.signing.sshsig import SshSignature, signed_data
from orchestration.errors import SignatureInvalid

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.hashes import HashAlgorithm

    from orchestration.archive.signing.ssh_keys import PrivateKey

_HASH: Final = "sha512"
# What the form allows.
_HASHES: Final = ("sha256", "sha512")


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
    data = signed_data(content, NAMESPACE, _HASH)
    algorithm, value = _sign(private, public.key_type, data)
    return SshSignature(public, NAMESPACE, _HASH, algorithm, value).text()


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
    try:
        parts = SshSignature.parse(signature)
    except ValueError as error:
        raise _damaged(error) from error
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
    _verify(parts, signed_data(content, parts.namespace, parts.hash_name))
    if signers is None:
        return Signer(parts.key.fingerprint, parts.key.key_type)
    principals = signers.principals_of(parts.key, NAMESPACE)
    return Signer(parts.key.fingerprint, parts.key.key_type, principals, is_allowed=True)


def _sign(key: PrivateKey, key_type: str, data: bytes) -> tuple[str, bytes]:
    """Name of the signature's algorithm, and its value as SSH writes it."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key_type, key.sign(data)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        numbers = decode_dss_signature(key.sign(data, ec.ECDSA(_curve_hash(key_type))))
        return key_type, b"".join(put_string(_number(number)) for number in numbers)
    # What the type is called, "ssh-rsa", as an algorithm means SHA-1.
    return "rsa-sha2-512", key.sign(data, padding.PKCS1v15(), hashes.SHA512())


def _verify(signature: SshSignature, data: bytes) -> None:
    """Raise SignatureInvalid unless the key that the signature names has signed these bytes."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding

    algorithm, value, key_type = signature.algorithm, signature.value, signature.key.key_type
    try:
        key = signature.key.load()
        if signature.key.is_hardware:
            data = _asserted(signature, data)
        if isinstance(key, ed25519.Ed25519PublicKey):
            _expect(algorithm, (key_type,))
            key.verify(value, data)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            _expect(algorithm, (key_type,))
            key.verify(_der(value), data, ec.ECDSA(_curve_hash(key_type)))
        else:
            _expect(algorithm, ("rsa-sha2-512", "rsa-sha2-256"))
            hashed = {"rsa-sha2-512": hashes.SHA512(), "rsa-sha2-256": hashes.SHA256()}
            key.verify(value, data, padding.PKCS1v15(), hashed[algorithm])
    except ValueError as error:
        raise _damaged(error) from error
    except InvalidSignature as error:
        raise _invalid(
            f"The key {signature.key.fingerprint} did not sign this content.",
            "The content was expected to be as it was signed.",
        ) from error


def _asserted(signature: SshSignature, data: bytes) -> bytes:
    """What a security key signs of data (PROTOCOL.u2f of OpenSSH)."""
    hashed = (hashlib.sha256(part).digest() for part in (signature.key.application, data))
    return signature.assertion.join(hashed)


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
        "sk-ecdsa-sha2-nistp256@openssh.com": hashes.SHA256(),
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


def _damaged(why: ValueError) -> SignatureInvalid:
    return _invalid(
        f"The signature cannot be read: {why}.", "A signature by ssh-keygen's form was expected."
    )


def _invalid(happened: str, expected: str) -> SignatureInvalid:
    return SignatureInvalid(
        happened, expected, "Do not trust this content; ask whoever gave it to you for the whole."
    )
