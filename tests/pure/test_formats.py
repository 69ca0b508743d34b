"""Checkpoints that TensorFlow wrote, read where there is none, bit for bit."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from stage_extract.errors import ExtractError
from stage_extract.finding.locate import locate
from stage_extract.formats.registry import open_source
from stage_extract.jobs import ExtractOptions

DATA = Path(__file__).parent / "data"
_SPEC = importlib.util.spec_from_file_location(
    "checkpoint_values", str(Path(__file__).parent / "checkpoint_values.py")
)
checkpoint_values = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(checkpoint_values)

FOLDERS = [("v1_single", "V1"), ("v1_shards", "V1"), ("v2", "V2")]


def expected_values(checkpoint_format):
    left_out = checkpoint_values.V2_ONLY if checkpoint_format == "V1" else ()
    names = tuple(name for name in checkpoint_values.DTYPES if name not in left_out)
    return {**checkpoint_values.plain_values(names), "cut": checkpoint_values.cut_values()}


@pytest.mark.parametrize(("folder", "checkpoint_format"), FOLDERS)
def test_reads_every_type_bit_for_bit(folder, checkpoint_format):
    source = open_source(locate(str(DATA / folder), None), ExtractOptions())
    assert source.format == checkpoint_format
    expected = expected_values(checkpoint_format)
    reader = source.open_reader()
    assert [variable.name for variable in reader.variables()] == sorted([*expected, "words"])
    assert reader.info("words").dtype == "string"
    for name, values in expected.items():
        read = reader.read(name)
        assert (read.dtype, read.shape) == (values.dtype, values.shape), name
        assert read.tobytes() == values.tobytes(), name
    reader.close()


@pytest.mark.parametrize(("folder", "checkpoint_format"), FOLDERS)
def test_a_flipped_byte_never_gives_other_values(tmp_path, folder, checkpoint_format):
    expected = expected_values(checkpoint_format)
    found = 0
    for path in sorted((DATA / folder).iterdir()):
        for other in (DATA / folder).iterdir():
            (tmp_path / other.name).write_bytes(other.read_bytes())
        content = path.read_bytes()
        for place in range(0, len(content), 29):
            damaged = bytearray(content)
            damaged[place] ^= 0x44
            (tmp_path / path.name).write_bytes(damaged)
            try:
                source = open_source(locate(str(tmp_path), None), ExtractOptions())
                reader = source.open_reader()
            except ExtractError:
                found += 1
                continue
            for name, values in expected.items():
                try:
                    assert reader.read(name).tobytes() == values.tobytes(), (path.name, place)
                except ExtractError:
                    found += 1
            reader.close()
    assert found > 20
