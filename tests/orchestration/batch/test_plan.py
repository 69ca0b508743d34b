"""Items spread over shards."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from orchestration.batch.items import Item
from orchestration.batch.plan import FIXED_COST_BYTES, items_of_shard, shards
from orchestration.batch.settings import BatchFolder, Shard
from orchestration.errors import BadItems
from orchestration.settings import ConvertSettings, ExtractOptions, LoadOptions, RuntimeOptions

MB = 1 << 20


def item(name: str, size_bytes: int) -> Item:
    settings = ConvertSettings(
        Path("/in") / name,
        Path("/out") / name,
        False,
        ExtractOptions(),
        LoadOptions("unet"),
        RuntimeOptions(),
    )
    return Item(name, f"line of {name}", settings, size_bytes)


@pytest.mark.parametrize(
    ("sizes_mb", "count", "plan"),
    [
        pytest.param({"a": 1, "b": 2}, 1, [["b", "a"]], id="one-shard"),
        pytest.param(
            {"a": 7000, "b": 6000, "c": 5000, "d": 4000, "e": 3000},
            2,
            # By size alone 13000 against 12000; a cost for each item does not change it.
            [["a", "d", "e"], ["b", "c"]],
            id="largest-first",
        ),
        pytest.param(
            {"d": 5, "b": 5, "c": 5, "a": 5}, 2, [["a", "c"], ["b", "d"]], id="equals-by-name"
        ),
        pytest.param({"b": 0, "a": 0, "c": 0}, 2, [["a", "c"], ["b"]], id="no-size"),
        pytest.param(
            {"big": 130, "s1": 0, "s2": 0, "s3": 0, "s4": 0, "s5": 0},
            2,
            # 130 + 64 are a little more than three items of no size.
            [["big", "s5"], ["s1", "s2", "s3", "s4"]],
            id="small-items-cost-something",
        ),
        pytest.param({"a": 1, "b": 2}, 4, [["b"], ["a"], [], []], id="more-shards-than-items"),
        pytest.param({}, 2, [[], []], id="no-items"),
    ],
)
def test_plans(sizes_mb, count, plan):
    items = [item(name, size * MB) for name, size in sizes_mb.items()]
    assert [list(names) for names in shards(items, count)] == plan
    assert [list(names) for names in shards(items[::-1], count)] == plan
    assert FIXED_COST_BYTES == 64 * MB


def test_no_shard_gets_much_more_than_another():
    items = [item(f"n{number:03}", number * number * MB) for number in range(200)]
    sizes = {each.name: each.size_bytes for each in items}
    loads = [sum(sizes[name] for name in names) for names in shards(items, 7)]
    assert max(loads) - min(loads) < 0.01 * max(loads)


def test_all_shards_read_one_plan_whatever_happens_to_sizes(tmp_path):
    """Shards that start at once, each seeing other sizes: every item is in one of them."""
    folder = BatchFolder(tmp_path)
    names = [f"n{number}" for number in range(50)]
    count = 8
    barrier = threading.Barrier(count)
    found: dict[int, list[str]] = {}

    def run(number: int) -> None:
        seen = [item(name, (index * number * 37 % 11) * MB) for index, name in enumerate(names)]
        barrier.wait()
        own = items_of_shard(seen, Shard(number, count), folder)
        found[number] = [each.name for each in own]

    threads = [threading.Thread(target=run, args=(number,)) for number in range(1, count + 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(name for own in found.values() for name in own) == sorted(names)
    [path] = folder.plans.iterdir()
    assert path.name.endswith("-8.json")
    plan = json.loads(path.read_text())["shards"]
    # In the order of the items file, not in that of the plan.
    assert found[3] == [name for name in names if name in plan[2]]


def test_other_items_and_other_counts_have_plans_of_their_own(tmp_path):
    folder = BatchFolder(tmp_path)
    few, more = [item("a", 1)], [item("a", 1), item("b", 2)]
    assert [each.name for each in items_of_shard(few, Shard(1, 1), folder)] == ["a"]
    assert [each.name for each in items_of_shard(more, Shard(1, 1), folder)] == ["a", "b"]
    assert [each.name for each in items_of_shard(more, Shard(1, 2), folder)] == ["b"]
    assert items_of_shard(more, Shard(3, 3), folder) == ()
    assert len(list(folder.plans.iterdir())) == 4


def test_a_dry_run_writes_no_plan_and_follows_one_that_is_there(tmp_path):
    folder = BatchFolder(tmp_path)
    small, large = [item("a", 1), item("b", 2)], [item("a", 3), item("b", 2)]
    assert [each.name for each in items_of_shard(small, Shard(1, 2), folder, is_dry_run=True)] == [
        "b"
    ]
    assert list(tmp_path.iterdir()) == []
    items_of_shard(large, Shard(1, 2), folder)
    assert [each.name for each in items_of_shard(small, Shard(1, 2), folder, is_dry_run=True)] == [
        "a"
    ]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param('{"shards": [["a"],', id="cut"),
        pytest.param('{"shards": [["a"], []]}', id="item-missing"),
        pytest.param('{"shards": [["a", "b"], ["b"]]}', id="item-twice"),
        pytest.param('{"shards": [["a", "b"]]}', id="shard-missing"),
        pytest.param('{"a": 1}', id="no-shards"),
        pytest.param('[["a", "b"], []]', id="no-object"),
        pytest.param('{"shards": [1, 2]}', id="no-lists"),
    ],
)
def test_a_damaged_plan_is_never_followed(tmp_path, damage):
    folder = BatchFolder(tmp_path)
    items = [item("a", 1), item("b", 2)]
    items_of_shard(items, Shard(1, 2), folder)
    [path] = folder.plans.iterdir()
    path.write_text(damage)
    with pytest.raises(BadItems, match="does not hold these 2 items in 2 shards"):
        items_of_shard(items, Shard(1, 2), folder)
