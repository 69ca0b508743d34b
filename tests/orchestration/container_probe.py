"""A stage that evaluates what its jobs say, inside a container: `python -c` gets this text.

Job: {"code": an expression}. Event: {"event": "answer", "result": repr of value or exception}.
"""

import getpass
import json
import os
import socket
import subprocess
import sys
import threading
import time


def say(**event: object) -> None:
    print(json.dumps(event), flush=True)


def write(path: str, size_bytes: int = 1) -> int:
    with open(path, "wb") as file:
        return sum(
            file.write(b"x" * min(size_bytes, 1 << 20)) for _ in range(1 + size_bytes // (1 << 20))
        )


def capabilities() -> "dict[str, str]":
    with open("/proc/self/status") as file:
        lines = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    return {
        name: value.strip() for name, value in lines.items() if name.startswith(("Cap", "NoNew"))
    }


def start_threads(count: int) -> int:
    gate = threading.Event()
    try:
        for _ in range(count):
            threading.Thread(target=gate.wait).start()
        return count
    finally:
        gate.set()


def executes(path: str) -> int:
    with open(path, "w") as file:
        file.write("#!/bin/sh\nexit 7\n")
    os.chmod(path, 0o755)
    return subprocess.call([path])


NAMES = {
    "capabilities": capabilities,
    "executes": executes,
    "getpass": getpass,
    "os": os,
    "socket": socket,
    "start_threads": start_threads,
    "subprocess": subprocess,
    "sys": sys,
    "time": time,
    "write": write,
}

if __name__ == "__main__":
    say(event="ready")
    for line in sys.stdin:
        try:
            result = repr(eval(json.loads(line)["code"], NAMES))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the result
            result = f"{type(error).__name__}: {error}"
        say(event="answer", result=result)
