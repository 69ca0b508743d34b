"""Which lane does which item."""

from __future__ import annotations

import threading
from pathlib import Path

from orchestration.batch.items import Item
from orchestration.batch.plan import FIXED_COST_BYTES
from orchestration.batch.planned import PlannedItem
from orchestration.batch.queues import Queues
from orchestration.run_paths import CheckpointPath
from orchestration.settings import ConvertSettings, ExtractOptions, LoadOptions, RuntimeOptions


def planned(name: str, size_bytes: int = 0, reader: str = "tf") -> PlannedItem:
    extract, folder = ExtractOptions(reader=reader), Path("/nowhere")
    settings = ConvertSettings(
        folder, folder, False, extract, LoadOptions("unet"), RuntimeOptions()
    )
    item = Item(name, "items.csv line 2", settings, size_bytes)
    return PlannedItem(item, CheckpointPath(folder, name), folder, extract, name, {})


def names(queues: Queues, lane: int) -> list[str]:
    return [one.item.name for one in queues.upcoming(lane)]


def test_lanes_get_the_same_amount_of_bytes():
    large, unit = planned("large", 3 * FIXED_COST_BYTES), FIXED_COST_BYTES
    small = [planned(f"small{number}", unit // 2) for number in range(6)]
    queues = Queues([*small, large], 2)
    # With what each item costs besides, the large one weighs 4 and a small one 1.5.
    assert names(queues, 0)[0] == "large"
    assert [len(names(queues, lane)) for lane in (0, 1)] == [3, 4]


def test_items_of_one_reader_come_together():
    readers = ["tf", "pure", "tf", "both", "pure", "tf"]
    queues = Queues([planned(f"i{n}", 6 - n, reader) for n, reader in enumerate(readers)], 1)
    assert names(queues, 0) == ["i3", "i1", "i4", "i0", "i2", "i5"]


def test_who_has_nothing_left_takes_half_of_the_longest_rest():
    queues = Queues([planned(f"i{number}") for number in range(10)], 2)
    while names(queues, 0):
        queues.take(0)
    rest = names(queues, 1)
    taken = queues.take(0)
    assert [taken.item.name, *names(queues, 0)] == rest[2:]
    assert names(queues, 1) == rest[:2]


def test_each_item_is_taken_once_by_lanes_side_by_side():
    queues = Queues([planned(f"i{number}", number) for number in range(3000)], 7)
    taken: list[list[str]] = [[] for _ in range(7)]

    def work(lane: int) -> None:
        while (one := queues.take(lane)) is not None:
            taken[lane].append(one.item.name)

    threads = [threading.Thread(target=work, args=(lane,)) for lane in range(7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [name for own in taken for name in own]
    assert len(found) == len(set(found)) == 3000
    assert queues.take(3) is None
