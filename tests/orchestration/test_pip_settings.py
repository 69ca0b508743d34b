"""pip's own settings reach uv, which does not read them."""

from __future__ import annotations

import pytest

from orchestration.pip_settings import PipSettings


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Read settings on a machine whose only configuration is the test's."""
    monkeypatch.setattr("sys.prefix", str(tmp_path / "prefix"))
    monkeypatch.setattr("orchestration.pip_settings.SYSTEM_FILE", tmp_path / "etc" / "pip.conf")

    def read_settings(**variables):
        environment = {"XDG_CONFIG_DIRS": str(tmp_path / "xdg"), **variables}
        return PipSettings.read(environment, tmp_path)

    return read_settings


def test_nothing_configured_says_nothing(read):
    settings = read()
    assert settings == PipSettings()
    assert not settings.names_a_source()
    assert settings.uv_arguments() == []


@pytest.mark.parametrize(
    "place",
    [
        "etc/pip.conf",
        "xdg/pip/pip.conf",
        ".pip/pip.conf",
        ".config/pip/pip.conf",
        "prefix/pip.conf",
    ],
)
def test_every_file_of_pip_is_read(read, tmp_path, place):
    write(tmp_path / place, "[global]\nindex-url = https://mirror/simple\n")
    assert read().uv_arguments() == ["--default-index", "https://mirror/simple"]


def test_later_places_overrule_earlier_ones(read, tmp_path):
    write(tmp_path / "etc" / "pip.conf", "[global]\nindex-url = https://system\ncert = /ca.pem\n")
    write(
        tmp_path / ".config" / "pip" / "pip.conf",
        "[install]\nindex-url = https://install\n[global]\nindex-url = https://user\n",
    )
    assert read().index_url == "https://install"
    assert read(PIP_INDEX_URL="https://variable").index_url == "https://variable"
    assert read().certificate == "/ca.pem"


def test_lists_and_switches_become_arguments_of_uv(read):
    settings = read(
        PIP_EXTRA_INDEX_URL="https://one https://two",
        PIP_FIND_LINKS="/wheels\nhttps://page",
        PIP_TRUSTED_HOST="mirror",
        PIP_NO_INDEX="1",
    )
    assert settings.names_a_source()
    assert settings.uv_arguments() == [
        *("--index", "https://one", "--index", "https://two"),
        *("--find-links", "/wheels", "--find-links", "https://page"),
        *("--allow-insecure-host", "mirror", "--no-index"),
    ]


@pytest.mark.parametrize("word", ["0", "false", "no", "off", ""])
def test_a_switch_that_is_off_is_off(read, word):
    assert not read(PIP_NO_INDEX=word).no_index


def test_a_configuration_file_of_ones_own(read, tmp_path):
    write(tmp_path / "etc" / "pip.conf", "[global]\nindex-url = https://system\n")
    write(tmp_path / "own.conf", "[global]\nindex-url = https://own\n")
    assert read(PIP_CONFIG_FILE=str(tmp_path / "own.conf")).index_url == "https://own"
    assert read(PIP_CONFIG_FILE="/dev/null") == PipSettings()


@pytest.mark.parametrize("text", ["no section", "[global\n", "\x00\xff"])
def test_a_broken_file_says_nothing(read, tmp_path, text):
    write(tmp_path / "etc" / "pip.conf", text)
    assert read() == PipSettings()
