"""Signatures by keys on security keys, which ssh-keygen makes, are checked as others are.

The device is played by a key in memory: it signs what PROTOCOL.u2f of OpenSSH has it sign.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from orchestration.archive.signing.signature import NAMESPACE, Signer, check
from orchestration.archive.signing.ssh_public_keys import PublicBlob, put_string
from orchestration.archive.signing.sshsig import SshSignature, signed_data
from orchestration.errors import SignatureInvalid
from tests.orchestration.archive import ssh_keygen

ED25519, ECDSA = "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"
TOUCHED = b"\x01" + struct.pack(">I", 42)


def signed_on_hardware(content: Path, key_type: str) -> SshSignature:
    key = ed25519.Ed25519PrivateKey.generate()
    if key_type == ECDSA:
        key = ec.generate_private_key(ec.SECP256R1())
    line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    plain = base64.b64decode(line.split()[1])
    # The same fields after the type, then what the key was made for.
    fields = plain[4 + int.from_bytes(plain[:4], "big") :] + put_string(b"ssh:")
    blob = PublicBlob.parse(put_string(key_type.encode()) + fields)
    data = signed_data(content, NAMESPACE, "sha512")
    asserted = hashlib.sha256(b"ssh:").digest() + TOUCHED + hashlib.sha256(data).digest()
    if key_type == ED25519:
        return SshSignature(blob, NAMESPACE, "sha512", key_type, key.sign(asserted), TOUCHED)
    numbers = decode_dss_signature(key.sign(asserted, ec.ECDSA(hashes.SHA256())))
    # A first bit of 1 would mean a negative number.
    sizes = [number.bit_length() // 8 + 1 for number in numbers]
    value = b"".join(
        put_string(number.to_bytes(size, "big"))
        for number, size in zip(numbers, sizes, strict=True)
    )
    return SshSignature(blob, NAMESPACE, "sha512", key_type, value, TOUCHED)


@pytest.fixture
def content(tmp_path):
    path = tmp_path / "content"
    path.write_bytes(b"content" * 100)
    return path


def allowed_signers(folder: Path, key: PublicBlob) -> Path:
    path = folder / "allowed_signers"
    text = base64.b64encode(key.data).decode()
    path.write_text(f"{ssh_keygen.PRINCIPAL} {key.key_type} {text}\n")
    return path


@pytest.mark.parametrize("key_type", [ED25519, ECDSA])
def test_it_is_checked_as_ssh_keygen_does(key_type, content, tmp_path):
    signature = signed_on_hardware(content, key_type)
    allowed = allowed_signers(tmp_path, signature.key)
    assert ssh_keygen.verify(content, signature.text(), allowed)
    expected = Signer(signature.key.fingerprint, key_type, (ssh_keygen.PRINCIPAL,), is_allowed=True)
    assert check(content, signature.text(), allowed) == expected


@pytest.mark.parametrize("key_type", [ED25519, ECDSA])
@pytest.mark.parametrize("fault", ["content", "counter", "flags", "application", "cut-off"])
def test_faults(fault, key_type, content, tmp_path):
    signature = signed_on_hardware(content, key_type)
    if fault == "content":
        content.write_bytes(b"other")
    else:
        key = signature.key
        signature = {
            "counter": replace(signature, assertion=b"\x01" + struct.pack(">I", 43)),
            "flags": replace(signature, assertion=b"\x05" + TOUCHED[1:]),
            "application": replace(
                signature, key=PublicBlob(key_type, key.data.replace(b"ssh:", b"web:"))
            ),
            "cut-off": replace(signature, assertion=TOUCHED[:-1]),
        }[fault]
    with pytest.raises(SignatureInvalid):
        check(content, signature.text(), None)
    assert not ssh_keygen.verify(
        content, signature.text(), allowed_signers(tmp_path, signature.key)
    )
