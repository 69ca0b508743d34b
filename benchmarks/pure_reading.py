"""Measure how long a whole process takes to read a large checkpoint with and without TensorFlow.

Run as `python -m benchmarks.pure_reading --tensorflow PYTHON --pure PYTHON` from the repository's
root: one interpreter with TensorFlow 1.15, one with numpy alone. Import, reading and the check of
every CRC count; the file is in the page cache. Prints the median of both and every repeat.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
TENSOR_SIZE_BYTES = 4_000_000

MAKE = """
import sys, numpy, tensorflow
compat = tensorflow.compat.v1
prefix, count = sys.argv[1], int(sys.argv[2])
names = ["layer_%05d/kernel" % place for place in range(count)]
random = numpy.random.RandomState(0)
with compat.Graph().as_default(), compat.Session() as session:
    holders = [compat.placeholder("float32") for _ in names]
    save = compat.raw_ops.SaveV2(
        prefix=prefix, tensor_names=names, shape_and_slices=[""] * count, tensors=holders
    )
    session.run(save, {one: random.rand(1000, 1000).astype("float32") for one in holders})
"""
READ_BY_TENSORFLOW = """
import sys, tensorflow
reader = tensorflow.compat.v1.train.NewCheckpointReader(sys.argv[1])
for name in reader.get_variable_to_shape_map():
    reader.get_tensor(name)
"""
READ_BY_OURS = """
import sys
from stage_extract.reader_choice import PURE, choose_reader
choose_reader(PURE)
from stage_extract.formats.registry import open_source
from stage_extract.jobs import ExtractOptions
from stage_extract.finding.locate import locate
reader = open_source(locate(sys.argv[1], None), ExtractOptions()).open_reader()
for variable in reader.variables():
    reader.read(variable.name)
"""


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pure_reading", description=__doc__)
    parser.add_argument("--tensorflow", required=True, help="Python with TensorFlow 1.15")
    parser.add_argument("--pure", required=True, help="Python with numpy")
    parser.add_argument("--megabytes", type=int, default=500, help="of the file (10**6 bytes)")
    parser.add_argument("--repeats", type=int, default=5)
    return parser.parse_args(argv)


def run(python: str, program: str, *arguments: str) -> float:
    """Run a program and give the seconds of the whole process."""
    start = time.perf_counter()
    subprocess.run(
        [python, "-W", "ignore", "-c", program, *arguments],
        cwd=REPOSITORY,
        check=True,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - start


def main() -> None:
    """Make the file, then let the two take turns."""
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        prefix = str(Path(folder) / "model")
        count = arguments.megabytes * 10**6 // TENSOR_SIZE_BYTES
        run(arguments.tensorflow, MAKE, prefix, str(count))
        times_s: dict[str, list[float]] = {"TensorFlow": [], "pure": []}
        for _ in range(arguments.repeats):
            times_s["TensorFlow"].append(run(arguments.tensorflow, READ_BY_TENSORFLOW, prefix))
            times_s["pure"].append(run(arguments.pure, READ_BY_OURS, prefix))
    for name, repeats_s in times_s.items():
        shown = ", ".join(f"{one_s:.2f}" for one_s in repeats_s)
        print(f"{name}: median {statistics.median(repeats_s):.2f} s of {shown}")


if __name__ == "__main__":
    main()
