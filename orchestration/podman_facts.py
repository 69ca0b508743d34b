"""What Podman says of itself on this machine, in `podman info` or through its socket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

# Podman tells Go's names of machines, everything else the kernel's.
_MACHINES: Mapping[str, str] = MappingProxyType({"amd64": "x86_64", "arm64": "aarch64"})


@dataclass(frozen=True)
class PodmanFacts:
    """What decides how a container can be run.

    Attributes:
        version: of Podman.
        is_rootless: it runs as an ordinary user, in a user namespace.
        machine: the processor, as `platform.machine` says.
        limits: control groups that the kernel lets this user set: "memory", "pids", "cpuset" and
            others. Podman drops every other limit that it is asked for, without an error.
        cgroup_version: "v1" or "v2".
        mapped_ids: how many user ids its containers have.
        oci_runtime: name of the program that makes the containers.
        uses_selinux: files and processes are labelled.
        storage_driver: "overlay", "vfs" or another.
        storage_backing: file system that it lies on, by Podman's name for it.
        storage_folder: where images and containers lie.
    """

    version: str
    is_rootless: bool
    machine: str
    limits: frozenset[str]
    cgroup_version: str
    mapped_ids: int | None
    oci_runtime: str
    uses_selinux: bool
    storage_driver: str
    storage_backing: str
    storage_folder: str

    @classmethod
    def read(cls, information: Mapping[str, Any]) -> PodmanFacts:
        """From the JSON form of `podman info`."""
        host, store = information["host"], information["store"]
        security = host["security"]
        # Without a user namespace nothing is mapped.
        uid_map = (host.get("idMappings") or {}).get("uidmap")
        return cls(
            version=str(information["version"]["Version"]),
            is_rootless=bool(security["rootless"]),
            machine=_MACHINES.get(host["arch"], host["arch"]),
            limits=frozenset(host.get("cgroupControllers") or ()),
            cgroup_version=str(host["cgroupVersion"]),
            mapped_ids=None if not uid_map else sum(part["size"] for part in uid_map),
            oci_runtime=str(host["ociRuntime"]["name"]),
            uses_selinux=bool(security.get("selinuxEnabled")),
            storage_driver=str(store["graphDriverName"]),
            storage_backing=str(store["graphStatus"].get("Backing Filesystem", "")),
            storage_folder=str(store["graphRoot"]),
        )

    @property
    def title(self) -> str:
        """Program, version and whose it is, for people."""
        return f"Podman {self.version} ({'rootless' if self.is_rootless else 'as root'})"

    def in_docker_terms(self) -> dict[str, Any]:
        """The entries of `docker info` that this program reads.

        Podman's own answer in Docker's terms has errors: it is never rootless, sets every limit and
        runs on "amd64" (4.3.1, `pkg/api/handlers/compat/info.go`).
        """
        return {
            "ServerVersion": self.version,
            "Architecture": self.machine,
            "MemoryLimit": "memory" in self.limits,
            "PidsLimit": "pids" in self.limits,
            "SecurityOptions": ["name=rootless"] if self.is_rootless else [],
            "Runtimes": {self.oci_runtime: {}},
            "DockerRootDir": self.storage_folder,
        }
