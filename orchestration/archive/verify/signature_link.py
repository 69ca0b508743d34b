"""Who vouches for the bag: the signature over its last list of hashes."""

from __future__ import annotations

from pathlib import Path

from orchestration.archive.layout import SIGNATURE, SIGNED
from orchestration.archive.signing.signature import check
from orchestration.archive.verify.members import BagContent
from orchestration.archive.verify.verdicts import Fault, Verdict, judged, not_checked
from orchestration.errors import SignatureInvalid

_MOST_SIGNATURE_BYTES = 1 << 16


def check_signature(content: BagContent, key: Path | None) -> Verdict:
    """Check the signature, if there is one.

    Args:
        content: what was found in the bag.
        key: public key, or list of allowed signers; None = whoever signed is told.

    Raises:
        KeyUnusable: `key` cannot be used.
    """
    found = content.files.get(SIGNATURE)
    if found is None and content.is_whole:
        why = "the bag is not signed: nobody vouches for its having been made so"
        if key is None:
            return not_checked("signature", why)
        return judged("signature", [Fault(SIGNATURE, "missing", why)], f"asked for: {key}")
    if found is None or SIGNED not in content.files:
        return not_checked("signature", "the bag was not read whole, or what was signed is gone")
    if found.size_bytes > _MOST_SIGNATURE_BYTES:
        fault = Fault(SIGNATURE, "malformed", f"it has {found.size_bytes:,} bytes")
        return judged("signature", [fault], "not read")
    try:
        signer = check(content.folder / SIGNED, (content.folder / SIGNATURE).read_bytes(), key)
    except SignatureInvalid as error:
        fault = Fault(SIGNATURE, "contradicted", f"{error.happened} {error.expected}")
        return judged("signature", [fault], "not accepted")
    who = f"{signer.key_type} {signer.fingerprint}"
    named = f" ({', '.join(signer.principals)})" if signer.principals else ""
    if signer.is_allowed:
        return judged("signature", [], f"by {who}{named}, which --key names")
    note = "anybody can sign: --key says whose signature it should be"
    return judged("signature", [], f"by {who}", [note])
