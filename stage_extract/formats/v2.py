"""V2 checkpoints ("tensor bundles"): an index, its data shards, and the graph in a .meta file."""

from __future__ import annotations

import os
from typing import Optional, Tuple

from stage_extract.files import literal_name
from stage_extract.finding.located import Located
from stage_extract.formats.object_based import by_objects
from stage_extract.formats.text_graph import with_text_graph
from stage_extract.graph.meta_file import MetaFile
from stage_extract.jobs import ExtractOptions
from stage_extract.source import Source
from stage_extract.storage.bundle_index import BundleIndex, read_bundle_index
from stage_extract.storage.bundle_reader import BundleReader
from stage_extract.storage.checkpoint_files import check_checkpoint


class _Opener:
    """Opens the reader. The index that was decoded for the checks serves the first one."""

    def __init__(self, index: BundleIndex, index_path: str, shard_paths: Tuple[str, ...]) -> None:
        self._decoded: Optional[BundleIndex] = index
        self._index_path = index_path
        self._shard_paths = shard_paths

    def __call__(self) -> BundleReader:
        # Not kept: only the reader holds the index, which is large for very many variables.
        index, self._decoded = self._decoded, None
        return BundleReader(index or read_bundle_index(self._index_path), self._shard_paths)


def open_v2(located: Located, options: ExtractOptions) -> Source:
    """Check the files of a V2 checkpoint (raises what `check_checkpoint` raises)."""
    files, index = check_checkpoint(located, options.data_folder)
    folders = {os.path.dirname(path) for path in (files.index_path, *files.shard_paths)}
    is_literal = literal_name(files.prefix) == files.prefix
    source = Source(
        format="V2",
        prefix=files.prefix,
        step=files.step,
        paths=tuple(files.paths()),
        open_reader=_Opener(index, files.index_path, files.shard_paths),
        graph=None if files.meta_path is None else MetaFile(files.meta_path),
        # TensorFlow looks for data shards beside the index alone, and takes the prefix for a glob.
        restore_prefix=files.prefix if len(folders) == 1 and is_literal else None,
    )
    return with_text_graph(by_objects(source, index, files.shard_paths))
