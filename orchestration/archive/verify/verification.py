"""`verify`: every link of a bag, each with a verdict of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from orchestration.archive.layout import CODE, IMAGES, PROGRAM, WHEELHOUSE
from orchestration.archive.verify.bag_runtime import BagRuntime
from orchestration.archive.verify.chain import Chain
from orchestration.archive.verify.fixity import check_fixity, is_bag
from orchestration.archive.verify.folder_members import read_folder
from orchestration.archive.verify.former_names import FormerNames
from orchestration.archive.verify.guard import Guard
from orchestration.archive.verify.members import BagContent, Progress
from orchestration.archive.verify.places import (
    OutsideOfTheBag,
    settings_in_bag,
    why_untrusted,
)
from orchestration.archive.verify.records import MANIFEST, check_records, is_record
from orchestration.archive.verify.rerun_link import rerun_verdict
from orchestration.archive.verify.settings import VerifySettings
from orchestration.archive.verify.signature_link import check_signature
from orchestration.archive.verify.stages import LOAD, scratch_folder
from orchestration.archive.verify.tar_members import read_stream
from orchestration.archive.verify.tar_stream import is_stream
from orchestration.archive.verify.verdicts import (
    Fault,
    Link,
    Verdict,
    Verification,
    judged,
    not_checked,
)
from orchestration.errors import BagUnreadable, ImageMissing, OrchestrationError
from orchestration.hardware import hardware_record
from orchestration.program import program_record
from orchestration.recorded_run import RecordedRun
from orchestration.run_context import RunContext

_CHAIN: Final[tuple[Link, ...]] = ("export", "mapping", "proof")
_SAME: Final = ("machine", "cpu_model", "cpu_features")


def verify(settings: VerifySettings, context: RunContext, progress: Progress) -> Verification:
    """Check a bag. What is wrong with it is told by the verdicts, and never raised.

    Args:
        settings: what is asked for.
        context: of the command; its runtime is chosen when a stage is to be run.
        progress: told how far the reading of the bag is.

    Raises:
        BagUnreadable: it is no bag.
        KeyUnusable: the key that was named cannot check a signature.
        DiskFull, OutputNotWritable: there is no room to unpack it.
    """
    guard = Guard()
    with scratch_folder() as scratch:
        content = _read(settings, scratch / "bag", progress)
        verdicts = [check_fixity(content), check_signature(content, settings.key)]
        records, run = check_records(content)
        verdicts.append(records)
        why = _why_not(settings, content, run)
        if run is None or why is not None:
            links = (*_CHAIN, "rerun") if settings.rerun else _CHAIN
            verdicts += [not_checked(link, str(why)) for link in links]
        else:
            verdicts += _made_again(settings, content, run, scratch, context, guard)
    return Verification(settings.bag, verdicts, guard.hindrance)


def _read(settings: VerifySettings, scratch: Path, progress: Progress) -> BagContent:
    bag = settings.bag
    try:
        if bag.is_dir():
            if not is_bag(bag):
                raise _unreadable(bag, "the folder has neither bagit.txt nor manifest-sha512.txt")
            return read_folder(bag.resolve(), progress)
        if not is_stream(bag):
            raise _unreadable(bag, "the file is no Zstandard stream")
        scratch.mkdir()
        return read_stream(bag, scratch, progress, _what_is_needed(settings))
    except OSError as error:
        raise _unreadable(bag, f"it cannot be read: {error.strerror}") from error


def _what_is_needed(settings: VerifySettings) -> Callable[[str], bool]:
    """Which files of a stream are unpacked: those that a check looks into."""
    if settings.fixity_only:
        return is_record
    folders = (CODE, PROGRAM) if settings.rerun else (CODE, PROGRAM, WHEELHOUSE)
    left_packed = tuple(f"{folder}/" for folder in folders)
    return lambda path: not path.startswith(left_packed)


def _unreadable(bag: Path, why: str) -> BagUnreadable:
    return BagUnreadable(
        f"{bag} is no bag: {why}.",
        "A folder or a .tar.zst was expected that `orchestrate.py archive` made.",
        "Look at the path; `orchestrate.py archive RESULT --bag PATH` makes one of a result.",
    )


def _why_not(settings: VerifySettings, content: BagContent, run: RecordedRun | None) -> str | None:
    """Why no stage is run on a bag; None = it can be."""
    if settings.fixity_only:
        return "--fixity-only"
    if not content.is_plain:
        return "the bag holds links, devices or names that lead out of it: no stage is to see those"
    if not content.is_whole:
        return "the bag was not read whole"
    return "manifest.json does not tell how it came about" if run is None else None


def _made_again(
    settings: VerifySettings,
    content: BagContent,
    run: RecordedRun,
    scratch: Path,
    context: RunContext,
    guard: Guard,
) -> Iterator[Verdict]:
    """Verdicts of the links that are made again."""
    links: tuple[Link, ...] = (*_CHAIN, "rerun") if settings.rerun else _CHAIN
    try:
        folder = FormerNames.read(content).with_former_names(content, scratch / "named")
        asked = settings_in_bag(run, folder, settings.runtime, scratch / "out")
    except ValueError:
        # The link before has told.
        yield from (not_checked(link, "the list of former names is damaged") for link in links)
        return
    except OutsideOfTheBag as error:
        fault = Fault(MANIFEST, "unsafe", str(error))
        yield from (judged(link, [fault], "was not made again") for link in links)
        return
    own = BagRuntime(run, content.folder, settings, scratch / "cache", context)
    inexact = _why_inexact(run, settings)
    chain_context, notes = _context_of_chain(settings, own, context, guard)
    chain = Chain(run, asked, folder, settings, inexact, scratch, chain_context, guard)
    for verdict in chain.verdicts():
        more = _notes_of_failure(run) if verdict.state == "failed" else ()
        yield replace(verdict, notes=(*verdict.notes, *notes, *more))
    why = why_untrusted(asked, settings.trust_code)
    if settings.rerun and why is not None:
        yield not_checked("rerun", why)
    elif settings.rerun:
        out = scratch / "rerun"
        yield guard.verdict("rerun", MANIFEST, lambda: rerun_verdict(run, folder, own, out))


def _notes_of_failure(run: RecordedRun) -> Sequence[str]:
    """What besides the bag may be the reason that a link does not hold."""
    then, now = run.manifest["program"], program_record()
    if then.get("source_sha256") == now["source_sha256"]:
        return ()
    versions = f"{then.get('version')!r:.40} then and {now['version']!r} now"
    return (f"this program is not the one that made it ({versions}), and may do it otherwise",)


def _context_of_chain(
    settings: VerifySettings, own: BagRuntime, context: RunContext, guard: Guard
) -> tuple[RunContext, Sequence[str]]:
    """Where the stages are run: as the user says, or, if there is no image, in the bag's own.

    That is done only where those are run anyway: a stranger's image may answer what it likes.
    """
    if not (settings.rerun and own.is_in_images):
        return context, ()
    try:
        context.runtime.prepare([LOAD], context.display.notify)
    except ImageMissing:
        restored = guard.part("rerun", IMAGES, lambda: own.context)
        note = "made again in the bag's own image, for this machine has none"
        return (own.context, [note]) if restored is None else (context, ())
    except OrchestrationError:
        # The links tell.
        return context, ()
    return context, ()


def _why_inexact(run: RecordedRun, settings: VerifySettings) -> str | None:
    """Why numbers may differ in their last digits from those of then; None = they may not."""
    then, now = run.manifest["hardware"], hardware_record(None)
    if any(then.get(name) is None or then.get(name) != now[name] for name in _SAME):
        return "this processor is not of the kind that computed then"
    if run.manifest["program"].get("source_sha256") != program_record()["source_sha256"]:
        return "this program is not the one that computed then"
    if run.runtime.load_image is not None or settings.runtime.load_image is not None:
        return "an image of somebody's own computes, or did then"
    return None
