"""A stage that evaluates what its jobs say, inside a container: `python -c` gets this text.

Whatever made the container: what it must not be able to do is the same (`isolation_cases.py`).

Job: {"code": an expression}. Event: {"event": "answer", "result": repr of value or exception}.
"""

import ctypes
import errno
import getpass
import json
import os
import socket
import subprocess
import sys
import threading
import time

# mount(2), unshare(2)
MS_REMOUNT, MS_BIND = 32, 4096
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
# What the kernel shows of itself; its folders hold no files of the host's.
KERNEL_FOLDERS = ("/proc", "/sys", "/dev")


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


def remount(path: str) -> str:
    """Try to make a read-only mount writable by the system call; no program is needed for it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(None, path.encode(), None, MS_REMOUNT | MS_BIND, None) == 0:
        return "remounted"
    return errno.errorcode[ctypes.get_errno()]


def remount_in_namespaces(path: str) -> str:
    """The same where the kernel gives all capabilities: in a user namespace of one's own."""
    read_end, write_end = os.pipe()
    if os.fork() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        made = libc.unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0
        answer = remount(path) if made else "no namespace"
        os.write(write_end, answer.encode())
        os._exit(0)
    os.close(write_end)
    os.wait()
    with os.fdopen(read_end) as answers:
        return answers.read()


def writable_folders() -> "list[str]":
    """Every folder in which a file can be made, the kernel's own apart."""
    found = []
    for folder, folders, _ in os.walk("/"):
        folders[:] = [name for name in folders if os.path.join(folder, name) not in KERNEL_FOLDERS]
        path = os.path.join(folder, "probe")
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except OSError:
            continue
        os.remove(path)
        found.append(folder)
    return sorted(found)


def writable_settings() -> "list[str]":
    """Files by which a process may change the kernel's behaviour for the whole machine."""
    found = []
    for top in ("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/sys"):
        paths = [top] if os.path.isfile(top) else []
        paths += [os.path.join(folder, name) for folder, _, names in os.walk(top) for name in names]
        for path in paths:
            try:
                os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
            except OSError:
                continue
            found.append(path)
    return sorted(found)


def strangers() -> "list[str]":
    """Command lines of the processes that are neither this one nor above it."""
    above = {os.getpid()}
    pid = os.getpid()
    while pid > 1:
        with open("/proc/%d/stat" % pid) as file:
            # The parent's number, two fields behind the command's name, which may hold anything.
            pid = int(file.read().rpartition(")")[2].split()[1])
        above.add(pid)
    return [name for name in os.listdir("/proc") if name.isdigit() and int(name) not in above]


def network_cards() -> "list[str]":
    """Names of the network cards; the kernel lists them without /sys, too."""
    return [name for _, name in socket.if_nameindex()]


NAMES = {
    "capabilities": capabilities,
    "executes": executes,
    "getpass": getpass,
    "network_cards": network_cards,
    "os": os,
    "remount": remount,
    "remount_in_namespaces": remount_in_namespaces,
    "socket": socket,
    "start_threads": start_threads,
    "strangers": strangers,
    "subprocess": subprocess,
    "sys": sys,
    "time": time,
    "writable_folders": writable_folders,
    "writable_settings": writable_settings,
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
