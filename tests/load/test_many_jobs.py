"""One process does many jobs: none of them can tell whether it is the first."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stage_load import worker
from stage_load.protocol import EventStream
from tests.load.networks import CLASSIFIER_SOURCE, classifier_export, write_model

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "contract" / "golden"
ROUNDS = 9
# The most that the resident memory may grow by.
GROWTH = 1.05

# What a model's file does to its process, and what the file of the next job must find true.
MISCHIEF = {
    "module-beside": ("import layers\nassert layers.WHOSE == 'first'", "layers.WHOSE == 'second'"),
    "module-elsewhere": (
        "sys.path.insert(0, str(pathlib.Path(__file__).parent / 'lib'))\n"
        "import afar\nassert afar.WHOSE == 'first'",
        "'afar' not in sys.modules and not any('lib' == pathlib.Path(p).name for p in sys.path "
        "if 'first' in p)",
    ),
    "module-made-up": (
        "sys.modules['made_up'] = types.ModuleType('made_up')",
        "'made_up' not in sys.modules",
    ),
    "module-replaced": (
        "sys.modules['json'] = types.ModuleType('json')",
        "hasattr(sys.modules['json'], 'loads')",
    ),
    "path-replaced": ("sys.path = ['/nowhere']", "'/nowhere' not in sys.path"),
    "folder": ("os.chdir('/')", "os.getcwd() != '/'"),
    "environment": ("os.environ['MISCHIEF'] = '1'", "'MISCHIEF' not in os.environ"),
    "environment-less": ("del os.environ['PATH']", "'PATH' in os.environ"),
    "umask": ("os.umask(0o777)", "os.umask(0o22) != 0o777"),
    "signal": (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
        "signal.getsignal(signal.SIGTERM) == signal.SIG_DFL",
    ),
    "alarm": ("signal.alarm(3600)", "signal.alarm(0) == 0"),
    "warnings": (
        "warnings.simplefilter('error', BytesWarning)",
        "not any(kind[2] is BytesWarning for kind in warnings.filters if kind[0] == 'error')",
    ),
    "logging": ("logging.disable(logging.CRITICAL)", "logging.root.manager.disable == 0"),
    "recursion": ("sys.setrecursionlimit(345)", "sys.getrecursionlimit() != 345"),
    "streams": ("sys.stdout = None", "sys.stdout is not None"),
    "collector": ("gc.disable()", "gc.isenabled()"),
    "dtype": (
        "torch.set_default_dtype(torch.float64)",
        "torch.get_default_dtype() == torch.float32",
    ),
    "device": ("torch.set_default_device('meta')", "torch.zeros(1).device.type == 'cpu'"),
    "threads": ("torch.set_num_threads(3)", "torch.get_num_threads() != 3"),
    "gradients": ("torch.set_grad_enabled(False)", "torch.is_grad_enabled()"),
    "deterministic": (
        "torch.use_deterministic_algorithms(True)",
        "not torch.are_deterministic_algorithms_enabled()",
    ),
    "denormals": (
        "torch.set_flush_denormal(True)",
        "float(torch.tensor([1e-310], dtype=torch.float64) * 1) != 0",
    ),
    "precision": (
        "torch.set_float32_matmul_precision('medium')",
        "torch.get_float32_matmul_precision() == 'highest'",
    ),
    "hooks": (
        "nn.modules.module.register_module_forward_hook(lambda module, given, out: out * 2)",
        "not nn.modules.module._global_forward_hooks",
    ),
    "random": (
        "random.seed(5), numpy.random.seed(5), torch.manual_seed(5)",
        "(random.random(), numpy.random.rand(), float(torch.rand(1))) != FIVE",
    ),
    "class-replaced": ("nn.Linear = nn.Identity", "nn.Linear is not nn.Identity"),
    "method-replaced": (
        "nn.Linear.forward = lambda self, x: x",
        "nn.Linear.forward.__module__ == 'torch.nn.modules.linear'",
    ),
    "builtin-replaced": ("import builtins\nbuiltins.print = None", "print is not None"),
    "errors-of-numpy": ("numpy.seterr(all='raise')", "numpy.geterr()['divide'] != 'raise'"),
}
IMPORTS = (
    "import gc, logging, os, pathlib, random, signal, sys, types, warnings\n"
    "import numpy, torch\nfrom torch import nn\n"
)
FIVE = """
def numbers_after_five():
    random.seed(5), numpy.random.seed(5), torch.manual_seed(5)
    return random.random(), numpy.random.rand(), float(torch.rand(1))
states = random.getstate(), numpy.random.get_state(), torch.get_rng_state()
FIVE = numbers_after_five()
random.setstate(states[0]), numpy.random.set_state(states[1]), torch.set_rng_state(states[2])
"""


def check_line(name, model):
    options = {"model": model, "device": "cpu", "prove": False}
    return json.dumps({"job": name, "command": "check", "options": options})


def own_folder(folder, source):
    """Write a model with modules of the usual names beside it."""
    write_model(folder, source, "model.py")
    for place in (folder, folder / "lib"):
        place.mkdir(exist_ok=True)
    (folder / "layers.py").write_text(f"WHOSE = {folder.name!r}\n")
    (folder / "lib" / "afar.py").write_text(f"WHOSE = {folder.name!r}\n")
    return f"{folder / 'model.py'}:Net"


@pytest.mark.parametrize("fails", [False, True], ids=["done", "failed"])
@pytest.mark.parametrize(
    ("mischief", "clean"), [pytest.param(*case, id=name) for name, case in MISCHIEF.items()]
)
def test_what_a_model_does_to_its_process_does_not_reach_the_next(mischief, clean, fails, tmp_path):
    body = f"{IMPORTS}{mischief}\n"
    if "layers" not in mischief:
        # Otherwise the test could not fail.
        body += f"{'' if 'FIVE' in clean else f'assert not ({clean})'}\n"
    ending = "raise OSError('in the middle')\n" if fails else "Net = torch.nn.Identity\n"
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    first = own_folder(tmp_path / "first", body + ending)
    probe = "import layers\n" if "layers" in clean else ""
    second = own_folder(
        tmp_path / "second", f"{IMPORTS}{FIVE}{probe}assert {clean}\nNet = torch.nn.Identity\n"
    )
    stream = io.StringIO()
    worker.serve([check_line("1", first), check_line("2", second)], EventStream(stream))
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [event["event"] for event in events] == [
        "started",
        "failed" if fails else "done",
        "started",
        "done",
    ], events
    if fails:
        assert "OSError: in the middle" in events[1]["error"]["happened"]


def test_a_module_of_the_environment_that_one_job_imports_hides_no_file_of_another(tmp_path):
    """Alone, the second would find its own file: its folder comes first."""
    sys.modules.pop("colorsys", None)
    theirs = write_model(tmp_path, "import colorsys\nNet = colorsys and dict\n", "theirs.py")
    own = tmp_path / "own"
    own.mkdir()
    (own / "colorsys.py").write_text("WHOSE = 'own'\n")
    source = "import colorsys\nassert colorsys.WHOSE == 'own'\nNet = dict\n"
    models = [f"{theirs}:Net", f"{write_model(own, source, 'net.py')}:Net", f"{theirs}:Net"]
    stream = io.StringIO()
    worker.serve([check_line(str(i), model) for i, model in enumerate(models)], EventStream(stream))
    events = [json.loads(line)["event"] for line in stream.getvalue().splitlines()]
    assert events == ["started", "done"] * 3, stream.getvalue()
    assert hasattr(sys.modules["colorsys"], "rgb_to_hsv")


def kinds_of_jobs(folder):
    """Exports and options of six kinds of jobs, of which two fail."""
    export = classifier_export()[0].write(folder / "export")
    plain = own_folder_of(folder, "plain", CLASSIFIER_SOURCE)
    # The same name as the one before, another network, and a tensor that no variable fills.
    wider = CLASSIFIER_SOURCE.replace(
        "self.dense =", "self.extra = nn.Linear(3, 2)\n        self.dense ="
    )
    more = own_folder_of(folder, "more", "import random\n" + wider)
    package = folder / "packaged"
    (package / "zoo").mkdir(parents=True)
    (package / "zoo" / "__init__.py").write_text("")
    (package / "zoo" / "net.py").write_text(CLASSIFIER_SOURCE)
    rough = (
        "import os, random\nimport numpy\nimport torch\nos.chdir('/')\n"
        "torch.set_default_dtype(torch.float64)\ntorch.set_num_threads(1)\n"
        "torch.nn.Conv2d.forward = None\nnumpy.random.seed(3)\nraise KeyError('rough')\n"
    )
    broken = own_folder_of(folder, "broken", rough)
    return {
        "proven": (export, {"model": f"{plain}:Classifier"}),
        "initialised": (export, {"model": f"{more}:Classifier", "allow_missing": ["extra.*"]}),
        "packaged": (export, {"model": "zoo.net:Classifier", "model_folder": str(package)}),
        "unproven": (export, {"model": f"{plain}:Classifier", "prove": False}),
        "refused": (GOLDEN / "segmenter", {"model": f"{plain}:Classifier"}),
        "broken": (export, {"model": f"{broken}:Classifier"}),
    }


def own_folder_of(folder, name, source):
    (folder / name).mkdir(parents=True)
    return write_model(folder / name, source, "net.py")


class Process:
    """A worker that is given one job after the other.

    Args:
        cores: the processors that it may use.
    """

    def __init__(self, cores, **environment):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "stage_load"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": "0", **environment},
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
        assert self._event()["event"] == "ready"

    def _event(self):
        return json.loads(self.process.stdout.readline())

    def do(self, export, out, options):
        """Do a job; its last event, and the bytes of its files."""
        out.mkdir()
        job = {"job": out.name, "command": "load", "export": str(export), "out": str(out)}
        line = json.dumps({**job, "options": {"device": "cpu", **options}})
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        while (event := self._event())["event"] not in ("done", "failed"):
            pass
        files = {path.relative_to(out): path.read_bytes() for path in out.rglob("*.*")}
        return event, {path: data for path, data in files.items() if path.suffix}

    def open_files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def close(self):
        self.process.stdin.close()
        assert self.process.wait() == 0
        self.process.stdout.close()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="it is measured by /proc")
def test_the_order_of_many_jobs_changes_no_byte_and_holds_no_memory(tmp_path):
    kinds = kinds_of_jobs(tmp_path)
    cores = os.sched_getaffinity(0)
    expected, resident, open_files = {}, [], set()
    process = Process(cores)
    for round_number in range(ROUNDS):
        # Each kind comes at each place.
        names = [*kinds][round_number % len(kinds) :] + [*kinds][: round_number % len(kinds)]
        for name in names:
            export, options = kinds[name]
            event, files = process.do(export, tmp_path / f"{name}-{round_number}", options)
            assert event["event"] == ("failed" if name in ("refused", "broken") else "done"), event
            told = {key: event[key] for key in ("result", "error") if key in event}
            assert expected.setdefault(name, (files, told)) == (files, told), name
            resident.append(event["resident_memory_bytes"])
        open_files.add(process.open_files())
    process.close()
    assert expected["initialised"][0].keys() == expected["proven"][0].keys()
    assert expected["proven"][1]["result"]["verdict"] == "proven"
    # The first rounds import what draws.
    assert max(resident[-6:]) < GROWTH * max(resident[12:18])
    assert len(open_files) == 1

    alone = Process({min(cores)}, OMP_NUM_THREADS="1")
    for name in reversed(kinds):
        export, options = kinds[name]
        _, files = alone.do(export, tmp_path / f"{name}-alone", options)
        assert files == expected[name][0], name
    alone.close()


def test_a_model_that_asks_for_input_does_not_get_the_next_job(tmp_path):
    asking = write_model(tmp_path, "input('Which network? ')\n")
    lines = "\n".join(check_line(name, f"{asking}:Net") for name in ("1", "2")) + "\n"
    process = subprocess.run(
        [sys.executable, "-m", "stage_load"],
        input=lines,
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    failed = [json.loads(line) for line in process.stdout.splitlines() if '"failed"' in line]
    assert [event["job"] for event in failed] == ["1", "2"]
    assert "EOFError" in failed[0]["error"]["happened"]
