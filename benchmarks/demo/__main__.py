"""Train a UNet in TensorFlow 1.15, convert it, prove it, and draw both masks.

Run as `python -m benchmarks.demo` from the repository's root, which `make demo` does. Everything it
makes lies in .demo/.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.demo.picture import caption, draw_picture
from benchmarks.demo.scripts import (
    REPOSITORY,
    DemoFailed,
    Folder,
    ScriptRunner,
    choose_runner,
    run_locally,
    say,
)
from orchestration.errors import OrchestrationError

ORCHESTRATE = REPOSITORY / "orchestrate.py"


def convert(checkpoint: Path, result: Path, runtime: str) -> None:
    """Run the tool as a user would."""
    arguments = [str(checkpoint), "--model", "unet", "--out", str(result), "--force"]
    arguments += ["--runtime", runtime]
    say(f"\n$ python orchestrate.py {' '.join(arguments)}")
    code = subprocess.run([sys.executable, ORCHESTRATE, *arguments], check=False).returncode
    if code != 0:
        raise DemoFailed(f"orchestrate.py ended with exit code {code}; see README, Exit codes.")


def show(run_script: ScriptRunner, trained: Path, result: Path, target: Path) -> None:
    """Compare both networks on pictures that neither was trained on, and draw them."""
    pictures = target.parent / "pictures"
    shutil.rmtree(pictures, ignore_errors=True)
    pictures.mkdir()
    run_script("load", "predict.py", [Folder(trained), Folder(result), Folder(pictures, True)])
    comparison = json.loads((pictures / "comparison.json").read_text(encoding="utf-8"))
    draw_picture(pictures, comparison, target)
    say("\n" + "\n".join(caption(comparison)))


def main() -> int:
    """All steps; 1 when one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=REPOSITORY / ".demo", help="default: .demo")
    parser.add_argument("--runtime", choices=("auto", "local"), default="auto")
    arguments = parser.parse_args()
    out: Path = arguments.out.resolve()
    trained, result, picture = out / "trained", out / "result", out / "picture.png"
    shutil.rmtree(trained, ignore_errors=True)
    trained.mkdir(parents=True)
    try:
        is_local = arguments.runtime == "local"
        runtime, run_script = ("local", run_locally) if is_local else choose_runner()
        say("Training a small UNet on drawn shapes in TensorFlow 1.15 (about a minute)")
        run_script("extract", "train.py", [Folder(trained, writable=True)])
        convert(trained / "checkpoint", result, runtime)
        show(run_script, trained, result, picture)
    except DemoFailed as error:
        say(str(error))
        return 1
    except OrchestrationError as error:
        say(f"{error.happened}\n{error.expected}\n{error.remedy}")
        return error.exit_code
    say(f"\npicture  {picture}\nresult   {result}\nreport   {result / 'report.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
