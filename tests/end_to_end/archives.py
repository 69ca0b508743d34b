"""A signed archive of a small UNet, made by the commands, and who verifies copies of it."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from orchestration.archive.verify.settings import VerifySettings
from orchestration.archive.verify.verdicts import Verification
from orchestration.archive.verify.verification import verify
from orchestration.display import QuietDisplay
from orchestration.run_context import RunContext
from orchestration.runtimes.base import Runtime
from orchestration.runtimes.local import LocalRuntime
from orchestration.settings import RuntimeOptions
from tests.end_to_end.warm_runtime import WarmRuntime

RESULT = "data/result"
EXPORT = f"{RESULT}/export"
MANIFEST = f"{RESULT}/manifest.json"
CRATE = "data/ro-crate-metadata.json"
MODEL = f"{RESULT}/model.safetensors"
CONFIG = f"{RESULT}/config.json"
MAPPING = f"{RESULT}/mapping.csv"
REPORT = f"{RESULT}/report.json"
PAGE = f"{RESULT}/report.html"
VARIABLES = f"{EXPORT}/variables.safetensors"
GRAPH = f"{EXPORT}/graph.json"
REFERENCE = f"{EXPORT}/reference.safetensors"
INDEX = "data/original/model.ckpt.index"
DATA = "data/original/model.ckpt.data-00000-of-00001"
META = "data/original/model.ckpt.meta"
CODE = "data/code/train.py"
SIGNATURE = "tagmanifest-sha512.txt.sig"


# Saves a checkpoint again, with other weights; the graph stays as it is.
OTHER_WEIGHTS = """
import sys
import tensorflow.compat.v1 as tf
prefix, target = sys.argv[1:]
saver = tf.train.import_meta_graph(prefix + ".meta")
with tf.Session() as session:
    saver.restore(session, prefix)
    for variable in tf.global_variables():
        if variable.dtype.base_dtype == tf.float32:
            variable.load(session.run(variable) * 1.5, session)
    saver.save(session, target)
"""


@dataclass(frozen=True)
class Archive:
    """A signed bag, and who verifies it.

    Attributes:
        bag: the untouched one.
        key: public key of who signed.
        other: another checkpoint of the same network, with other weights.
        runtime: whose stages stay warm.
    """

    bag: Path
    key: Path
    other: Path
    runtime: WarmRuntime

    def verify(self, bag: Path, **settings: Any) -> Verification:
        """Verify a bag."""
        return verified_by(self.runtime, bag, **settings)


def verified_by(runtime: Runtime, bag: Path, **settings: Any) -> Verification:
    """Verify a bag by the stages of a runtime; `settings`: fields of `VerifySettings`."""
    context = RunContext(
        choose=lambda: runtime,
        display=QuietDisplay(io.StringIO()),
        argv=("verify",),
        environment=os.environ,
    )
    return verify(VerifySettings(bag=bag, **settings), context, lambda done, total: None)


class Place(Protocol):
    """Where the commands are run."""

    folder: Path

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run orchestrate.py to its end."""


def make_archive(place: Place, checkpoint: Path, extract_python: Path) -> Iterator[Archive]:
    """Convert, archive, and keep the stages warm until the tests are over."""
    folder = place.folder
    (folder / "code").mkdir()
    (folder / "code" / "train.py").write_text("import tensorflow as tf\n", encoding="ascii")
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "archivist", "-f", folder / "key"],
        check=True,
    )
    for command in (
        (checkpoint, "--model", "unet", "--runtime", "local", "--out", "result"),
        (
            *("archive", "result", "--bag", "whole.bag", "--without-program"),
            *("--with-code", "code", "--license", "MIT", "--sign", "key"),
        ),
    ):
        done = place.run(*command)
        assert done.returncode == 0, done.stderr
    other = folder / "other"
    other.mkdir()
    prefixes = [checkpoint / "model.ckpt", other / "model.ckpt"]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [extract_python, "-W", "ignore", "-c", OTHER_WEIGHTS, *prefixes]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    runtime = WarmRuntime(LocalRuntime(RuntimeOptions(), os.environ))
    yield Archive(folder / "whole.bag", folder / "key.pub", other, runtime)
    runtime.close()


def states(found: Verification) -> dict[str, str]:
    return {verdict.link: verdict.state for verdict in found.verdicts}


def faults(found: Verification, link: str) -> dict[str, list[str]]:
    """Path -> kinds of its faults."""
    named: dict[str, list[str]] = {}
    for verdict in found.verdicts:
        for fault in verdict.faults if verdict.link == link else ():
            named.setdefault(fault.path, []).append(fault.kind)
    return named


def texts(found: Verification) -> str:
    return "\n".join(fault.text for verdict in found.verdicts for fault in verdict.faults)
