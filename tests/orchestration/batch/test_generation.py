"""What the workers of a lane may see."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestration.batch.generation import MOST_ITEMS, Generation
from orchestration.batch.items import Item
from orchestration.batch.lane_folder import LaneFolder
from orchestration.batch.planned import PlannedItem
from orchestration.run_paths import find_checkpoint
from orchestration.runtimes.containers import container_path, host_text
from orchestration.settings import ConvertSettings, ExtractOptions, LoadOptions, RuntimeOptions


class SeesMounts:
    """Of a process in a container, what a generation asks of it."""

    def __init__(self, spec) -> None:
        self._mounts = spec.mounts

    def path(self, host_path: Path) -> str:
        return container_path(self._mounts, host_path)


class SeesAll:
    """A plain process."""

    def path(self, host_path: Path) -> str:
        return os.fspath(host_path)


def planned(folder: Path, name: str = "item", **options) -> PlannedItem:
    """An item with a checkpoint in a folder, which is made if it is not there."""
    if not folder.exists():
        folder.mkdir(parents=True)
        (folder / "m.index").write_text("index")
    load = LoadOptions(options.pop("model", "unet"), map=options.pop("map", None))
    extract = ExtractOptions(**{"reader": "tf", **options})
    out = folder.parent / "out" / name
    settings = ConvertSettings(folder, out, False, extract, load, RuntimeOptions())
    item = Item(name, "items.csv line 2", settings, 5)
    return PlannedItem(item, find_checkpoint(folder), out, extract, "key", {})


@pytest.fixture
def lane(tmp_path) -> LaneFolder:
    folder = LaneFolder(tmp_path / "work" / "lane-0")
    folder.make()
    return folder


def generation(lane: LaneFolder, *items: PlannedItem) -> Generation:
    return Generation.of(items, lane, RuntimeOptions())


def test_every_item_s_input_is_read_only_and_one_folder_is_written(tmp_path, lane):
    items = [planned(tmp_path / name, name) for name in "abc"]
    specs = generation(lane, *items).specs
    for stage, output in (("extract", lane.reading), ("load", lane.results)):
        writable = [mount for mount in specs[stage].mounts if not mount.read_only]
        assert [(mount.source, mount.target) for mount in writable] == [(output, "/out")]
    sources = {mount.source for mount in specs["extract"].mounts if mount.read_only}
    assert sources == {tmp_path / name for name in "abc"}
    # Stage 2 sees exports, and no checkpoint.
    assert {mount.source for mount in specs["load"].mounts} == {lane.exports, lane.results}
    assert len({mount.target for mount in specs["extract"].mounts}) == 4
    process = SeesMounts(specs["extract"])
    seen = [process.path(tmp_path / name / "m.index") for name in "abc"]
    assert len(set(seen)) == 3
    back = [host_text(specs["extract"].mounts, f"Cannot read {path}.") for path in seen]
    assert back == [f"Cannot read {tmp_path / name / 'm.index'}." for name in "abc"]


def test_a_folder_of_several_items_is_mounted_once(tmp_path, lane):
    mapping = tmp_path / "own" / "map.csv"
    mapping.parent.mkdir()
    mapping.touch()
    (tmp_path / "own" / "net.py").touch()
    model = f"{tmp_path / 'own' / 'net.py'}:Net"
    options = {"map": mapping, "model": model}
    items = [planned(tmp_path / "a", name, **options) for name in ("one", "two")]
    specs = generation(lane, *items).specs
    assert len(specs["extract"].mounts) == 2
    assert sorted(mount.source.name for mount in specs["load"].mounts) == [
        "exports",
        "own",
        "results",
    ]
    process = SeesMounts(specs["load"])
    assert process.path(mapping).endswith("/map.csv")


def test_links_of_two_items_do_not_meet(tmp_path, lane):
    """Both name `../store/data`, each its own."""
    for lab in ("north", "south"):
        store = tmp_path / lab / "store"
        store.mkdir(parents=True)
        (store / "data").write_text(lab)
        folder = tmp_path / lab / "run"
        folder.mkdir()
        (folder / "m.index").symlink_to("../store/data")
    items = [planned(tmp_path / lab / "run", lab) for lab in ("north", "south")]
    mounts = generation(lane, *items).specs["extract"].mounts
    landed = {}
    for mount in mounts:
        if mount.source.name == "data":
            link = Path(mount.target)
            landed[mount.source] = os.path.normpath(link.parent / "../store/data")
    assert len(landed) == 2
    assert len(set(landed.values())) == 2
    assert all(path.startswith("/in/") for path in landed.values())


def test_one_reader_and_not_too_many_items(tmp_path, lane):
    items = [planned(tmp_path / "a", f"item{number}") for number in range(MOST_ITEMS + 7)]
    items.insert(1, planned(tmp_path / "a", "pure", reader="pure"))
    made = generation(lane, *items)
    assert len(made.items) == MOST_ITEMS
    assert items[1] not in made.items
    assert made.specs["extract"].arguments == ("--reader", "tf")
    other = generation(lane, *items[1:])
    assert other.items == (items[1],)
    assert other.specs["extract"].home == "load"


def test_who_can_do_an_item_that_was_not_foreseen(tmp_path, lane):
    foreseen, stolen = planned(tmp_path / "a"), planned(tmp_path / "b")
    made = generation(lane, foreseen)
    contained = [SeesMounts(spec) for spec in made.specs.values()]
    assert made.serves(foreseen, contained)
    assert not made.serves(stolen, contained)
    assert made.serves(stolen, [SeesAll(), SeesAll()])
    assert not made.serves(planned(tmp_path / "a", reader="pure"), [SeesAll()])


def test_a_lane_does_not_see_another_one_s_work(tmp_path, lane):
    other = LaneFolder(lane.root.with_name("lane-1"))
    other.make()
    specs = generation(lane, planned(tmp_path / "a")).specs
    for spec in specs.values():
        process = SeesMounts(spec)
        for folder in (other.reading, other.exports, other.results, lane.root, lane.replaced):
            with pytest.raises(ValueError, match="lies in none of"):
                process.path(folder / "file")
    # Nor does stage 1 see what became of its exports.
    with pytest.raises(ValueError, match="lies in none of"):
        SeesMounts(specs["extract"]).path(lane.exports / "item")
