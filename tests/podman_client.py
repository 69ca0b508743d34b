"""Starts one container of Podman's as whoever runs this, and tells what came of it.

    python tests/podman_client.py REQUEST

REQUEST is JSON: {"folder": with `in` and `out`, "run_id": label of the container, "codes":
[expressions for container_probe.py]}, and optionally "program": Python that runs in place of the
probe, "command": argv in place of a Python, "memory_limit_bytes", or "wait": true to sleep once the
container is ready. Prints JSON: {"answers": […], "status": [code, signal, out of memory], "text":
[…]}, or {"error": [class, what happened]}.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from orchestration.errors import OrchestrationError
from orchestration.runtimes.base import Mount, StageSpec
from orchestration.runtimes.containers import INTERPRETER
from orchestration.runtimes.podman import PodmanRuntime
from orchestration.settings import RuntimeOptions

PROBE = Path(__file__).parent / "orchestration" / "container_probe.py"


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Do as asked, and leave no container."""
    folder = Path(request["folder"])
    memory_limit_bytes = request.get("memory_limit_bytes")
    options = RuntimeOptions(device="cpu", memory_limit_bytes=memory_limit_bytes)
    runtime = PodmanRuntime(options, os.environ)
    runtime.reap()
    runtime.prepare(["load"], lambda _: None)
    text: list[str] = []
    with tempfile.TemporaryFile() as held_open:
        spec = StageSpec(
            "load",
            (Mount(folder / "in", "/in", True), Mount(folder / "out", "/out", False)),
            memory_limit_bytes=memory_limit_bytes,
            run_id=request["run_id"],
            keep_open=(held_open.fileno(),),
        )
        program = request.get("program", PROBE.read_text(encoding="utf-8"))
        command = request.get("command", [INTERPRETER, "-u", "-c", program])
        process = runtime.start(spec, text.append, command)
        try:
            return {**_converse(process, request), "text": text}
        finally:
            process.kill()


def _converse(process: Any, request: dict[str, Any]) -> dict[str, Any]:
    for code in request.get("codes", ()):
        process.send({"code": code})
    if request.get("wait"):
        next(process.events())
        memory_bytes = process.memory_bytes()
        print(json.dumps({"memory_bytes": memory_bytes}), flush=True)  # noqa: T201 - its protocol
        time.sleep(60)
    process.close_input()
    answers = [event["result"] for event in process.events() if event["event"] == "answer"]
    status = process.wait()
    return {"answers": answers, "status": [status.code, status.signal, status.out_of_memory]}


if __name__ == "__main__":
    try:
        result = answer(json.loads(sys.argv[1]))
    except OrchestrationError as error:
        result = {"error": [type(error).__name__, error.happened]}
    print(json.dumps(result))  # noqa: T201 - its protocol
