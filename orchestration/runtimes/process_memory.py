"""How much memory a process and its descendants hold that the kernel cannot take back (Linux)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

# proc_pid_status(5): file pages are left out, which are shared and can be read again.
_FIELDS = ("RssAnon:", "RssShmem:")
_UNIT_BYTES = 1024


def tree_memory_bytes(pid: int) -> int | None:
    """Memory of a process, of its children, and so on.

    Returns:
        None if the process is gone, or where the kernel does not tell.
    """
    sizes = [size for one in _tree(pid) if (size := _memory_bytes(one)) is not None]
    return sum(sizes) if sizes else None


def container_memory_bytes(pid: int, container_id: str) -> int | None:
    """`tree_memory_bytes` of a container's first process.

    Args:
        pid: its number, as the engine knows it.
        container_id: of the container. Where numbers mean something else here than to the engine,
            the process of that number is in no group of this name.
    """
    groups = "".join(_words(Path(f"/proc/{pid}/cgroup")))
    return tree_memory_bytes(pid) if container_id and container_id in groups else None


def _tree(pid: int) -> Iterator[int]:
    """The number of a process and those of its descendants; of each thread's children, too."""
    yield pid
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return
    for thread in threads:
        for child in _words(thread / "children"):
            yield from _tree(int(child))


def _memory_bytes(pid: int) -> int | None:
    words = _words(Path(f"/proc/{pid}/status"))
    sizes = [int(words[at + 1]) for at, word in enumerate(words[:-1]) if word in _FIELDS]
    return sum(sizes) * _UNIT_BYTES if sizes else None


def _words(path: Path) -> list[str]:
    """Words of a file of a process; none if that is gone, or its owner is another."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        return []
