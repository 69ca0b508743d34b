"""Which of Podman's settings put something into every container."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.podman_additions import additions

FOLDERS = '[containers]\nvolumes = ["/scratch:/scratch"]\n'


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        pytest.param("", None, id="empty"),
        pytest.param(FOLDERS, "volumes", id="folders"),
        pytest.param("[containers]\nvolumes = []\nenv = [ ]\n", None, id="none"),
        pytest.param('[containers]\n#volumes = ["/a:/a"]\n', None, id="comment"),
        pytest.param(
            "[containers] # all\n  env=[\n  'A=1',\n]\ndevices\t= [\"/dev/x\"]",
            "devices, env",
            id="several-lines",
        ),
        pytest.param(
            '[containers]\npids_limit = 5\n[engine]\nenv = ["A=1"]\n', None, id="podman-s-own"
        ),
        pytest.param(
            '[engine]\nenv = ["A=1"]\n[containers]\nmounts = ["type=bind"]\n', "mounts", id="last"
        ),
    ],
)
def test_settings(tmp_path: Path, text: str, keys: str | None) -> None:
    path = tmp_path / "own.conf"
    path.write_text(text, encoding="utf-8")
    found = additions({"CONTAINERS_CONF": str(path)}, tmp_path)
    assert found == ([] if keys is None else [f"{path} ({keys})"])


@pytest.mark.parametrize(
    ("place", "environment"),
    [
        pytest.param("usr/share/containers/containers.conf", {}, id="distribution-s"),
        pytest.param("etc/containers/containers.conf", {}, id="machine-s"),
        pytest.param("etc/containers/containers.conf.d/5.conf", {}, id="machine-s-folder"),
        pytest.param("home/.config/containers/containers.conf", {"HOME": "home"}, id="user-s"),
        pytest.param(
            "set/containers/containers.conf.d/x.conf",
            {"HOME": "home", "XDG_CONFIG_HOME": "set"},
            id="user-s-elsewhere",
        ),
    ],
)
def test_places(tmp_path: Path, place: str, environment: dict[str, str]) -> None:
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text(FOLDERS, encoding="utf-8")
    own = {name: str(tmp_path / folder) for name, folder in environment.items()}
    assert additions(own, tmp_path) == [f"{path} (volumes)"]
    other = tmp_path / "other.conf"
    other.touch()
    assert additions({**own, "CONTAINERS_CONF": str(other)}, tmp_path) == []
