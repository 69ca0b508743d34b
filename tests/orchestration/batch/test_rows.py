"""What is written in an items file, as rows of cells."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.batch.problems import Problems
from orchestration.batch.rows import read_source
from orchestration.errors import BadItems

OUT = Path("/nowhere")


def read(path: Path) -> list[tuple[str, dict]]:
    problems = Problems(str(path))
    source = read_source(str(path), OUT, problems)
    problems.raise_if_any()
    assert source.folder == path.parent
    return [(row.where.removeprefix(f"{path} "), dict(row.cells)) for row in source.rows]


TWO = [
    ("line 2", {"checkpoint": "a/ckpt", "model": "unet"}),
    ("line 3", {"checkpoint": "b/ckpt", "model": "net.py:Net"}),
]


@pytest.mark.parametrize(
    ("data", "name", "rows"),
    [
        pytest.param(b"checkpoint,model\na/ckpt,unet\nb/ckpt,net.py:Net\n", "m.csv", TWO, id="csv"),
        pytest.param(b"checkpoint,model\na/ckpt,unet\nb/ckpt,net.py:Net", "m", TWO, id="no-end"),
        pytest.param(
            b"\xef\xbb\xbfcheckpoint;model\r\na/ckpt;unet\r\nb/ckpt;net.py:Net\r\n",
            "m.csv",
            TWO,
            id="as-a-spreadsheet-saves-it",
        ),
        pytest.param(b"checkpoint\tmodel\na/ckpt\tunet\nb/ckpt\tnet.py:Net\n", "m", TWO, id="tabs"),
        pytest.param(b"checkpoint,model\ra/ckpt,unet\rb/ckpt,net.py:Net\r", "m", TWO, id="old-mac"),
        pytest.param(
            b' Checkpoint , "--Model"\na/ckpt , unet\n  b/ckpt, "net.py:Net"\n',
            "m.csv",
            TWO,
            id="blanks-and-case",
        ),
        pytest.param(
            b"checkpoint,model,,\na/ckpt,unet,,\nb/ckpt,net.py:Net,,\n,,,\n",
            "m.csv",
            TWO,
            id="empty-cells-at-the-end",
        ),
        pytest.param(
            b"sep=|\ncheckpoint|rule\na,b;c/ckpt|x -> y\n",
            "m.csv",
            [("line 3", {"checkpoint": "a,b;c/ckpt", "rule": ["x -> y"]})],
            id="delimiter-told",
        ),
        pytest.param(
            b"sep=\t\ncheckpoint\tseed\na\t1\n",
            "m.csv",
            [("line 3", {"checkpoint": "a", "seed": "1"})],
            id="tab-told",
        ),
        pytest.param(
            b"checkpoint\na,b\n",
            "m.tsv",
            [("line 2", {"checkpoint": "a,b"})],
            id="tsv-with-one-column",
        ),
        pytest.param(
            b'# models of "2018\n\n  # more\ncheckpoint,seed\n\n#a,1\n"#b",2\n   \nc,3\n',
            "m.csv",
            [
                ("line 7", {"checkpoint": "#b", "seed": "2"}),
                ("line 9", {"checkpoint": "c", "seed": "3"}),
            ],
            id="comments-and-blank-lines",
        ),
        pytest.param(
            b'checkpoint,rule,seed\n"a, ""b""","x -> y\n\n# -> z\n",3\nc,,4\n',
            "m.csv",
            [
                ("line 2", {"checkpoint": 'a, "b"', "rule": ["x -> y", "# -> z"], "seed": "3"}),
                ("line 6", {"checkpoint": "c", "seed": "4"}),
            ],
            id="several-lines-in-a-cell",
        ),
        pytest.param(
            b'checkpoint,freeze,adapt,model_arg\na,"[""x,y"", ""z""]",[0-9],[1]\n',
            "m.csv",
            [
                (
                    "line 2",
                    {"checkpoint": "a", "freeze": ["x,y", "z"], "adapt": ["[0-9]"]}
                    | {"model_arg": ["[1]"]},
                )
            ],
            id="lists-and-patterns-like-lists",
        ),
        pytest.param(
            b"checkpoint,model args,input-shape\n"
            b'a,"{""depth"": [1, 2.5]}","{""x:0"": [1, 8]}"\n'
            b'b,args.json,"x:0=1,8\ny:0=2"\n',
            "m.csv",
            [
                (
                    "line 2",
                    {"checkpoint": "a", "model_args": {"depth": [1, 2.5]}}
                    | {"input_shape": {"x:0": [1, 8]}},
                ),
                (
                    "line 3",
                    {"checkpoint": "b", "model_args": "args.json"}
                    | {"input_shape": ["x:0=1,8", "y:0=2"]},
                ),
            ],
            id="objects",
        ),
        pytest.param(
            "checkpoint,name\nMäx/ckpt,größe\u2028x\n".encode(),
            "m.csv",
            [("line 2", {"checkpoint": "Mäx/ckpt", "name": "größe\u2028x"})],
            id="not-every-end-of-line-ends-a-row",
        ),
        pytest.param(
            b'# two\n{"checkpoint": "a", "Model-Args": {"x": {"y": [1, null]}}, "prove": false}\n'
            b'\n{"checkpoint": "b", "seed": 0, "freeze": [], "step": null, "rule": ["q -> r"]}\n',
            "m.jsonl",
            [
                (
                    "line 2",
                    {"checkpoint": "a", "model_args": {"x": {"y": [1, None]}}, "prove": False},
                ),
                ("line 4", {"checkpoint": "b", "seed": 0, "rule": ["q -> r"]}),
            ],
            id="json-lines",
        ),
        pytest.param(
            b'{"checkpoint": " a "}\r\n',
            "models.txt",
            [("line 1", {"checkpoint": " a "})],
            id="json-lines-by-another-name",
        ),
    ],
)
def test_rows_of_a_file(tmp_path, data, name, rows):
    path = tmp_path / name
    path.write_bytes(data)
    assert read(path) == rows


@pytest.mark.parametrize(
    ("data", "name", "messages"),
    [
        pytest.param(
            b"checkpoint,modle,tolerance,seed,seed\na,b,,,\n",
            "m.csv",
            [
                "line 1: The column 'modle' is no option of a row. Each column was expected to be"
                " an option of the single command. Nearest: model",
                "line 1: The column 'seed' is there twice.",
            ],
            id="columns",
        ),
        pytest.param(
            b"runs/a/ckpt,unet\nruns/b/ckpt,unet\n",
            "m.csv",
            [
                "line 1: The column 'runs/a/ckpt' is no option",
                "line 1: The column 'unet' is no option",
                "line 1: No column is called 'checkpoint'. The first line was expected to name the"
                " columns. Write such a line, for example: checkpoint,model,name",
            ],
            id="no-header",
        ),
        pytest.param(
            b"checkpoint,device\na,cpu\n", "m.csv", ["'device' is no option of a row"], id="device"
        ),
        pytest.param(
            b"checkpoint,seed\na,1,2\nb,3\nc,4,,5\n",
            "m.csv",
            [
                "line 2: The cell '2' is below no column. At most 2 cells were expected, each below"
                ' its column\'s name. Quote a cell that holds the delimiter: "a,b".',
                "line 4: The cell '5' is below no column.",
            ],
            id="too-many-cells",
        ),
        pytest.param(
            b"checkpoint,,seed\na,b,1\n",
            "m.csv",
            ["line 2: The cell 'b' is below no column."],
            id="cell-below-no-name",
        ),
        pytest.param(
            b'checkpoint,seed\na,1\n"b,2\nc,3\n',
            "m.csv",
            ["line 3: It is no CSV: unexpected end of data."],
            id="quote-without-end",
        ),
        pytest.param(
            b'checkpoint,model_args\na,"{""a"": 1, ""a"": 2}"\nb,{x}\n',
            "m.csv",
            [
                'line 2: model_args is \'{"a": 1, "a": 2}\', which is no JSON: a name',
                "line 3: model_args is '{x}', which is no JSON: Expecting property name",
            ],
            id="objects",
        ),
        pytest.param(
            b'checkpoint\n"a"b\n', "m.csv", ["line 2: It is no CSV: ',' expected"], id="quote"
        ),
        pytest.param(
            b'{"checkpoint": "a"\n["b"]\n{"checkpoint": "c", "modle": 1}\n'
            b'{"checkpoint": "d", "checkpoint": "e"}\n{"checkpoint": "f", "CHECKPOINT": "g"}\n'
            b'{"checkpoint": "h", "seed": NaN}\n{"checkpoint": "\\ud800"}\n',
            "m.jsonl",
            [
                "line 1: '{\"checkpoint\": \"a\"' is no JSON: Expecting ',' delimiter",
                "line 2: ['b'] is no object.",
                "line 3: 'modle' is no option of a row.",
                'line 4: \'{"checkpoint": "d", "checkpoint": "e"}\' is no JSON: a name occurs'
                " twice.",
                "line 5: 'CHECKPOINT' is said twice.",
                'line 6: \'{"checkpoint": "h", "seed": NaN}\' is no JSON: NaN is no number.',
                "line 7: '{\"checkpoint\": \"\\\\ud800\"}' is no JSON: 'utf-8' codec",
            ],
            id="json",
        ),
    ],
)
def test_rows_that_cannot_be_understood(tmp_path, data, name, messages):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(BadItems) as caught:
        read(path)
    first, *lines = caught.value.happened.splitlines()
    assert first == f"{path} has {len(messages)} mistake{'s' * (len(messages) > 1)}:"
    assert [message in line for message, line in zip(messages, lines, strict=True)] == [
        True for _ in messages
    ], lines


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", "holds no items", id="empty"),
        pytest.param(b"checkpoint,model\n# a,b\n", "holds no items", id="header-only"),
        pytest.param(b"checkpoint\na\nM\xfcller\n", "line 3 has the byte 0xfc", id="latin-1"),
        pytest.param("checkpoint\na".encode("utf-16"), "has the byte 0xff", id="utf-16"),
        pytest.param(b"checkpoint\na\0b\n", "holds a NUL character", id="binary"),
    ],
)
def test_files_that_hold_no_rows(tmp_path, data, message):
    path = tmp_path / "m.csv"
    path.write_bytes(data)
    with pytest.raises(BadItems) as caught:
        read(path)
    assert message in caught.value.happened


@pytest.mark.parametrize(
    ("source", "happened", "remedy"),
    [
        pytest.param("modles.csv", "There is no items file modles.csv.", "models.csv", id="typing"),
        pytest.param("no/such.csv", "There is no items file", "Look into no.", id="no-folder"),
        pytest.param("runs", "runs is a folder.", "Write 'runs/*'", id="folder"),
        pytest.param("runs/*/ckpt", "Nothing is found by", "starts from", id="glob"),
    ],
)
def test_sources_that_lead_nowhere(tmp_path, monkeypatch, source, happened, remedy):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models.csv").touch()
    (tmp_path / "runs").mkdir()
    with pytest.raises(BadItems) as caught:
        read_source(source, OUT, Problems(source))
    assert caught.value.happened.startswith(happened)
    assert remedy in caught.value.remedy
