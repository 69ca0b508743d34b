"""Whose signatures count: as ssh-keygen decides it, by the same lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.archive.signing.allowed_signers import AllowedSigners
from orchestration.archive.signing.signature import check
from orchestration.errors import KeyUnusable, SignatureInvalid
from tests.orchestration.archive import ssh_keygen

ADA = ssh_keygen.PRINCIPAL
HARDWARE_KEY = (
    "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIHgAAAAAAAAAAAAAAAAA"
    "AAAAAAAAAAAAAAAAAAAAAAAABHNzaDo="
)


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    """A content, its signature, the key's public half and another key's, as they stand in files."""
    folder = tmp_path_factory.mktemp("signed")
    content = folder / "content"
    content.write_bytes(b"content")
    keys = [ssh_keygen.make_key(folder / name, "-t", "ed25519") for name in ("key", "other")]
    own, other = (" ".join(ssh_keygen.public_key(key).read_text().split()[:2]) for key in keys)
    return content, ssh_keygen.sign(content, keys[0]), own, other


# {own} has signed; {other} has not.
COUNTS = {
    "plain": f"{ADA} {{own}}",
    "comment": f"{ADA} {{own}} Ada's laptop",
    "quote-in-comment": f'{ADA} {{own}} Ada"s laptop',
    "several-names": f"bo@example.org,{ADA} {{own}}",
    "quoted-names": f'"{ADA}" {{own}}',
    "second-line": f"# ours\n\n{ADA} {{other}}\n  {ADA}   {{own}}\n",
    "namespace": f'{ADA} namespaces="tf1-to-torch-bag" {{own}}',
    "namespaces": f'{ADA} namespaces="file,tf1-*" {{own}}',
    "namespace-question-marks": f'{ADA} namespaces="tf?-to-torch-???" {{own}}',
    "valid": f'{ADA} valid-after="20200101Z",valid-before="21060101000000Z" {{own}}',
    "valid-local-time": f'{ADA} valid-after="202001010000" {{own}}',
    "expired-and-renewed": f'{ADA} valid-before="20200101" {{own}}\n{ADA} {{own}}',
    "both": f'{ADA} namespaces="tf1-to-torch-bag",valid-after="20200101" {{own}} x',
    "hardware-beside": f"{ADA} {HARDWARE_KEY}\n{ADA} {{own}}",
    "windows": f"{ADA} {{own}}\r\n",
}
COUNTS_NOT = {
    "another-key": f"{ADA} {{other}}",
    "another-namespace": f'{ADA} namespaces="file" {{own}}',
    "no-namespace": f'{ADA} namespaces="" {{own}}',
    "kept-out": f'{ADA} namespaces="*,!tf1-*" {{own}}',
    "no-pattern-of-python": f'{ADA} namespaces="[t]f1-to-torch-bag" {{own}}',
    "not-yet": f'{ADA} valid-after="21060101" {{own}}',
    "no-more": f'{ADA} valid-before="20200101Z" {{own}}',
}
UNUSABLE = {
    "empty": ("", "has no key that signs content"),
    "comments": ("# nobody\n", "has no key that signs content"),
    "authority": (f"{ADA} cert-authority {{own}}", "has no key that signs content"),
    "no-key": (f"{ADA} ssh-ed25519", "line 1 cannot be understood: the key is missing"),
    "one-word": ("x", "principals, type and key were expected"),
    "no-base64": (f"{ADA} ssh-ed25519 A*A=", "the key is not base64"),
    "cut-off": (f"{ADA} ssh-ed25519 AAAA", "line 1 cannot be understood"),
    "another-type": (f"{ADA} ssh-rsa {{key}}", "a key of type ssh-rsa was announced"),
    "unknown-option": (f"{ADA} no-pty {{own}}", "unknown option 'no-pty'"),
    "no-time": (f'{ADA} valid-before="soon" {{own}}', "'soon' is no time"),
    "no-date": (f'{ADA} valid-before="20201301" {{own}}', "line 1 cannot be understood"),
    "far-time": (f'{ADA} valid-after="00010101" {{own}}', "line 1 cannot be understood"),
    "open-quote": ('"', "a quotation mark is not closed"),
    "open-option": (f'{ADA} namespaces="a {{own}}', "principals, type and key were expected"),
    "no-text": ("\x00\x01\x02", "line 1 cannot be understood"),
}


def written(folder: Path, text: str, own: str, other: str) -> Path:
    path = folder / "allowed_signers"
    filled = text.format(own=own, other=other, key=own.split()[1])
    path.write_text(filled, encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize("name", COUNTS)
def test_a_signature_counts(name, signed, tmp_path):
    content, signature, own, other = signed
    allowed = written(tmp_path, COUNTS[name], own, other)
    signer = check(content, signature, allowed)
    assert ADA in signer.principals
    assert signer.is_allowed
    assert ssh_keygen.verify(content, signature, allowed)


@pytest.mark.parametrize("name", COUNTS_NOT)
def test_a_signature_does_not_count(name, signed, tmp_path):
    content, signature, own, other = signed
    allowed = written(tmp_path, COUNTS_NOT[name], own, other)
    with pytest.raises(SignatureInvalid, match="The signature is by the key SHA256:"):
        check(content, signature, allowed)
    assert not ssh_keygen.verify(content, signature, allowed)


@pytest.mark.parametrize("name", UNUSABLE)
def test_lists_that_tell_nobody(name, signed, tmp_path):
    text, why = UNUSABLE[name]
    content, signature, own, other = signed
    allowed = written(tmp_path, text, own, other)
    with pytest.raises(KeyUnusable, match=why):
        check(content, signature, allowed)
    assert not ssh_keygen.verify(content, signature, allowed)


def test_a_public_key_alone(signed, tmp_path):
    content, signature, own, other = signed
    path = tmp_path / "key.pub"
    path.write_text(f"{other} of Bo\n{own} of Ada\n")
    signer = check(content, signature, path)
    assert (signer.principals, signer.is_allowed) == ((), True)
    path.write_text(f"{other} of Bo\n")
    with pytest.raises(SignatureInvalid, match="which is not in "):
        check(content, signature, path)


def test_a_private_key_leads_to_its_public_half(tmp_path):
    key = ssh_keygen.make_key(tmp_path / "ada", "-t", "ed25519")
    with pytest.raises(KeyUnusable, match="is no public key") as raised:
        AllowedSigners.read(key)
    assert str(ssh_keygen.public_key(key)) in raised.value.remedy
    assert AllowedSigners.read(ssh_keygen.public_key(key)).path == ssh_keygen.public_key(key)


@pytest.mark.parametrize("name", ["missing", ""])
def test_a_file_that_cannot_be_read(name, tmp_path):
    with pytest.raises(KeyUnusable, match="cannot be read"):
        AllowedSigners.read(tmp_path / name)
