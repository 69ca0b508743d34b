"""The checkpoints that the benchmarks convert."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

LARGE_BYTES = 10_000_000_000
MODELS_FILE = Path(__file__).with_name("models.py")


@dataclass(frozen=True)
class Item:
    """One checkpoint, made by `python -m benchmarks.fixtures NAME FOLDER`.

    Attributes:
        name: of the fixture, the table's row, and (with underscores) the factory in models.py.
        description: for the table's reader.
        model: what `--model` gets; None = the factory in models.py.
        has_graph: there is a .meta file, so the tutorial's way and the proof are possible.
        disk_bytes: what its files, outputs and pickles take at most at one time.
        is_quick: part of the short form.
    """

    name: str
    description: str
    disk_bytes: int
    model: str | None = None
    has_graph: bool = True
    is_quick: bool = False

    @property
    def factory(self) -> str:
        """The torch module written by hand: "…/models.py:demo_unet"."""
        return f"{MODELS_FILE}:{self.name.replace('-', '_')}"

    @property
    def is_large(self) -> bool:
        """Its checkpoint is removed after the measurement."""
        return self.disk_bytes > LARGE_BYTES

    @property
    def model_argument(self) -> str:
        """What this item's conversion passes as `--model`."""
        return self.model or self.factory


ITEMS = (
    Item("demo-unet", "the demo UNet, Adam slots", 50_000_000, model="unet", is_quick=True),
    Item("unet-34mb", "UNet of 34 MB, Adam slots", 500_000_000, model="unet", is_quick=True),
    Item("vgg16", "contrib.slim's vgg_16", 4_000_000_000),
    Item("dense-4gb", "4 GB in 40 tensors", 26_000_000_000),
    Item("tiny-1000", "1,000 tiny tensors", 50_000_000),
    Item("tiny-2000", "2,000 tiny tensors", 50_000_000),
    Item("tiny-50000", "50,000 tiny tensors, no .meta", 100_000_000, has_graph=False),
)


def select_items(names: list[str], quick: bool) -> tuple[Item, ...]:
    """The items called `names`; with no names, all of them or the quick ones.

    Raises:
        ValueError: a name that there is not.
    """
    known = {item.name: item for item in ITEMS}
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise ValueError(
            f"No benchmark item is called {', '.join(unknown)}. Known items: {', '.join(known)}."
        )
    if names:
        return tuple(known[name] for name in names)
    return tuple(item for item in ITEMS if item.is_quick or not quick)
