"""Signatures: ssh-keygen believes ours, we believe its, and what is not right is not believed."""

from __future__ import annotations

import base64
import hashlib
import os
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from orchestration.archive.signing.signature import NAMESPACE, Signer, check, sign
from orchestration.archive.signing.ssh_public_keys import put_string, take_string
from orchestration.errors import KeyUnusable, SignatureInvalid
from tests.orchestration.archive import ssh_keygen

PASSPHRASE = "a pässphrase"
KINDS = {
    "ed25519": ("ssh-ed25519", ("-t", "ed25519"), ""),
    "ecdsa-256": ("ecdsa-sha2-nistp256", ("-t", "ecdsa", "-b", "256"), ""),
    "ecdsa-384": ("ecdsa-sha2-nistp384", ("-t", "ecdsa", "-b", "384"), ""),
    "ecdsa-521": ("ecdsa-sha2-nistp521", ("-t", "ecdsa", "-b", "521"), ""),
    "rsa": ("ssh-rsa", ("-t", "rsa", "-b", "2048"), ""),
    "encrypted": ("ssh-ed25519", ("-t", "ed25519", "-a", "1"), PASSPHRASE),
    "encrypted-gcm": (
        "ecdsa-sha2-nistp256",
        ("-t", "ecdsa", "-a", "1", "-Z", "aes256-gcm@openssh.com"),
        PASSPHRASE,
    ),
    "pem": ("ssh-rsa", ("-t", "rsa", "-b", "2048", "-m", "PEM"), ""),
    "pem-encrypted": ("ecdsa-sha2-nistp256", ("-t", "ecdsa", "-m", "PEM"), PASSPHRASE),
    "pkcs8": ("ecdsa-sha2-nistp256", ("-t", "ecdsa", "-m", "PKCS8"), ""),
    "pkcs8-encrypted": ("ecdsa-sha2-nistp256", ("-t", "ecdsa", "-m", "PKCS8"), PASSPHRASE),
}
CONTENT = b"0123 data/result/model.safetensors\n" * 50


@pytest.fixture
def content(tmp_path: Path) -> Path:
    path = tmp_path / "tagmanifest-sha512.txt"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The key of a kind, made once."""
    folder = tmp_path_factory.mktemp("keys")

    def key(name: str) -> Path:
        path = folder / name
        if not path.exists():
            _, options, passphrase = KINDS.get(name, KINDS["ed25519"])
            ssh_keygen.make_key(path, *options, passphrase=passphrase)
        return path

    return key


def passphrase_of(path: Path) -> bytes:
    return PASSPHRASE.encode()


def allowed_signers(folder: Path, key: Path) -> Path:
    path = folder / "allowed_signers"
    path.write_text(f"{ssh_keygen.PRINCIPAL} {ssh_keygen.public_key(key).read_text()}")
    return path


def blob_of(signature: bytes) -> bytes:
    return base64.b64decode(b"".join(signature.splitlines()[1:-1]))


def armored(blob: bytes) -> bytes:
    text = base64.encodebytes(blob)
    return b"-----BEGIN SSH SIGNATURE-----\n" + text + b"-----END SSH SIGNATURE-----\n"


def fields_of(signature: bytes) -> list[bytes]:
    """Key, namespace, reserved, hash and signature."""
    rest = blob_of(signature)[10:]
    fields = []
    while rest:
        field, rest = take_string(rest)
        fields.append(field)
    return fields


def rebuilt(fields: list[bytes]) -> bytes:
    return armored(b"SSHSIG" + struct.pack(">I", 1) + b"".join(map(put_string, fields)))


def signed_fields(key: Path, namespace: bytes, hash_name: bytes, digest: bytes) -> list[bytes]:
    """The fields of a signature that the key has made of whatever hash."""
    private = load_ssh_private_key(key.read_bytes(), None)
    data = b"SSHSIG" + b"".join(map(put_string, (namespace, b"", hash_name, digest)))
    public = base64.b64decode(ssh_keygen.public_key(key).read_text().split()[1])
    signature = put_string(b"ssh-ed25519") + put_string(private.sign(data))
    return [public, namespace, b"", hash_name, signature]


@pytest.mark.parametrize("name", KINDS)
def test_ssh_keygen_believes_ours(name, keys, content, tmp_path):
    key = keys(name)
    signature = sign(content, key, passphrase_of)
    allowed = allowed_signers(tmp_path, key)
    assert ssh_keygen.verify(content, signature, allowed)
    expected = Signer(
        ssh_keygen.fingerprint(key), KINDS[name][0], (ssh_keygen.PRINCIPAL,), is_allowed=True
    )
    assert check(content, signature, allowed) == expected
    content.write_bytes(CONTENT + b" ")
    assert not ssh_keygen.verify(content, signature, allowed)


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if not kind[2]])
@pytest.mark.parametrize("options", [(), ("-O", "hashalg=sha256")], ids=["sha512", "sha256"])
def test_we_believe_ssh_keygen(name, options, keys, content):
    key = keys(name)
    signature = ssh_keygen.sign(content, key, *options)
    signer = check(content, signature, ssh_keygen.public_key(key))
    assert signer == Signer(ssh_keygen.fingerprint(key), KINDS[name][0], is_allowed=True)


@pytest.mark.parametrize("name", ["ed25519", "rsa"])
def test_signatures_without_chance_are_those_of_ssh_keygen(name, keys, content):
    signature = sign(content, keys(name), passphrase_of)
    assert signature == ssh_keygen.sign(content, keys(name))


def test_without_a_key_whoever_signed_is_told(keys, content):
    signer = check(content, sign(content, keys("ed25519"), passphrase_of), None)
    assert signer == Signer(ssh_keygen.fingerprint(keys("ed25519")), "ssh-ed25519")
    assert not signer.is_allowed


def wrong(**changes: object) -> Callable[[Path, Path, bytes], bytes]:
    """What makes a signature with other fields, by the key itself."""

    def make(key: Path, content: Path, signature: bytes) -> bytes:
        name = str(changes.get("hash", "sha512"))
        digest = hashlib.new(name, content.read_bytes()).digest()
        namespace = str(changes.get("namespace", NAMESPACE)).encode()
        fields = signed_fields(key, namespace, name.encode(), digest)
        for index, value in dict(changes.get("fields", {})).items():  # type: ignore[call-overload]
            fields[index] = value
        return rebuilt(fields)

    return make


def altered(change: Callable[[bytes], bytes]) -> Callable[[Path, Path, bytes], bytes]:
    return lambda key, content, signature: change(signature)


FAULTS = {
    "another-purpose": (wrong(namespace="file"), "made for another purpose, 'file'"),
    "no-purpose": (wrong(namespace=""), "made for another purpose, ''"),
    "sha1": (wrong(hash="sha1"), "of a hash 'sha1'"),
    "md5": (wrong(hash="md5"), "of a hash 'md5'"),
    "sha384": (wrong(hash="sha384"), "of a hash 'sha384'"),
    "reserved": (wrong(fields={2: b"x"}), "bytes are left over"),
    "another-field": (wrong(fields={4: b""}), "cut off"),
    "algorithm": (
        wrong(fields={4: put_string(b"rsa-sha2-512") + put_string(b"x" * 64)}),
        "algorithm is 'rsa-sha2-512'",
    ),
    "no-ascii": (wrong(fields={1: b"\xff"}), "cannot be read"),
    "empty": (altered(lambda text: b""), "does not go from"),
    "no-armor": (altered(blob_of), "does not go from"),
    "no-end": (altered(lambda text: text[:-10]), "does not go from"),
    "twice": (altered(lambda text: text + text), "does not go from"),
    "no-base64": (altered(lambda text: text.replace(b"U1NIU0lH", b"U1NIU0l=")), "cannot be read"),
    "another-magic": (altered(lambda text: armored(b"X" + blob_of(text))), "does not begin with"),
    "more": (altered(lambda text: armored(blob_of(text) + b"\0")), "left over"),
    "long": (altered(lambda text: text * 1000), "it has"),
    "version-2": (
        altered(lambda text: armored(blob_of(text).replace(b"\0\0\0\1", b"\0\0\0\2", 1))),
        "does not begin with",
    ),
}


# ssh-keygen overlooks the field that its form reserves, and what follows a signature.
OVERLOOKED = ("reserved", "twice", "long")


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_found_and_named(name, keys, content, tmp_path):
    make, why = FAULTS[name]
    key = keys("ed25519")
    signature = sign(content, key, passphrase_of)
    check(content, signature, ssh_keygen.public_key(key))
    faulty = make(key, content, signature)
    with pytest.raises(SignatureInvalid, match=why):
        check(content, faulty, ssh_keygen.public_key(key))
    believed = ssh_keygen.verify(content, faulty, allowed_signers(tmp_path, key))
    assert believed == (name in OVERLOOKED)


def test_other_content(keys, content):
    signature = sign(content, keys("ed25519"), passphrase_of)
    for changed in (b"", CONTENT[:-1], CONTENT + b"\n", CONTENT.swapcase()):
        content.write_bytes(changed)
        with pytest.raises(SignatureInvalid, match="did not sign this content") as caught:
            check(content, signature, None)
        assert ssh_keygen.fingerprint(keys("ed25519")) in str(caught.value)


def test_another_key(keys, content):
    signature = sign(content, keys("ed25519"), passphrase_of)
    with pytest.raises(SignatureInvalid) as caught:
        check(content, signature, ssh_keygen.public_key(keys("other")))
    assert ssh_keygen.fingerprint(keys("ed25519")) in str(caught.value)


def test_another_key_s_name_on_a_signature(keys, content):
    fields = fields_of(sign(content, keys("ed25519"), passphrase_of))
    fields[0] = fields_of(sign(content, keys("other"), passphrase_of))[0]
    with pytest.raises(SignatureInvalid, match="did not sign this content"):
        check(content, rebuilt(fields), ssh_keygen.public_key(keys("other")))


@pytest.mark.parametrize("name", ["ed25519", "ecdsa-256", "rsa"])
def test_no_flipped_bit_and_no_shorter_one_is_believed(name, keys, content):
    blob = blob_of(sign(content, keys(name), passphrase_of))
    for at in range(len(blob)):
        flipped = bytearray(blob)
        flipped[at] ^= 1 << (at % 8)
        for damaged in (bytes(flipped), blob[:at]):
            with pytest.raises((SignatureInvalid, KeyUnusable)):
                check(content, armored(damaged), None)


def test_rsa_with_sha1_is_not_believed(keys, content):
    private = load_ssh_private_key(keys("rsa").read_bytes(), None)
    fields = fields_of(sign(content, keys("rsa"), passphrase_of))
    digest = hashlib.sha512(CONTENT).digest()
    data = b"SSHSIG" + b"".join(map(put_string, (NAMESPACE.encode(), b"", b"sha512", digest)))
    value = private.sign(data, padding.PKCS1v15(), hashes.SHA1())
    fields[4] = put_string(b"ssh-rsa") + put_string(value)
    with pytest.raises(SignatureInvalid, match="algorithm is 'ssh-rsa'"):
        check(content, rebuilt(fields), None)


def test_a_key_of_another_type_is_not_believed(keys, content):
    fields = fields_of(sign(content, keys("ed25519"), passphrase_of))
    fields[0] = put_string(b"ssh-dss") + put_string(b"k" * 32)
    with pytest.raises(KeyUnusable, match="is of type 'ssh-dss'"):
        check(content, rebuilt(fields), None)


def test_lines_may_end_as_on_windows(keys, content):
    signature = sign(content, keys("ed25519"), passphrase_of).replace(b"\n", b"\r\n")
    assert check(content, signature, None).key_type == "ssh-ed25519"


def test_a_huge_file_is_read_in_pieces(keys, tmp_path):
    content = tmp_path / "huge"
    with content.open("wb") as stream:
        os.truncate(stream.fileno(), 64 << 20)
    key = keys("ed25519")
    sign(content, key, passphrase_of)
    tracemalloc.start()
    try:
        signature = sign(content, key, passphrase_of)
        check(content, signature, None)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 8 << 20
    assert ssh_keygen.verify(content, signature, allowed_signers(tmp_path, key))
