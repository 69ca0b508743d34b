from __future__ import annotations

import csv
import io

import pytest

from stage_load.errors import MappingInvalid
from stage_load.layouts.rule import AS_IS, Constant, Kept, Rule, Skip
from stage_load.mapping import Row
from stage_load.mapping_csv import check_mapping, mapping_text, read_mapping

HEADER = "tf_name,torch_name,rule,tf_shape,torch_shape,how,confidence\r\n"


def test_text_to_the_byte():
    rows = [
        Row(
            "a/kernel", "a.weight", Rule("HWIO", "OIHW"), (3, 2, 1, 8), (8, 1, 3, 2), "graph", 0.75
        ),
        Row(None, "bn.num_batches_tracked", Constant(0.0), None, (), "constant"),
        Row("b", None, Skip(), (4,), None, "map"),
    ]
    assert mapping_text(rows) == (
        HEADER + "a/kernel,a.weight,HWIO->OIHW,3x2x1x8,8x1x3x2,graph,0.75\r\n"
        ",bn.num_batches_tracked,constant 0.0,,scalar,constant,\r\n"
        "b,,skip,4,,map,\r\n"
    )


AWKWARD = [
    pytest.param("a,b", id="comma"),
    pytest.param('say "a"', id="quotes"),
    pytest.param("a\nb", id="line-break"),
    pytest.param("a\r\nb", id="windows-line-break"),
    pytest.param("größe/Ω", id="non-ascii"),
    pytest.param("=cmd|'/c calc'!A1", id="formula"),
    pytest.param("+1", id="plus"),
    pytest.param("-1", id="minus"),
    pytest.param("@SUM(A1)", id="at"),
    pytest.param("\ttab", id="tab"),
    pytest.param("'quoted", id="apostrophe"),
    pytest.param("'=1", id="apostrophe-formula"),
    pytest.param("''", id="apostrophes"),
    pytest.param("  blanks  ", id="blanks"),
]


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_names_come_back(name, tmp_path):
    path = tmp_path / "mapping.csv"
    text = mapping_text([Row(name, name + "x", AS_IS, (2,), (2,), "graph")])
    path.write_bytes(text.encode("utf-8"))
    (line,) = read_mapping(path)
    assert (line.given.tf_name, line.given.torch_name) == (name, name + "x")
    assert (line.given.rule, line.tf_shape, line.torch_shape) == (AS_IS, (2,), (2,))


@pytest.mark.parametrize("name", AWKWARD)
def test_no_cell_is_a_formula(name):
    text = mapping_text([Row(name, name, AS_IS, (2,), (2,), "graph")])
    for cells in csv.reader(io.StringIO(text, newline="")):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) for cell in cells)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("tf_name,torch_name\na,b\n", ("a", "b", None, None), id="two-columns"),
        pytest.param(
            "torch_name,note,tf_name\nb,hello,a\n", ("a", "b", None, None), id="other-order"
        ),
        pytest.param(
            "\ufefftf_name,torch_name\na,b\n", ("a", "b", None, None), id="byte-order-mark"
        ),
        pytest.param("tf_name,torch_name\n,\n\na,b\n", ("a", "b", None, None), id="blank-line"),
        pytest.param(
            "tf_name,torch_name,rule\na,b,HWIO->OIHW\n",
            ("a", "b", Rule("HWIO", "OIHW"), None),
            id="rule",
        ),
        pytest.param(
            "tf_name,torch_name,rule\na,b,(HWC)O->O(CHW) H=2 W=3 C=4\n",
            ("a", "b", Rule("(HWC)O", "O(CHW)", (("H", 2), ("W", 3), ("C", 4))), None),
            id="rule-with-sizes",
        ),
        pytest.param(
            "tf_name,torch_name,rule\n,b,constant 1.5\n",
            (None, "b", Constant(1.5), None),
            id="constant",
        ),
        pytest.param(
            'tf_name,torch_name,rule\n,b,"constant [1, 2.5]"\n',
            (None, "b", Constant((1.0, 2.5)), None),
            id="constants",
        ),
        pytest.param("tf_name,torch_name,rule\n,b,kept\n", (None, "b", Kept(), None), id="kept"),
        pytest.param("tf_name,torch_name,rule\na,,skip\n", ("a", None, Skip(), None), id="skip"),
        pytest.param("tf_name,torch_name\na,\n", ("a", None, None, None), id="no-torch-name"),
        pytest.param(
            "tf_name,torch_name,tf_shape\na,b,3x4\n", ("a", "b", None, (3, 4)), id="shape"
        ),
        pytest.param(
            "tf_name,torch_name,tf_shape\na,b,scalar\n", ("a", "b", None, ()), id="scalar"
        ),
    ],
)
def test_read(text, expected, tmp_path):
    path = tmp_path / "mapping.csv"
    path.write_text(text, encoding="utf-8")
    (line,) = read_mapping(path)
    assert (line.given.tf_name, line.given.torch_name, line.given.rule, line.tf_shape) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "no column 'tf_name'", id="empty"),
        pytest.param(b"tf_name,other\na,b\n", "no column 'torch_name'", id="column-missing"),
        pytest.param(b"tf_name,torch_name\n\xff,b\n", "neither UTF-8", id="not-utf-8"),
        pytest.param(b'tf_name,torch_name\n"a,b\n', "not CSV", id="open-quote"),
        pytest.param(b"tf_name,torch_name\na,b,c,d\n", "line 2: more cells", id="more-cells"),
        pytest.param(
            b"tf_name,torch_name,rule\na,b,transpose\n",
            "line 2: 'transpose' is no rule",
            id="no-rule",
        ),
        pytest.param(
            b"tf_name,torch_name,rule\na,b,HWIO->OIH\n", "do not have the same axes", id="axes-lost"
        ),
        pytest.param(
            b"tf_name,torch_name,rule\na,b,HHIO->OIHH\n", "names an axis twice", id="axis-twice"
        ),
        pytest.param(
            b"tf_name,torch_name,rule\na,b,hwio->oihw\n", "capital letters", id="small-letters"
        ),
        pytest.param(
            b"tf_name,torch_name,rule\na,b,(HW)O->O(HW) H=0\n", "no size of an axis", id="size-zero"
        ),
        pytest.param(
            b"tf_name,torch_name,rule\na,b,skip\n", "leaves a variable out", id="skip-with-target"
        ),
        pytest.param(
            b"tf_name,torch_name,rule\na,,IO->OI\n", "needs a torch_name", id="rule-without-target"
        ),
        pytest.param(
            b"tf_name,torch_name,rule\na,b,kept\n", "takes no variable", id="kept-with-variable"
        ),
        pytest.param(
            b"tf_name,torch_name,rule\n,b,IO->OI\n", "without a tf_name", id="rule-without-variable"
        ),
        pytest.param(
            b"tf_name,torch_name,rule\n,b,constant x\n", "neither a number", id="constant-no-number"
        ),
        pytest.param(b"tf_name,torch_name,tf_shape\na,b,3*4\n", "no shape such as", id="no-shape"),
        pytest.param(
            b"tf_name,torch_name\na,b\nc,b\n", "line 3: 'b' is filled by line 2", id="filled-twice"
        ),
    ],
)
def test_refused(content, message, tmp_path):
    path = tmp_path / "mapping.csv"
    path.write_bytes(content)
    with pytest.raises(MappingInvalid, match=message):
        read_mapping(path)


@pytest.mark.parametrize(
    ("delimiter", "encoding"),
    [
        pytest.param(";", "utf-8", id="semicolons"),
        pytest.param(";", "utf-8-sig", id="semicolons-with-a-mark"),
        pytest.param("\t", "utf-16", id="unicode-text-of-a-spreadsheet"),
    ],
)
def test_what_other_spreadsheets_write(delimiter, encoding, tmp_path):
    path = tmp_path / "mapping.csv"
    cells = (("how", "torch_name", "rule", "tf_name"), ("", "n,b", "constant [1.5, 2.0]", ""))
    path.write_bytes("".join(f"{delimiter.join(row)}\r\n" for row in cells).encode(encoding))
    (line,) = read_mapping(path)
    assert (line.given.torch_name, line.given.rule) == ("n,b", Constant((1.5, 2.0)))


def test_missing_file(tmp_path):
    with pytest.raises(MappingInvalid, match="No such file"):
        read_mapping(tmp_path / "mapping.csv")


def test_every_wrong_line_is_listed(tmp_path):
    path = tmp_path / "mapping.csv"
    path.write_text(
        "tf_name,torch_name,tf_shape\r\n"
        "enc/kernel,enc.weight,3x2\r\n"
        "enc/bias,enc.bais,2\r\n"
        "enc/kernal,enc.bias,2\r\n"
    )
    variables = {"enc/kernel": (2, 3), "enc/bias": (2,)}
    tensors = {"enc.weight": (3, 2), "enc.bias": (2,)}
    with pytest.raises(MappingInvalid) as error:
        check_mapping(path, read_mapping(path), variables, tensors)
    assert error.value.happened.splitlines()[1:] == [
        "  line 2: 'enc/kernel' has the shape [2, 3], the line says [3, 2]",
        "  line 3: no tensor of the model 'enc.bais'; nearest: 'enc.bias', 'enc.weight'",
        "  line 4: no variable 'enc/kernal'; nearest: 'enc/bias', 'enc/kernel'",
    ]
