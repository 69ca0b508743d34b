"""What the user asked `verify` for, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from orchestration.settings import RuntimeOptions

ExportReader = Literal["auto", "pure", "tf"]


@dataclass(frozen=True)
class VerifySettings:
    """`orchestrate.py verify BAG`.

    Attributes:
        bag: a folder, or a .tar.zst.
        rerun: repeat the run by the images in the bag, too.
        fixity_only: run nothing: look at the files, the signature and the records.
        key: public key, or list of allowed signers, of whom one must have signed; or None.
        trust_code: run the model's own code, if it is no model of this program.
        reader: which code makes the export again; "auto" = without TensorFlow where that can.
        runtime: how the stages are to be run.
    """

    bag: Path
    rerun: bool = False
    fixity_only: bool = False
    key: Path | None = None
    trust_code: bool = False
    reader: ExportReader = "auto"
    runtime: RuntimeOptions = field(default_factory=RuntimeOptions)
