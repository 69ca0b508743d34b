"""The package index settings that a machine's owner made for pip, read from pip's own places.

uv does not read them, but who configured a mirror for pip means every installer on the machine.
"""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

SYSTEM_FILE = Path("/etc/pip.conf")
_LIST_KEYS = ("extra-index-url", "find-links", "trusted-host")
_KEYS = ("index-url", "no-index", "cert", *_LIST_KEYS)
_FALSE_WORDS = ("", "0", "false", "no", "off")


@dataclass(frozen=True)
class PipSettings:
    """Where packages come from.

    Attributes:
        index_url: the main index; None = the public one.
        extra_index_urls: further indexes.
        find_links: folders or pages with files of packages.
        trusted_hosts: hosts whose certificates are not checked.
        no_index: take packages from `find_links` only.
        certificate: bundle of certificate authorities, or None for the system's.
    """

    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    no_index: bool = False
    certificate: str | None = None

    @classmethod
    def read(cls, environment: Mapping[str, str], home: Path) -> PipSettings:
        """Merge pip's configuration files and `PIP_*` variables; later places overrule earlier
        ones, as in pip.
        """
        merged: dict[str, str] = {}
        for path in _config_files(environment, home):
            merged.update(_read_file(path))
        for key in _KEYS:
            variable = "PIP_" + key.upper().replace("-", "_")
            if variable in environment:
                merged[key] = environment[variable]
        return cls(
            index_url=merged.get("index-url") or None,
            extra_index_urls=tuple(merged.get("extra-index-url", "").split()),
            find_links=tuple(merged.get("find-links", "").split()),
            trusted_hosts=tuple(merged.get("trusted-host", "").split()),
            no_index=merged.get("no-index", "").strip().lower() not in _FALSE_WORDS,
            certificate=merged.get("cert") or None,
        )

    def names_a_source(self) -> bool:
        """Whether packages are to come from elsewhere than the public index alone."""
        return bool(self.index_url or self.extra_index_urls or self.find_links or self.no_index)

    def uv_arguments(self) -> list[str]:
        """The same settings as arguments of `uv pip install`."""
        arguments: list[str] = []
        if self.index_url:
            arguments += ["--default-index", self.index_url]
        for url in self.extra_index_urls:
            arguments += ["--index", url]
        for link in self.find_links:
            arguments += ["--find-links", link]
        for host in self.trusted_hosts:
            arguments += ["--allow-insecure-host", host]
        if self.no_index:
            arguments.append("--no-index")
        return arguments


def _config_files(environment: Mapping[str, str], home: Path) -> Iterator[Path]:
    """Pip's configuration files, lowest precedence first (pip documentation, "Configuration").

    `os.devnull` in PIP_CONFIG_FILE switches every file off.
    """
    own_file = environment.get("PIP_CONFIG_FILE")
    if own_file == os.devnull:
        return
    system_folders = environment.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")
    yield from (Path(folder) / "pip" / "pip.conf" for folder in system_folders if folder)
    yield SYSTEM_FILE
    yield home / ".pip" / "pip.conf"
    yield Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    yield Path(sys.prefix) / "pip.conf"
    if own_file:
        yield Path(own_file)


def _read_file(path: Path) -> dict[str, str]:
    """Known keys of one file; `[install]` overrules `[global]`.

    A missing or broken file says nothing.
    """
    parser = configparser.RawConfigParser()
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, OSError, UnicodeDecodeError):
        return {}
    found: dict[str, str] = {}
    for section in ("global", "install"):
        if parser.has_section(section):
            found.update({key: value for key, value in parser.items(section) if key in _KEYS})
    return found
