"""What to say of moving averages: which are taken, and what is left aside for them."""

from __future__ import annotations

from typing import Dict, Mapping, Tuple


def reasons_aside(averages: Mapping[str, str], prefer_ema: bool) -> Dict[str, str]:
    """Give variable -> why no layer reads it, for all that the choice has left aside.

    Args:
        averages: variable -> its moving average.
    """
    if prefer_ema:
        return {
            owner: f"left aside for its moving average '{average}' (--prefer-ema)"
            for owner, average in averages.items()
        }
    return {
        average: f"the moving average of '{owner}', left aside: --prefer-ema takes it"
        for owner, average in averages.items()
    }


def averages_warnings(averages: Mapping[str, str], prefer_ema: bool) -> Tuple[str, ...]:
    """Tell the user of a choice that was made, or that could be made."""
    count = len(averages)
    if prefer_ema:
        taken = f"the moving averages of {count} variables are taken" if count else "there are none"
        return (f"--prefer-ema: {taken}; what has no average is taken as it was trained.",)
    if not count:
        return ()
    return (
        f"{count} variables have moving averages, first '{min(averages.values())}'; the trained "
        "values are used. --prefer-ema takes the averages.",
    )
