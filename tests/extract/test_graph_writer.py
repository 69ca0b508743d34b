from __future__ import annotations

import json

import pytest

from stage_extract.writing.graph_writer import write_graph


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({"a": 1}, id="number"),
        pytest.param({"b": [], "a": {}}, id="empty"),
        pytest.param({"list": [{"z": 1, "a": [1, 2]}, None, "text", [3]]}, id="entries"),
        pytest.param({"name": "é/漢/“x”\n\\"}, id="odd-text"),
        pytest.param({"number": 0.1, "flag": True, "none": None}, id="plain-values"),
        pytest.param({"source": {"b": [{"x": 1}], "a": None}}, id="nested-lists-stay-on-a-line"),
    ],
)
def test_is_the_json_of_the_document(tmp_path, document):
    write_graph(str(tmp_path / "graph.json"), document)
    text = (tmp_path / "graph.json").read_text(encoding="utf-8")
    assert json.loads(text) == document
    assert text.endswith("}\n")


def test_one_line_an_entry_and_sorted_keys(tmp_path):
    write_graph(str(tmp_path / "graph.json"), {"z": [{"b": 1, "a": "é"}, {"c": 2}], "a": {"k": 3}})
    assert (tmp_path / "graph.json").read_text(encoding="utf-8").splitlines() == [
        "{",
        '"a": {"k": 3},',
        '"z": [',
        ' {"a": "é", "b": 1},',
        ' {"c": 2}',
        "]",
        "}",
    ]


def test_numbers_that_json_does_not_know_are_refused(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_graph(str(tmp_path / "graph.json"), {"a": [float("nan")]})
    assert list(tmp_path.iterdir()) == []
