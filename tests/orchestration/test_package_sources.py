"""A build in a container gets what this machine's pip is told, as far as a container can use it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from orchestration.package_sources import from_pip_settings, from_wheelhouse
from orchestration.pip_settings import PipSettings
from orchestration.settings import CPU_TORCH_INDEX, TorchVariant

TORCH = b"torch wheel"
NUMPY = b"numpy wheel"
LOCK = f"""\
numpy==2 --hash=sha256:{hashlib.sha256(NUMPY).hexdigest()}
torch==2.13.0+cpu --hash=sha256:{hashlib.sha256(TORCH).hexdigest()}
"""
TORCH_NAME = "torch-2.13.0+cpu-cp311-cp311-linux_x86_64.whl"
NUMPY_NAME = "numpy-2-py3-none-any.whl"
INDEX = "https://index.example/simple"
OTHER_INDEX = "http://other.example/simple"


@pytest.mark.parametrize(
    ("variant", "pip", "expected"),
    [
        pytest.param(None, PipSettings(), {}, id="nothing-set"),
        pytest.param(
            "cpu", PipSettings(), {"PIP_EXTRA_INDEX_URL": CPU_TORCH_INDEX}, id="cpu-torch"
        ),
        pytest.param("cuda", PipSettings(), {}, id="cuda-torch-is-on-the-public-index"),
        pytest.param(
            "cpu",
            PipSettings(
                index_url=INDEX, extra_index_urls=(OTHER_INDEX,), trusted_hosts=("a", "b:1")
            ),
            {
                "PIP_INDEX_URL": INDEX,
                "PIP_EXTRA_INDEX_URL": f"{OTHER_INDEX} {CPU_TORCH_INDEX}",
                "PIP_TRUSTED_HOST": "a b:1",
            },
            id="own-indexes",
        ),
        # A folder of this machine; the container would look for it in vain.
        pytest.param(
            None,
            PipSettings(index_url="file:///srv/simple", extra_index_urls=("file:///srv/more",)),
            {},
            id="indexes-that-are-folders",
        ),
        pytest.param(
            None,
            PipSettings(certificate="/no/such/bundle.pem"),
            {},
            id="certificates-that-are-gone",
        ),
    ],
)
def test_arguments(
    variant: TorchVariant | None, pip: PipSettings, expected: dict[str, str]
) -> None:
    sources = from_pip_settings(LOCK, variant, CPU_TORCH_INDEX, pip, {})
    assert (dict(sources.arguments), dict(sources.files)) == (expected, {})
    assert not sources.offline


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        pytest.param(OTHER_INDEX, {"PIP_EXTRA_INDEX_URL": OTHER_INDEX}, id="a-mirror"),
        pytest.param("", {}, id="nowhere-else"),
    ],
)
def test_where_torch_is_published(index: str, expected: dict[str, str]) -> None:
    assert from_pip_settings(LOCK, "cpu", index, PipSettings(), {}).arguments == expected


def test_files_that_pip_finds_here_go_along(tmp_path: Path) -> None:
    (tmp_path / TORCH_NAME).write_bytes(TORCH)
    (tmp_path / NUMPY_NAME).write_bytes(b"of another build")
    links = (f"file://{tmp_path}", "https://links.example/", str(tmp_path / "missing"))
    sources = from_pip_settings(LOCK, "cpu", OTHER_INDEX, PipSettings(find_links=links), {})
    assert sources.files == {f"wheelhouse/{TORCH_NAME}": tmp_path / TORCH_NAME}
    # Torch is at hand: its publisher's index need not be reachable.
    assert sources.arguments == {}


@pytest.mark.parametrize("place", ["pip", "requests"])
def test_certificates_of_an_intercepting_proxy_go_along(place: str, tmp_path: Path) -> None:
    bundle = tmp_path / "company.pem"
    bundle.write_text("-----BEGIN CERTIFICATE-----", encoding="ascii")
    pip = PipSettings(certificate=str(bundle) if place == "pip" else None)
    environment = {"REQUESTS_CA_BUNDLE": str(bundle)} if place == "requests" else {}
    sources = from_pip_settings(LOCK, None, CPU_TORCH_INDEX, pip, environment)
    assert sources.files == {"wheelhouse/certificates.pem": bundle}
    assert sources.arguments == {"PIP_CERT": "/build/certificates.pem"}


def test_wheelhouse_is_all_there_is(tmp_path: Path) -> None:
    (tmp_path / TORCH_NAME).write_bytes(TORCH)
    (tmp_path / NUMPY_NAME).write_bytes(NUMPY)
    sources = from_wheelhouse(LOCK, tmp_path)
    assert sources.offline
    assert sources.arguments == {"PIP_NO_INDEX": "1"}
    assert sources.files == {
        f"wheelhouse/{NUMPY_NAME}": tmp_path / NUMPY_NAME,
        f"wheelhouse/{TORCH_NAME}": tmp_path / TORCH_NAME,
    }
