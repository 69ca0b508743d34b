"""Rows as settings of the single command, and every wrong row told at once."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import click
import pytest

import orchestrate
from orchestration import settings as s
from orchestration.batch.columns import COLUMNS, column_of
from orchestration.batch.command import batch
from orchestration.batch.items import read_items
from orchestration.batch.settings import BatchFolder
from orchestration.batch.stored_items import store_items, stored_list
from orchestration.command_options import load_options, runtime_settings
from orchestration.errors import BadItems
from orchestration.reading_options import extract_options
from tests.orchestration.batch.conftest import HELP

# Said once for all items: which machine computes, and what becomes of the results.
OF_THE_BATCH = {
    *("device", "out", "force", "quiet", "verbose", "runtime", "memory_limit", "legacy_python"),
    *("load_python", "wheelhouse", "torch", "image_extract", "image_load", "requirements"),
    "unsquash",
}
# Column -> what it may hold as a cell of CSV, as JSON, and as words of the command line.
CELLS = {
    "model": ("net.py:Net", "net.py:Net", ["--model", "net.py:Net"]),
    "model_arg": (
        "depth=3\nname=unet",
        {"depth": 3, "name": "unet"},
        ["--model-arg", "depth=3", "--model-arg", "name=unet"],
    ),
    "model_args": ("args.json", {"depth": 4, "name": "wide"}, ["--model-args", "args.json"]),
    "map": ("map.csv", "map.csv", ["--map", "map.csv"]),
    "rule": ("a -> b", ["a -> b"], ["--rule", "a -> b"]),
    "allow_missing": ("x.*\ny", ["x.*", "y"], ["--allow-missing", "x.*", "--allow-missing", "y"]),
    "allow_unused": ('["x, y"]', ["x, y"], ["--allow-unused", "x, y"]),
    "adapt": ("[0-9]+", "[0-9]+", ["--adapt", "[0-9]+"]),
    "freeze": ("enc.*", ["enc.*"], ["--freeze", "enc.*"]),
    "dtype": ("bfloat16", "bfloat16", ["--dtype", "bfloat16"]),
    "tolerance": ("1e-3", 0.001, ["--tolerance", "0.001"]),
    "prove": ("no", False, ["--no-prove"]),
    "reader": ("pure", "pure", ["--reader", "pure"]),
    "step": ("7", 7, ["--step", "7"]),
    "checkpoint_format": ("V1", "V1", ["--checkpoint-format", "V1"]),
    "data_folder": ("elsewhere", "elsewhere", ["--data-folder", "elsewhere"]),
    "tags": ("serve,gpu", ["serve", "gpu"], ["--tags", "serve,gpu"]),
    "signature": ("predict", "predict", ["--signature", "predict"]),
    "prefer_ema": ("YES", True, ["--prefer-ema"]),
    "keep_optimizer": ("1", True, ["--keep-optimizer"]),
    "inputs": (r"a\,b:0,c:0", [r"a\,b:0", "c:0"], ["--inputs", r"a\,b:0,c:0"]),
    "outputs": ("d:0", ["d:0"], ["--outputs", "d:0"]),
    "input_shape": ("a:0=1,64,3", {"a:0": [1, 64, 3]}, ["--input-shape", "a:0=1,64,3"]),
    "reference_mb": ("0", 0, ["--reference-mb", "0"]),
    "seed": ("12", 12, ["--seed", "12"]),
}


def single(lab, checkpoint: str, name: str, *words: str) -> s.ConvertSettings:
    """Settings that the single command makes of its words."""
    # As in the whole program: click keeps the help option that a command was first asked for.
    own = {"help_option_names": ["-h", "--help"]}
    given = orchestrate.convert.make_context("convert", [checkpoint, *words], **own).params
    return s.ConvertSettings(
        checkpoint=lab / checkpoint,
        out=lab / "converted" / name,
        force=given["force"],
        extract=extract_options(given, reference=given["prove"]),
        load=load_options(given),
        runtime=runtime_settings(given),
    )


def in_csv(columns: dict[str, str]) -> str:
    quoted = ['"{}"'.format(cell.replace('"', '""')) for cell in columns.values()]
    return f"{','.join(columns)}\n{','.join(quoted)}\n"


def test_every_option_of_the_single_command_is_a_column_or_said_once():
    options = {column_of(option) for option in orchestrate.convert.params[1:]}
    assert options == COLUMNS.keys() | OF_THE_BATCH
    assert COLUMNS.keys() == CELLS.keys()
    # A callback of an option would be left out by the reading of a cell.
    assert not any(option.callback for option in COLUMNS.values())
    assert options <= {column_of(option) for option in batch.params[1:]}


@pytest.mark.parametrize("column", CELLS)
def test_a_cell_is_what_the_option_is(lab, read, column):
    in_a_cell, in_json, words = CELLS[column]
    model = [] if column == "model" else ["--model", "unet"]
    row = {"checkpoint": "runs/a/ckpt", "name": "n", column: in_a_cell}
    [from_csv] = read(in_csv(row), *model)
    line = json.dumps({**row, column: in_json})
    [from_json] = read(f"{line}\n", *model, name="models.jsonl")
    # As a default of the command line, for all rows.
    [from_default] = read("checkpoint,name\nruns/a/ckpt,n\n", *model, *words)
    expected = single(lab, "runs/a/ckpt", "n", *model, *words)
    if column == "model":
        expected = single(lab, "runs/a/ckpt", "n", "--model", f"{lab}/net.py:Net")
    assert from_csv.settings == from_json.settings == from_default.settings == expected
    assert expected != single(lab, "runs/a/ckpt", "n", "--model", "unet")
    assert from_csv.size_bytes == from_json.size_bytes == 305


def test_rows_overrule_the_command_line(lab, read):
    items = read(
        "checkpoint,model,prove,freeze,model_arg,name\n"
        "runs/a/ckpt,,,,,first\n"
        'runs/b/ckpt,net.py:Net,yes,"[""own""]",depth=5,second\n',
        *("--model", "unet", "--no-prove", "--freeze", "all", "--model-arg", "depth=2"),
        *("--model-arg", "wide=true", "--device", "cpu", "--runtime", "local"),
    )
    machine = ("--device", "cpu", "--runtime", "local")
    assert [item.settings for item in items] == [
        single(
            lab,
            "runs/a/ckpt",
            "first",
            *("--model", "unet", "--no-prove", "--freeze", "all", "--model-arg", "depth=2"),
            *("--model-arg", "wide=true", *machine),
        ),
        single(
            lab,
            "runs/b/ckpt",
            "second",
            *("--model", f"{lab}/net.py:Net", "--freeze", "own", "--model-arg", "depth=5"),
            *machine,
        ),
    ]
    assert [item.where for item in items] == ["models.csv line 2", "models.csv line 3"]


def test_paths_start_from_the_file_that_names_them(lab, read, monkeypatch):
    monkeypatch.setenv("HOME", str(lab / "elsewhere"))
    (lab / "elsewhere" / "own.csv").touch()
    text = "checkpoint,model,map,data_folder\n../runs/a/ckpt,../net.py:Net,own.csv,~\n"
    (lab / "lists").mkdir()
    (lab / "lists" / "own.csv").touch()
    [item] = read(text, name="lists/models.csv")
    assert item.settings.checkpoint == lab / "runs/a/ckpt"
    assert item.settings.load.model == f"{lab}/net.py:Net"
    assert item.settings.load.map == lab / "lists" / "own.csv"
    assert item.settings.extract.data_folder == lab / "elsewhere"


def test_what_is_above_a_link_is_above_what_it_leads_to(lab, read):
    (lab / "link").symlink_to("runs/a", target_is_directory=True)
    items = read("checkpoint,model\nlink/../b/ckpt,unet\nlink/ckpt,unet\n./runs/./c/ckpt/,unet\n")
    assert [item.settings.checkpoint for item in items] == [
        lab / "runs/b/ckpt",
        lab / "link/ckpt",
        lab / "runs/c/ckpt",
    ]


def test_a_glob_takes_its_options_from_the_command_line(lab, read):
    items = read("runs/*/ckpt", "--model", "net.py:Net", "--seed", "3")
    assert [item.settings.checkpoint for item in items] == [
        lab / "runs" / name / "ckpt" for name in "abc"
    ]
    assert [item.size_bytes for item in items] == [305, 25, 1005]
    assert {item.settings.load.model for item in items} == {f"{lab}/net.py:Net"}
    assert {item.settings.extract.seed for item in items} == {3}


def test_names_do_not_change_with_other_rows_or_with_the_way_of_writing(lab, read):
    first = read("checkpoint,model,seed\nruns/a/ckpt,unet,3\nruns/b/ckpt,unet,3\n")
    more = read(
        "seed;model;checkpoint\n4;unet;runs/a/ckpt\n3;unet;runs/b/ckpt\n3;unet;./runs//a/ckpt/\n"
    )
    line = {"seed": 3, "checkpoint": str(lab / "runs/a/ckpt"), "model": "unet"}
    [json_line] = read(f"{json.dumps(line)}\n", "--no-prove", name="m.jsonl")
    assert more[2].name == json_line.name == first[0].name
    assert more[1].name == first[1].name
    assert len({item.name for item in more}) == 3


@pytest.mark.parametrize(
    ("content", "options", "messages"),
    [
        pytest.param(
            "checkpoint,model,tolerance,map,name,seed\n"
            "runs/d/ckpt,unet,7,gone.csv,../x,-1\n"
            "runs/a/ckpt,gone.py:Net,,,a:b,\n"
            ",unet,,,,\n"
            "runs/a/ckpt,unet,,,good,\n"
            "runs/b/ckpt,,,,GOOD,\n",
            [],
            [
                "line 2: tolerance is '7'. '7' is no tolerance; write a number such as 1e-4, below"
                " 1. Mend it, or leave it empty",
                "line 2: map is 'gone.csv'. File",
                "line 2: seed is '-1'. -1 is not in the range",
                "line 2: There is no checkpoint at",
                "line 2: name is '../x', and it leads to another folder.",
                "line 3: model is 'gone.py:Net'. The file",
                "line 3: name is 'a:b', and some file systems",
                "line 4: No checkpoint is named.",
                "line 6: No model is named.",
                "line 6: name is 'GOOD', as in models.csv line 5.",
            ],
            id="every-reason-of-every-row",
        ),
        pytest.param(
            "checkpoint,modle,nmae,seed\nruns/a/ckpt,unet,x,\nruns/a/ckpt,unet,y,-1\n"
            "runs/gone,unet,,1\nruns/b/ckpt,,,2\n",
            [],
            [
                "line 1: The column 'modle' is no option of a row.",
                "line 1: The column 'nmae' is no option of a row.",
                "line 3: seed is '-1'.",
                "line 4: There is no checkpoint at",
                "line 5: No model is named.",
            ],
            id="rows-below-a-wrong-column",
        ),
        pytest.param(
            '{"checkpoint": "runs/a/ckpt", "modle": "unet", "seed": -1}\n'
            '{"checkpoint": "runs/gone", "model": "unet"}\n',
            [],
            [
                "line 1: 'modle' is no option of a row.",
                "line 1: seed is -1.",
                "line 2: There is no checkpoint at",
            ],
            id="a-wrong-name-beside-a-wrong-value",
        ),
        pytest.param(
            "checkpoint,seed\nruns/a/ckpt,1\nruns/b/ckpt,1\n./runs/a/ckpt,1\n"
            "runs/a/ckpt/model.ckpt-7.index,1\nruns/a/ckpt/model.ckpt-7,1\n",
            ["--model", "unet"],
            [
                "line 4: It asks for the same as models.csv line 2.",
                "line 6: It asks for the same as models.csv line 5.",
            ],
            id="the-same-twice",
        ),
        pytest.param(
            "checkpoint\nruns/a/ckpt/model.ckpt-8\n",
            ["--model", "unet"],
            ["Nearest names in"],
            id="nearest-names",
        ),
        pytest.param(
            "checkpoint,prove,step,dtype,reader,model_arg,input_shape\n"
            "runs/a/ckpt,maybe,1.5,int8,fast,3,x\n",
            ["--model", "unet"],
            [
                "prove is 'maybe'. True or false, yes or no, 1 or 0 was expected. Mend it",
                "step is '1.5'. '1.5' is not a valid integer",
                "dtype is 'int8'. 'int8' is not one of 'float16', 'bfloat16'",
                "reader is 'fast'. 'fast' is not one of",
                "model_arg is ['3']. '3' is no argument; write NAME=VALUE.",
                "input_shape is ['x']. 'x' is no shape",
            ],
            id="values",
        ),
        pytest.param(
            '{"checkpoint": ["runs/a/ckpt"], "model": "unet"}\n'
            '{"checkpoint": "runs/a/ckpt", "model": {"a": 1}}\n'
            '{"checkpoint": "runs/a/ckpt", "model": "unet", "seed": [1, 2]}\n'
            '{"checkpoint": "runs/a/ckpt", "model": "unet", "rule": [["a"]]}\n'
            '{"checkpoint": "runs/a/ckpt", "model": "unet", "model_args": {"a-b": 1}}\n'
            '{"checkpoint": "runs/a/ckpt", "model": "unet", "rule": ["a\\u0000"]}\n'
            '{"checkpoint": "runs/a/ck\\u0000pt", "model": "unet"}\n'
            '{"checkpoint": "runs/b/ckpt", "model": "unet", "model_arg": ["a=1", "a=2"]}\n'
            '{"checkpoint": "runs/b/ckpt", "model": "unet", "model_args": {"a": [1e999]}}\n'
            '{"checkpoint": "runs/b/ckpt", "model": "unet", "name": ["n"]}\n'
            '{"checkpoint": "runs/c/ckpt", "model": "unet", "name": 7}\n'
            f'{{"checkpoint": "runs/b/ckpt", "model": "u", "rule": {"[" * 400 + "]" * 400}}}\n',
            [],
            [
                "line 1: checkpoint is ['runs/a/ckpt']. A path",
                "line 2: model is {'a': 1}. It takes no object",
                "line 3: seed is [1, 2]. One value was expected, not several.",
                "line 4: rule is [['a']]. Text, a number, true or false was expected.",
                "line 5: model_args is {'a-b': 1}. 'a-b' is no name of an argument.",
                "line 6: rule is ['a\\x00']. Text without NUL was expected.",
                "line 7: checkpoint is 'runs/a/ck\\x00pt'. Text without NUL was expected.",
                "line 8: --model-arg a was given twice.",
                "line 9: model_args is {'a': [inf]}. It holds a number beyond all that JSON has.",
                "line 10: name is ['n'], and it is no text.",
                "line 12: rule is [[[[[[[...]]]]]]]. It is nested too deeply.",
            ],
            id="json",
        ),
    ],
)
def test_all_wrong_rows_are_told_at_once(lab, read, content, options, messages):
    name = "models.jsonl" if content.startswith("{") else "models.csv"
    with pytest.raises(BadItems) as caught:
        read(content, *options, name=name)
    first, *lines = caught.value.happened.splitlines()
    assert first.startswith(f"{name} has {len(messages)} mistake")
    assert [message in line for message, line in zip(messages, lines, strict=True)] == [
        True for _ in messages
    ], lines


def test_a_backslash_before_x00_is_no_nul(lab, read):
    line = json.dumps({"checkpoint": "runs/a/ckpt", "rule": [r"a\x00 -> b"]})
    [item] = read(f"{line}\n", "--model", "unet", name="models.jsonl")
    assert item.settings.load.transfer.rules == (r"a\x00 -> b",)


def test_the_first_problems_are_told_and_the_rest_counted(lab, read):
    rows = "".join(f"runs/{number}/ckpt,unet\n" for number in range(120))
    with pytest.raises(BadItems) as caught:
        read(f"checkpoint,model\n{rows}")
    lines = caught.value.happened.splitlines()
    assert lines[0] == "models.csv has 120 mistakes:"
    assert len(lines) == 52
    assert "line 51: There is no checkpoint at" in lines[50]
    assert lines[51].strip() == "… and 70 more."


def test_ten_thousand_rows(lab, read):
    folder = lab / "many"
    folder.mkdir()
    for number in range(10_000):
        (folder / f"model.ckpt-{number}.index").touch()
    rows = "".join(
        f'many/model.ckpt-{number},unet,{number},"a{number % 7}\nb.*",x={number}\n'
        for number in range(10_000)
    )
    items = read(f"checkpoint,model,seed,freeze,model_arg\n{rows}")
    assert [item.settings.extract.seed for item in items] == list(range(10_000))
    assert items[9_999].settings.load.model_args == {"x": 9_999}


def test_a_row_of_an_option_that_the_program_does_not_take_is_a_usage_error(read):
    with pytest.raises(click.NoSuchOption):
        read("checkpoint\nruns/a/ckpt\n", "--modle", "unet")


@pytest.mark.parametrize(
    ("row", "options", "refusal"),
    [
        pytest.param("{lab}/runs/a/ckpt,unet", (), None, id="the-file-of-items-alone"),
        pytest.param("here,unet", (), "checkpoint is 'here'", id="checkpoint"),
        pytest.param("{lab}/runs/a/ckpt,net.py:Net", (), "model is 'net.py:Net'", id="model"),
        pytest.param("{lab}/runs/a/ckpt,", ("--model", "net.py:Net"), "--model", id="for-all"),
        pytest.param("{lab}/runs/a/ckpt,unet", ("--map", "map.csv"), "--map", id="path-for-all"),
    ],
)
def test_in_a_folder_whose_name_is_no_utf_8(
    lab: Path,
    monkeypatch: pytest.MonkeyPatch,
    row: str,
    options: tuple[str, ...],
    refusal: str | None,
) -> None:
    folder = lab / "M\udcfcller"
    shutil.copytree(lab / "runs" / "a" / "ckpt", folder / "here")
    for name in ("net.py", "map.csv"):
        shutil.copy(lab / name, folder)
    source = folder / "models.csv"
    source.write_text(f"checkpoint,model\n{row.format(lab=lab)}\n")
    monkeypatch.chdir(folder)
    words = [os.fspath(source), "--out", os.fspath(lab / "converted"), *options]
    given = batch.make_context("batch", words, **HELP).params
    if refusal is None:
        items = read_items(os.fspath(source), given, lab / "converted")
        stored = store_items(items, BatchFolder(lab / "converted"))
        assert [one.where for one in stored_list(stored)] == [items[0].where]
        return
    with pytest.raises((BadItems, click.BadParameter)) as caught:
        read_items(os.fspath(source), given, lab / "converted")
    error = caught.value
    said = error.happened if isinstance(error, BadItems) else error.format_message()
    assert refusal in said
    assert "UTF-8 was expected" in said
