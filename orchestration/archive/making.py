"""Makes an archive of a result: whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from orchestration.archive import layout
from orchestration.archive.bag.folder import FolderSink
from orchestration.archive.bag.hashing import TwoHashes
from orchestration.archive.bag.stream import StreamSink
from orchestration.archive.bag.tag_files import bag_info
from orchestration.archive.bag.writer import BagTexts, Sink, write_bag
from orchestration.archive.contents import collect
from orchestration.archive.crate.facts import ArchiveFacts
from orchestration.archive.crate.metadata import crate_metadata, title
from orchestration.archive.dates import archive_date, fixed_time_s
from orchestration.archive.entries import Contents, Entry
from orchestration.archive.made_entries import image_entries, wheelhouse_entries
from orchestration.archive.options import BAG, STREAM_SUFFIX, ArchiveOptions
from orchestration.archive.place import check_bag
from orchestration.archive.progress import ByteProgress, Display
from orchestration.archive.readme import readme
from orchestration.archive.signing.signature import sign
from orchestration.archive.signing.ssh_keys import ask_on_terminal, load_private_key
from orchestration.program import VERSION, program_record
from orchestration.recorded_run import RecordedRun
from orchestration.recorded_shape import check_shape
from orchestration.result_folder import ResultFolder, writing_to


@dataclass(frozen=True)
class Archive:
    """An archive that was made.

    Attributes:
        path: the bag.
        run: what it is of.
        contents: what it holds besides its metadata.
        payload_bytes: size of its payload.
    """

    path: Path
    run: RecordedRun
    contents: Contents
    payload_bytes: int


def archive(options: ArchiveOptions, display: Display, environment: Mapping[str, str]) -> Archive:
    """Make a bag of a result and all that belongs to it.

    Raises:
        OrchestrationError: one of `orchestration.errors`; nothing is left behind then.
    """
    date = archive_date(environment)
    run = RecordedRun.read(options.result)
    check_shape(run)
    bag = check_bag(options, run)
    signer = None if options.sign is None else _signer(options.sign, environment)
    with ResultFolder(bag, BAG) as folder, writing_to(bag.parent, BAG):
        made = _made_entries(run, options, folder.export, environment, display)
        contents = collect(run, options, bag, made)
        _say_other_source(run, options, display)
        for path, why in sorted(contents.left_out.items()):
            display.problem(f"Left out: {path}, {why}")
        texts = _texts(run, contents, options, date, signer)
        progress = ByteProgress(display, "Archiving", contents.size_bytes)
        with ExitStack() as stack:
            hashes = stack.enter_context(TwoHashes())
            sink: Sink = FolderSink(folder.result, hashes, progress.advance)
            if options.is_stream:
                file = folder.root / bag.name
                name = bag.name.removesuffix(STREAM_SUFFIX)
                time_s = _time_s(run, environment)
                stream = StreamSink(file, name, time_s, hashes, progress.advance)
                sink = stack.enter_context(stream)
            payload_bytes = write_bag(sink, contents, texts, folder.root)
        folder.publish(
            folder.root / bag.name if options.is_stream else folder.result, replace=options.force
        )
    return Archive(bag, run, contents, payload_bytes)


def _say_other_source(run: RecordedRun, options: ArchiveOptions, display: Display) -> None:
    made_by, present = run.manifest["program"]["source_sha256"], program_record()["source_sha256"]
    if options.with_program and made_by != present:
        display.problem(
            "The result was made by other source of this program than the bag will hold: where a"
            " rerun gives other bytes, convert again with the present one, and archive that."
        )


def _made_entries(
    run: RecordedRun,
    options: ArchiveOptions,
    scratch: Path,
    environment: Mapping[str, str],
    display: Display,
) -> list[Entry]:
    entries = []
    if options.with_images:
        entries += image_entries(run, scratch, environment, display.notify)
    if options.with_wheelhouse:
        folder = options.wheelhouse or scratch / "wheelhouse"
        entries += wheelhouse_entries(run, folder, environment, display.notify)
    return entries


def _texts(
    run: RecordedRun,
    contents: Contents,
    options: ArchiveOptions,
    date: datetime,
    signer: Callable[[Path], bytes] | None,
) -> BagTexts:
    facts = _facts(contents, options, date)
    return BagTexts(
        crate=lambda files: crate_metadata(run, files, facts),
        info=lambda payload: bag_info(
            payload, date, VERSION, title(run), options.creators, options.doi
        ),
        readme=readme(run, contents, facts, is_signed=signer is not None),
        sign=signer,
    )


def _facts(contents: Contents, options: ArchiveOptions, date: datetime) -> ArchiveFacts:
    license_files = contents.below(layout.below_payload(layout.LICENSE))
    citations = contents.below(layout.below_payload(layout.CITATION))
    return ArchiveFacts(
        created=date.isoformat(),
        license=license_files[0].path if license_files else options.license,
        creators=options.creators,
        citation=citations[0].path if citations else None,
        doi=options.doi,
        code_version=contents.code_commit,
        renamed=contents.renamed,
    )


def _time_s(run: RecordedRun, environment: Mapping[str, str]) -> int:
    """Time of the files in a stream: the result's own, unless SOURCE_DATE_EPOCH fixes it."""
    fixed_s = fixed_time_s(environment)
    if fixed_s is not None:
        return fixed_s
    return int(datetime.fromisoformat(str(run.manifest["created"])).timestamp())


def _signer(key: Path, environment: Mapping[str, str]) -> Callable[[Path], bytes]:
    """What signs a file. The passphrase is asked for now, and once. Raises KeyUnusable."""
    asked: dict[Path, bytes] = {}
    ask = ask_on_terminal(environment)

    def ask_once(path: Path) -> bytes:
        if path not in asked:
            asked[path] = ask(path)
        return asked[path]

    load_private_key(key, ask_once)
    return lambda file: sign(file, key, ask_once)
