"""A base image that a registry has is fetched by its digest, and known by it: Docker for real."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from orchestration.archive.image_archives import save_image
from orchestration.engine_access import open_engine

pytestmark = pytest.mark.docker


def contents(layout: Path) -> dict[str, bytes]:
    with tarfile.open(layout) as tar:
        files = ((member.name, tar.extractfile(member)) for member in tar)
        return {name: file.read() for name, file in files if file is not None}


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[tuple[str, str, str]]:
    """A registry of one image: the image's name there, its digest, its id. No engine has it."""
    tree = io.BytesIO()
    with tarfile.open(fileobj=tree, mode="w") as tar:
        member = tarfile.TarInfo("file")
        member.size = 100
        tar.addfile(member, io.BytesIO(os.urandom(50).hex().encode()))
    answer = subprocess.run(
        ["docker", "import", "-"], input=tree.getvalue(), capture_output=True, check=True
    )
    image_id = answer.stdout.decode().strip()
    save_image("docker", image_id, tmp_path / "image.tar", name="base:1")
    subprocess.run(["docker", "rmi", "--force", image_id], capture_output=True, check=True)
    files = contents(tmp_path / "image.tar")
    (described,) = json.loads(files["index.json"])["manifests"]

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            match = re.fullmatch(r"/v2/(?:base/(?:manifests|blobs)/(.+))?", self.path)
            wanted = match[1] if match else "nothing"
            digest = described["digest"] if wanted == "1" else wanted or ""
            content = files.get(f"blobs/{digest.replace(':', '/')}", b"" if not digest else None)
            self.send_response(404 if content is None else 200)
            content = content or b""
            kind = described["mediaType"] if digest == described["digest"] else "application/json"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Docker-Content-Digest", digest)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def do_GET(self) -> None:
            self.do_HEAD()

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        # Docker asks this machine's own registries without encryption.
        yield f"127.0.0.1:{server.server_port}/base", described["digest"], image_id
        server.shutdown()
    subprocess.run(["docker", "rmi", "--force", image_id], capture_output=True, check=False)


@pytest.mark.parametrize("form", ["{name}:1", "{name}@{digest}"])
def test_a_registry_s_digest(registry: tuple[str, str, str], form: str) -> None:
    name, digest, image_id = registry
    reference = form.format(name=name, digest=digest)
    engine = open_engine()
    try:
        assert engine.find_image(reference) is None
        for _ in engine.pull_image(reference):
            pass
        details = engine.find_image(reference)
    finally:
        engine.close()
    assert details is not None
    assert details.image_id == image_id
    assert details.digest_of(reference) == digest
    # Under a name that no registry has it is known by its id alone.
    assert details.digest_of("elsewhere/other:1") == image_id
