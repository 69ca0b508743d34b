"""An export whose report has all that could break a page; runs in the load environment.

    python hostile_export.py FOLDER

Writes FOLDER/export and FOLDER/net.py:Net: names with HTML in them and names without end, a layer
that differs, an output that is a mask, more variables than the page shows.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from tests.load.export_maker import ExportMaker

HTML = "</td><script>window.owned = 1</script><img src=x onerror='window.owned = 2'>&amp;\"'"
LONG = "scope_without_a_blank/" * 30
UNREAD = 2_100
RAW = 40
SOURCE = f"""
import torch
from torch import nn
from torch.nn import functional


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.{"a_module_with_a_very_long_name_" * 6} = nn.Conv2d(3, 5, 1)
        for number in range({RAW}):
            setattr(self, f"raw{{number}}", nn.Parameter(torch.zeros(number + 1)))

    def forward(self, x):
        return next(self.children())(x)
"""


def export(folder: Path) -> Path:
    """A 1x1 convolution over 40 x 50 pixels whose recorded output is off by a tenth."""
    random = np.random.default_rng(5)
    kernel = random.normal(size=(1, 1, 3, 5)).astype(np.float32)
    bias = random.normal(size=5).astype(np.float32)
    x = random.normal(size=(2, 40, 50, 3)).astype(np.float32)
    y = x @ kernel[0, 0] + bias
    y[:, 20:] += np.float32(0.1)
    maker = ExportMaker()
    attributes = {"strides": [1, 1], "padding": "VALID", "dilations": [1, 1], "data_format": "NHWC"}
    names = {"kernel": kernel, "bias": bias}
    maker.layer("conv2d", f"{LONG}{HTML}", names, output=y, **attributes)
    for number in range(RAW):
        maker.variable(f"raw{number}", np.zeros(number + 1, np.float32))
    for number in range(UNREAD):
        maker.variable(f"{HTML if number % 2 else LONG}{number}", np.zeros(1, np.float32))
    maker.input("x:0", x)
    maker.output(f"{LONG}:0", y)
    return maker.write(folder / "export")


def main() -> None:
    """Write the export and the model."""
    folder = Path(sys.argv[1])
    export(folder)
    (folder / "net.py").write_text(SOURCE, encoding="utf-8")


if __name__ == "__main__":
    main()
