r"""Rules by hand: ``block(\d+)/conv/kernel -> encoder.\1.weight [HWIO->OIHW]``.

Left of the first ``->`` stands a regular expression that must match a variable's whole name, right
of it the tensor's name, in which ``\1`` or ``\g<name>`` stand for what a group has matched, or
``skip``, which leaves the variable out. The layout in brackets may be absent: then the operation
that reads the variable decides.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from stage_load.errors import RuleInvalid
from stage_load.export_view import ExportView
from stage_load.layouts.rule import SKIP_TEXT, Rule, RuleError, Skip
from stage_load.layouts.rule_text import parse_rule
from stage_load.mapping import FROM_RULE, Given
from stage_load.names import NameIndex
from stage_load.torch_units import TorchModel

_PARTS = re.compile(r"(?P<pattern>.+?)\s*->\s*(?P<target>[^\[\]]+?)\s*(?:\[(?P<layout>.+)\])?")


@dataclass(frozen=True, slots=True)
class NameRule:
    """One rule; ``target`` is ``None`` for what stays out, ``layout`` where the kind decides."""

    text: str
    pattern: re.Pattern[str]
    target: str | None
    layout: Rule | None


def parse_name_rules(texts: Sequence[str]) -> tuple[NameRule, ...]:
    """Read rules as the command line gives them.

    Raises:
        RuleInvalid: lists every rule that cannot be read.
    """
    rules, problems = [], []
    for text in texts:
        try:
            rules.append(_parse(text))
        except RuleError as error:
            problems.append(f"{text!r}: {error}")
    if problems:
        raise _invalid(problems)
    return tuple(rules)


def apply_name_rules(
    rules: Sequence[NameRule], export: ExportView, model: TorchModel
) -> tuple[Given, ...]:
    """Return a row for each variable that a rule matches.

    Raises:
        RuleInvalid: a rule matches no variable, leads to no tensor, or claims what another one has.
    """
    problems: list[str] = []
    found: dict[str, tuple[NameRule, Given]] = {}
    for rule in rules:
        matches = [match for name in export.variables if (match := rule.pattern.fullmatch(name))]
        if not matches:
            near = _near(NameIndex(export.variables), rule.pattern.pattern)
            problems.append(f"{rule.text!r} matches no variable; nearest: {near}")
        for match in matches:
            name = match.string
            given = Given(name, _target(rule, match), rule.layout or _skip(rule), FROM_RULE)
            if name in found:
                other = found[name][0].text
                problems.append(f"{name!r} is matched by {other!r} and by {rule.text!r}")
            else:
                found[name] = rule, given
    given_rows = [_first_name(given, model) for _, given in found.values()]
    problems += _target_problems(given_rows, model)
    if problems:
        raise _invalid(problems)
    return tuple(given_rows)


def _parse(text: str) -> NameRule:
    parts = _PARTS.fullmatch(text.strip())
    if parts is None:
        raise RuleError("has no '->' between a regular expression and a name")
    try:
        pattern = re.compile(parts["pattern"])
    except re.error as error:
        raise RuleError(f"the regular expression is wrong: {error}") from error
    try:
        # Reads the template even where nothing matches: a wrong one is told at once.
        pattern.sub(parts["target"], "")
    except (re.error, IndexError) as error:
        raise RuleError(f"the name after '->' is wrong: {error}") from error
    target = None if parts["target"] == SKIP_TEXT else parts["target"]
    if parts["layout"] is None:
        return NameRule(text, pattern, target, None)
    layout = parse_rule(parts["layout"])
    if target is None or not isinstance(layout, Rule):
        raise RuleError(f"[{layout}] is no layout for a variable, such as [HWIO->OIHW]")
    return NameRule(text, pattern, target, layout)


def _target(rule: NameRule, match: re.Match[str]) -> str | None:
    return None if rule.target is None else match.expand(rule.target)


def _skip(rule: NameRule) -> Skip | None:
    return Skip() if rule.target is None else None


def _first_name(given: Given, model: TorchModel) -> Given:
    """Call a tied tensor by its first name."""
    name = model.aliases.get(given.torch_name or "", given.torch_name)
    return Given(given.tf_name, name, given.rule, given.how)


def _target_problems(rows: Sequence[Given], model: TorchModel) -> list[str]:
    problems: list[str] = []
    index = NameIndex(model.tensors)
    owners: dict[str, str | None] = {}
    for row in rows:
        name = row.torch_name
        if name is None:
            continue
        if name not in model.tensors:
            near = _near(index, name)
            problems.append(f"{row.tf_name!r} -> no tensor {name!r} in the model; nearest: {near}")
        elif name in owners:
            problems.append(f"{name!r} would be filled by {owners[name]!r} and by {row.tf_name!r}")
        else:
            owners[name] = row.tf_name
    return problems


def _near(index: NameIndex, name: str) -> str:
    return ", ".join(map(repr, index.nearest(name))) or "none"


def _invalid(problems: Sequence[str]) -> RuleInvalid:
    return RuleInvalid(
        "\n".join(("--rule cannot be used:", *(f"  {problem}" for problem in problems))),
        "Expected 'REGEX -> NAME [LAYOUT]': a regular expression for whole names of variables, and "
        "the name of a tensor of the model, each tensor and each variable once.",
        "Correct the rules; `inspect` lists the variables, and mapping.csv both sides' names.",
    )
