"""The checksums that a checkpoint keeps of its tensors are told as anyone can compute them."""

from __future__ import annotations

import numpy
import pytest
import tensorflow

from stage_extract.finding.locate import locate
from stage_extract.formats.registry import open_source
from stage_extract.jobs import ExtractOptions

compat = tensorflow.compat.v1
WHOLE = numpy.arange(35, dtype="float32").reshape(7, 5)


def crc32c(data: bytes) -> str:
    """CRC32C bit by bit, as RFC 3720 defines it."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0x82F63B78 if register & 1 else 0)
    return f"{register ^ 0xFFFFFFFF:08x}"


def test_the_definition_is_the_standards():
    assert crc32c(b"123456789") == "e3069283"


def test_of_plain_and_partitioned_variables(tmp_path, save_bundle, out, run_extraction):
    values = {
        "b/kernel": numpy.array([[1.5, -2.0, 3.25]], "float32"),
        "a/scale": numpy.float64(0.125),
        "a/none": numpy.zeros((0, 3), "float32"),
        "text": numpy.array([b"left out"], object),
        "emb": WHOLE[:3],
        "emb#1": WHOLE[3:],
    }
    slices = {"emb": "7 5 0,3:-", "emb#1": "7 5 3,4:-"}
    prefix = save_bundle(tmp_path / "model", values, slices)
    checkpoint = run_extraction(prefix, out).result["checkpoint"]
    assert checkpoint["crc32c"] == {
        "b/kernel": crc32c(values["b/kernel"].tobytes()),
        "a/scale": crc32c(values["a/scale"].tobytes()),
        "a/none": "00000000",
        "emb": [crc32c(WHOLE[:3].tobytes()), crc32c(WHOLE[3:].tobytes())],
    }


@pytest.mark.parametrize("reader", ["tf", "both"])
def test_of_every_reader(checkpoint, out, run_extraction, example_arrays, reader):
    told = run_extraction(checkpoint, out, reader=reader).result["checkpoint"]["crc32c"]
    assert told == {
        name: crc32c(numpy.asarray(array).tobytes()) for name, array in example_arrays.items()
    }


def test_of_variables_that_have_keys(tmp_path, out, run_extraction):
    values = {"kernel": WHOLE, "bias": numpy.arange(5, dtype="float32")}
    with compat.Graph().as_default(), compat.Session() as session:
        variables = {
            name: compat.get_variable(f"dense/{name}", initializer=value, use_resource=True)
            for name, value in values.items()
        }
        root = tensorflow.train.Checkpoint(**{f"my_{name}": v for name, v in variables.items()})
        session.run(compat.global_variables_initializer())
        prefix = root.save(str(tmp_path / "model"), session=session)
    told = run_extraction(prefix, out).result["checkpoint"]["crc32c"]
    expected = {f"dense/{name}": crc32c(value.tobytes()) for name, value in values.items()}
    assert {name: told[name] for name in expected} == expected


def test_a_format_without_checksums_tells_none(tmp_path, out, run_extraction):
    with compat.Graph().as_default() as graph, compat.Session(graph=graph):
        net = compat.matmul(compat.placeholder("float32", (None, 7), "x"), compat.constant(WHOLE))
        compat.identity(net, "y")
        (tmp_path / "frozen.pb").write_bytes(graph.as_graph_def().SerializeToString())
    checkpoint = run_extraction(tmp_path / "frozen.pb", out).result["checkpoint"]
    assert "crc32c" not in checkpoint


def test_nothing_is_read_for_them(tmp_path, save_bundle):
    prefix = save_bundle(tmp_path / "model", {"w": WHOLE})
    # As long as it was, and all zeros.
    shard = tmp_path / "model.data-00000-of-00001"
    shard.write_bytes(bytes(shard.stat().st_size))
    reader = open_source(locate(prefix, None), ExtractOptions()).open_reader()
    (told,) = reader.checksums("w")
    assert f"{told:08x}" == crc32c(WHOLE.tobytes())
    reader.close()
