"""Which items belong to which shard, decided once for all shards."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from pathlib import Path

from orchestration.batch.files import read_object, write_new
from orchestration.batch.items import Item
from orchestration.batch.settings import BatchFolder, Shard
from orchestration.batch.stored_items import items_hash
from orchestration.errors import BadItems
from orchestration.result_folder import writing_to

# An item of no size takes about as long as the reading of so many bytes: without it, all small
# items would go to one shard, beside a single large one in another.
FIXED_COST_BYTES = 64 << 20
Plan = tuple[tuple[str, ...], ...]


def shards(items: Sequence[Item], count: int) -> Plan:
    """Names of the items of each shard, balanced by bytes.

    The largest item first, each to the shard with the least so far ("longest processing time
    first": no shard gets more than 4/3 of the best possible; Graham 1969). The same items give the
    same plan in any order; of equals the first name goes first, to the first shard.
    """
    loads = [(0, index) for index in range(count)]
    planned: list[list[str]] = [[] for _ in range(count)]
    for item in sorted(items, key=lambda item: (-item.size_bytes, item.name)):
        load_bytes, index = loads[0]
        planned[index].append(item.name)
        heapq.heapreplace(loads, (load_bytes + item.size_bytes + FIXED_COST_BYTES, index))
    return tuple(map(tuple, planned))


def items_of_shard(
    items: Sequence[Item], shard: Shard, folder: BatchFolder, *, is_dry_run: bool = False
) -> tuple[Item, ...]:
    """The items of one shard, in the order of `items`, by the plan that all shards read.

    Args:
        items: of all shards.
        shard: which.
        folder: where the plan lies.
        is_dry_run: see `stored_plan`.

    Raises:
        BadItems: the plan has been damaged.
        DiskFull, OutputNotWritable: it cannot be written.
    """
    plan = stored_plan(items, shard.count, folder, is_dry_run=is_dry_run)
    own = set(plan[shard.number - 1])
    return tuple(item for item in items if item.name in own)


def stored_plan(
    items: Sequence[Item], count: int, folder: BatchFolder, *, is_dry_run: bool = False
) -> Plan:
    """The plan that all shards read; whoever asks first makes it.

    A checkpoint that changes its size before the next shard starts would otherwise be in two
    shards, or in none.

    Args:
        items: of all shards.
        count: of shards.
        folder: where the plan lies.
        is_dry_run: write nothing; where there is no plan yet, follow the one that would be made.

    Raises:
        BadItems: the plan has been damaged.
        DiskFull, OutputNotWritable: it cannot be written.
    """
    path = plan_path(items_hash(items), count, folder)
    if not path.exists():
        made = shards(items, count)
        if is_dry_run:
            return made
        with writing_to(folder.out):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_new(path, {"shards": made})
    return _read(path, {item.name for item in items}, count)


def plan_path(items_key: str, count: int, folder: BatchFolder) -> Path:
    """Where the plan of some items lies.

    Args:
        items_key: their `items_hash`.
        count: number of shards.
        folder: of the batch.
    """
    return folder.plans / f"{items_key}-{count}.json"


def _read(path: Path, names: set[str], count: int) -> Plan:
    try:
        plan = tuple(map(tuple, read_object(path)["shards"]))
        planned = [name for shard in plan for name in shard]
        is_whole = len(plan) == count and sorted(planned) == sorted(names)
    except (OSError, ValueError, TypeError, KeyError):
        is_whole = False
    if not is_whole:
        raise BadItems(
            f"The plan {path} does not hold these {len(names):,} items in {count} shards.",
            "It was expected to be as this program has written it.",
            "Remove it while no shard runs; the next one makes it anew.",
        )
    return plan
