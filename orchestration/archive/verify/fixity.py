"""The first link: every file is there, unchanged, and no other is (RFC 8493)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from orchestration.archive.bag.hashing import FileFound
from orchestration.archive.bag.tag_files import DECLARATION, DECLARATION_FILE, INFO_FILE
from orchestration.archive.layout import HASHES, README, SIGNATURE
from orchestration.archive.verify.bag_names import (
    MANIFESTS,
    MOST_TAG_FILE_BYTES,
    OUTSIDE_TAG_MANIFESTS,
    TAG_FILES,
    TAG_MANIFESTS,
    is_payload,
)
from orchestration.archive.verify.members import BagContent
from orchestration.archive.verify.tag_text import parse_manifest, parse_oxum
from orchestration.archive.verify.verdicts import Fault, Verdict, judged

_WORDS: Final = {"sha256": "SHA-256", "sha512": "SHA-512"}
_NOT_OPTIONAL: Final = TAG_FILES - {SIGNATURE, README}

Listed = Mapping[str, Mapping[str, bytes]]
"""algorithm -> path -> hash."""


def check_fixity(content: BagContent) -> Verdict:
    """Compare what was found with the bag's own lists."""
    faults = list(content.faults)
    texts = dict(_tag_texts(content, faults))
    payload = _listed(texts, MANIFESTS, faults)
    tags = _listed(texts, TAG_MANIFESTS, faults)
    faults += _declaration_faults(texts)
    faults += _differences(_payload(content.files), payload, content.is_whole)
    faults += _differences(_tag_files(content.files), tags, content.is_whole)
    faults += _oxum_faults(content, texts)
    faults += _library_faults(content) if not faults else []
    size_bytes = sum(found.size_bytes for found in content.files.values())
    hashed = " and ".join(_WORDS[name] for name in HASHES)
    details = f"{len(content.files):,} files, {size_bytes:,} bytes, {hashed}"
    return judged("fixity", faults, details)


def _tag_texts(content: BagContent, faults: list[Fault]) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file that describes the bag."""
    for name in sorted(_NOT_OPTIONAL):
        found = content.files.get(name)
        if found is None:
            # Where it is listed, the lists tell.
            if content.is_whole and name in {DECLARATION_FILE, *OUTSIDE_TAG_MANIFESTS}:
                faults.append(Fault(name, "missing", "every bag has it"))
        elif found.size_bytes > MOST_TAG_FILE_BYTES:
            told = f"it has {found.size_bytes:,} bytes, more than {MOST_TAG_FILE_BYTES:,}"
            faults.append(Fault(name, "malformed", told))
        else:
            yield name, (content.folder / name).read_bytes()


def _listed(
    texts: Mapping[str, bytes], names: Mapping[str, str], faults: list[Fault]
) -> dict[str, dict[str, bytes]]:
    return {
        algorithm: parse_manifest(name, texts[name], algorithm, faults)
        for algorithm, name in names.items()
        if name in texts
    }


def _payload(files: Mapping[str, FileFound]) -> dict[str, FileFound]:
    return {path: found for path, found in files.items() if is_payload(path)}


def _tag_files(files: Mapping[str, FileFound]) -> dict[str, FileFound]:
    return {
        path: found
        for path, found in files.items()
        if not is_payload(path) and path not in OUTSIDE_TAG_MANIFESTS
    }


def _declaration_faults(texts: Mapping[str, bytes]) -> Iterator[Fault]:
    if texts.get(DECLARATION_FILE, DECLARATION) != DECLARATION:
        told = f"it is {texts[DECLARATION_FILE][:200]!r}, expected {DECLARATION!r}"
        yield Fault(DECLARATION_FILE, "malformed", told)


def _differences(found: Mapping[str, FileFound], listed: Listed, is_whole: bool) -> Iterator[Fault]:
    """What differs between the files of one part of the bag and its lists."""
    if not listed:
        return
    names = {path for hashes in listed.values() for path in hashes}
    missing = names - found.keys() if is_whole else set()
    extra = found.keys() - names
    wrong = {path for path in names & found.keys() if _wrong(path, found[path], listed)}
    yield from _renamed(missing, extra, found, listed)
    yield from _swapped(wrong, found, listed)
    for path in missing:
        yield Fault(path, "missing", "it is listed, and not there")
    for path in extra:
        yield Fault(path, "extra", "it is there, and not listed")
    for path in wrong:
        yield _changed(path, found[path], listed)


def _wrong(path: str, found: FileFound, listed: Listed) -> list[str]:
    """The algorithms by which a file is not as listed, or not listed at all."""
    return [
        algorithm
        for algorithm, hashes in listed.items()
        if hashes.get(path) != found.digests[HASHES.index(algorithm)]
    ]


def _renamed(
    missing: set[str], extra: set[str], found: Mapping[str, FileFound], listed: Listed
) -> Iterator[Fault]:
    """Take pairs of a missing and an extra file of one content out of both sets."""
    homeless = {_content(found[path], listed): path for path in sorted(extra)}
    for path in sorted(missing):
        now = homeless.pop(_listed_content(path, listed), None)
        if now is not None:
            missing.remove(path)
            extra.remove(now)
            yield Fault(path, "renamed", f"it is called {now} now")


def _swapped(wrong: set[str], found: Mapping[str, FileFound], listed: Listed) -> Iterator[Fault]:
    """Take files that hold what belongs into another, which is wrong too, out of `wrong`."""
    homes = {_listed_content(path, listed): path for path in sorted(wrong)}
    belongs = {path: homes.get(_content(found[path], listed)) for path in wrong}
    for path, home in belongs.items():
        if home is not None:
            wrong.remove(path)
            yield Fault(path, "swapped", f"it holds what belongs into {home}")


def _content(found: FileFound, listed: Listed) -> tuple[bytes | None, ...]:
    """The hashes of a file, as far as there are lists of them."""
    return tuple(found.digests[HASHES.index(algorithm)] for algorithm in listed)


def _listed_content(path: str, listed: Listed) -> tuple[bytes | None, ...]:
    return tuple(hashes.get(path) for hashes in listed.values())


def _changed(path: str, found: FileFound, listed: Listed) -> Fault:
    told, algorithms = [], _wrong(path, found, listed)
    for algorithm in algorithms:
        expected = listed[algorithm].get(path)
        if expected is None:
            told.append(f"its {_WORDS[algorithm]} is not listed")
        else:
            told.append(
                f"its {_WORDS[algorithm]} is {found.hex(algorithm)}, listed is {expected.hex()}"
            )
    agreeing = [_WORDS[name] for name in listed if name not in algorithms]
    if agreeing:
        lists = MANIFESTS if is_payload(path) else TAG_MANIFESTS
        changed = " and ".join(lists[name] for name in algorithms)
        told.append(f"the {' and '.join(agreeing)} is as listed, so that {changed} was changed")
    return Fault(path, "changed", "; ".join(told))


def _oxum_faults(content: BagContent, texts: Mapping[str, bytes]) -> Iterator[Fault]:
    """The payload's size, by which a reader sees at once that a part has not arrived."""
    if INFO_FILE not in texts or not content.is_whole:
        return
    oxum = parse_oxum(texts[INFO_FILE])
    payload = _payload(content.files)
    size_bytes = sum(found.size_bytes for found in payload.values())
    if oxum is None:
        yield Fault(INFO_FILE, "malformed", "it tells no Payload-Oxum, or two")
    elif (oxum.size_bytes, oxum.files) != (size_bytes, len(payload)):
        told = f"it tells of {oxum.files:,} files of {oxum.size_bytes:,} bytes"
        yield Fault(
            INFO_FILE, "contradicted", f"{told}; there are {len(payload):,} of {size_bytes:,}"
        )


def _library_faults(content: BagContent) -> Iterator[Fault]:
    """What the reference implementation says of the structure of a bag that is a folder."""
    if not (content.folder / DECLARATION_FILE).is_file() or content.is_stream:
        return
    import bagit

    try:
        bagit.Bag(str(content.folder)).validate(completeness_only=True)
    except bagit.BagError as error:
        yield Fault(DECLARATION_FILE, "malformed", f"the BagIt library refuses the bag: {error}")


def is_bag(folder: Path) -> bool:
    """Whether a folder looks like a bag, be it damaged."""
    return any((folder / name).is_file() for name in (DECLARATION_FILE, *MANIFESTS.values()))
