"""V1 checkpoints: tables of whole tensors or slices, in one file or in shards."""

from __future__ import annotations

from typing import Tuple

from stage_extract.errors import EmptyCheckpoint
from stage_extract.finding.checkpoint_names import meta_path_of
from stage_extract.finding.file_kinds import file_kind, refuse_file
from stage_extract.finding.located import Located
from stage_extract.formats.text_graph import with_text_graph
from stage_extract.graph.meta_file import MetaFile
from stage_extract.jobs import ExtractOptions
from stage_extract.source import Source
from stage_extract.storage.table_kinds import table_kind
from stage_extract.storage.v1_files import v1_files
from stage_extract.storage.v1_reader import V1Reader


class _Opener:
    """Opens a reader of some files."""

    def __init__(self, paths: Tuple[str, ...]) -> None:
        self._paths = paths

    def __call__(self) -> V1Reader:
        return V1Reader(self._paths)


def open_v1(located: Located, options: ExtractOptions) -> Source:
    """Check the files of a V1 checkpoint.

    Raises:
        GitLfsPointer, NotTensorFlow, UnsupportedFormat, TruncatedData: a file is something else.
        CorruptIndex: a file is damaged, or contradicts itself or another one.
        DataFileMissing: shards are missing.
        AmbiguousCheckpoint: the files are those of several checkpoints.
        EmptyCheckpoint: the files list nothing.
        NotReadable: the operating system refuses.
    """
    paths = v1_files(located.prefix)
    for path in paths:
        if table_kind(path) is None:
            raise refuse_file(path, file_kind(path))
    opener = _Opener(paths)
    reader = opener()
    is_empty = not reader.variables()
    reader.close()
    if is_empty:
        raise EmptyCheckpoint(
            f"The checkpoint {located.prefix!r} lists no variable.",
            "Expected at least one.",
            "Look whether the training's saver was made with the model's variables.",
        )
    meta_path = meta_path_of(located.prefix)
    source = Source(
        format="V1",
        prefix=located.prefix,
        step=located.step,
        paths=(*paths, *([meta_path] if meta_path is not None else [])),
        open_reader=opener,
        graph=None if meta_path is None else MetaFile(meta_path),
        # TensorFlow would restore a V2 checkpoint of the same prefix, and reads not every type.
        restore_prefix=None,
    )
    return with_text_graph(source)
