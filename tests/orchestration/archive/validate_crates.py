"""Checks RO-Crates by the Process Run Crate profile, without a network; runs beside roc-validator.

    python validate_crates.py CACHE CRATE ...

Prints one JSON list a crate: what is wrong with it, each as [severity, rule, entity].

The validator fetches what the metadata's `@context` names. Here its own cache is filled first, with
RO-Crate's context as `rocrate` has it, and with the profile's, which maps a few terms.
"""

from __future__ import annotations

import importlib.resources
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import requests
import urllib3
from requests_cache import CachedSession
from rocrate_validator.models import Severity
from rocrate_validator.services import validate

PROFILE = "process-run-crate"
CONTEXT = "https://w3id.org/ro/crate/1.1/context"
TERMS = "https://w3id.org/ro/terms/workflow-run"
TERM_NAMES = (
    "ContainerImage",
    "DockerImage",
    "SIFImage",
    "containerImage",
    "environment",
    "registry",
    "sha256",
    "tag",
)


class Documents(requests.adapters.HTTPAdapter):
    """Answers requests with documents that are here; raises KeyError for any other."""

    def __init__(self, documents: dict[str, bytes]) -> None:
        super().__init__()
        self._documents = documents

    def send(self, request: requests.PreparedRequest, **_: object) -> requests.Response:
        answer = urllib3.HTTPResponse(
            io.BytesIO(self._documents[request.url]),
            {"Content-Type": "application/ld+json"},
            200,
            preload_content=False,
            request_url=request.url,
        )
        return self.build_response(request, answer)


def fill_cache(path: Path) -> None:
    own = {"@context": {name: f"{TERMS}#{name}" for name in TERM_NAMES}}
    documents = {
        CONTEXT: importlib.resources.files("rocrate").joinpath("data/ro-crate.jsonld").read_bytes(),
        f"{TERMS}/context": json.dumps(own).encode(),
    }
    with CachedSession(str(path), backend="sqlite") as session:
        session.mount("https://", Documents(documents))
        for address in documents:
            session.get(address)


def issues_of(crate: Path, cache: Path) -> list[list[str]]:
    settings = {
        "rocrate_uri": str(crate),
        "profile_identifier": PROFILE,
        "requirement_severity": Severity.RECOMMENDED,
        "offline": True,
        "cache_path": cache,
    }
    found = validate(settings).get_issues(Severity.RECOMMENDED)
    return [[one.severity.name, one.check.name, one.violatingEntity] for one in found]


def main(argv: Sequence[str]) -> None:
    cache = Path(argv[0])
    fill_cache(cache)
    for crate in argv[1:]:
        sys.stdout.write(json.dumps(issues_of(Path(crate), cache)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
