"""A saver that was given a path ending in a slash: the prefix has no name."""

from __future__ import annotations

import numpy
import pytest


@pytest.mark.parametrize(
    "given",
    [
        pytest.param("", id="folder"),
        pytest.param(".index", id="index"),
        pytest.param(".data-00000-of-00001", id="data"),
    ],
)
def test_a_prefix_that_ends_in_a_slash_has_no_name(tmp_path, save_bundle, run_extraction, given):
    """What a saver writes that was given a folder in place of a prefix."""
    folder, out = tmp_path / "trained", tmp_path / "out"
    for path in (folder, out):
        path.mkdir()
    save_bundle(f"{folder}/", {"w": numpy.arange(3, dtype="float32")})
    (folder / "checkpoint").write_text('model_checkpoint_path: "/elsewhere/trained/"\n')
    outcome = run_extraction(folder / given if given else folder, out, reader="both")
    assert outcome.result["readers"]["compared"] == 1
    assert outcome.result["checkpoint"]["prefix"] == "trained"
    assert not [text for text in outcome.warnings if "checkpoint" in text]
