"""Where each thing lies in an archive.

An archive is a bag (BagIt, RFC 8493) whose payload, `data/`, is an RO-Crate.
"""

from __future__ import annotations

from typing import Final

README: Final = "README.md"
# What is signed: it has the hashes of the lists that have the hashes of everything.
SIGNED: Final = "tagmanifest-sha512.txt"
SIGNATURE: Final = f"{SIGNED}.sig"
# So that a signature made for anything else does not count for a bag.
NAMESPACE: Final = "tf1-to-torch-bag"
HASHES: Final = ("sha256", "sha512")

PAYLOAD: Final = "data"
CRATE_METADATA: Final = f"{PAYLOAD}/ro-crate-metadata.json"
# The checkpoint's own files, under the names that they had.
ORIGINAL: Final = f"{PAYLOAD}/original"
# Further files that the run read, a folder a role: data shards elsewhere, --map, --requirements.
GIVEN: Final = f"{PAYLOAD}/given"
# The result folder as it is, manifest.json and export/ included.
RESULT: Final = f"{PAYLOAD}/result"
# The old training code.
CODE: Final = f"{PAYLOAD}/code"
# This program's own source, as its checkout has it.
PROGRAM: Final = f"{PAYLOAD}/program"
# extract.oci.tar and load.oci.tar; extract.sif and load.sif. Where both stages ran in one image, it
# lies there once, as load's.
IMAGES: Final = f"{PAYLOAD}/images"
OCI_SUFFIX: Final = ".oci.tar"
SIF_SUFFIX: Final = ".sif"
# Packages of both images and of the host side.
WHEELHOUSE: Final = f"{PAYLOAD}/wheelhouse"
# Texts of the licence and the citation, if given, each in a folder of its own.
LEGAL: Final = f"{PAYLOAD}/legal"
LICENSE: Final = f"{LEGAL}/license"
CITATION: Final = f"{LEGAL}/citation"
# Which files had names that a bag cannot list, if any had.
RENAMED: Final = f"{PAYLOAD}/renamed.json"

# A reader holds a table of all; more do not fit into little memory.
MOST_FILES: Final = 200_000


def input_folder(role: str) -> str:
    """Folder for what the run has read for one purpose, a role of `recorded_run.Role`."""
    return ORIGINAL if role == "checkpoint" else f"{GIVEN}/{role}"


def below_payload(path: str) -> str:
    """A path of the bag as its payload's own folder sees it."""
    return path.removeprefix(f"{PAYLOAD}/")
