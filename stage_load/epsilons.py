"""Says which batch norms get another epsilon than their module was built with."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn


def own_epsilons(model: nn.Module) -> dict[str, float]:
    """Return module path -> the epsilon that its constructor gave it."""
    found = ((path, getattr(module, "eps", None)) for path, module in model.named_modules())
    return {path: eps for path, eps in found if isinstance(eps, float)}


def changed_epsilons(
    own: Mapping[str, float], settings: Mapping[str, Mapping[str, float]]
) -> tuple[str, ...]:
    """Return a sentence for each pair of epsilons, the module's own and the graph's.

    Args:
        own: before anything was loaded.
        settings: module path -> attribute -> number that is set on it.
    """
    changed: dict[tuple[float, float], list[str]] = {}
    for path, values in settings.items():
        if "eps" in values and own.get(path, values["eps"]) != values["eps"]:
            changed.setdefault((own[path], values["eps"]), []).append(path)
    return tuple(
        f"eps {own:g} of {len(paths)} module{'' if len(paths) == 1 else 's'} set to {wanted:g}, as "
        f"the graph has it, first {paths[0]!r}."
        for (own, wanted), paths in sorted(changed.items())
    )
