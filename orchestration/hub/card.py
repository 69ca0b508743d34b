"""The model card: what a manifest tells, for whoever finds the model on a hub."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from orchestration.archive.crate.metadata import title
from orchestration.hub.limits import limits
from orchestration.hub.model import MODEL_FILE, SharedModel
from orchestration.printing import markdown_code, markdown_text
from orchestration.recorded_run import RecordedInput, RecordedRun
from orchestration.recorded_settings import to_json
from orchestration.runtimes.base import Stage
from orchestration.settings import ExtractOptions, LoadOptions

_TEMPLATE: Final = Path(__file__).parent / "card.md.jinja"
_VERDICTS: Final[Mapping[str, str]] = {
    "proven": "**Proven**: both networks were run on the same inputs, and agreed.",
    "failed": "**The proof failed**: both networks were run on the same inputs, and differed.",
    "unproven": "**Not proven**: the two networks were not compared by running them.",
}
_STEPS: Final[Mapping[Stage, str]] = {
    "extract": "reading the checkpoint",
    "load": "loading and proof",
}
# Paths; what is told of besides; and groups.
_NOT_SHOWN: Final = frozenset({"data_folder", "map", "model", "model_folder", "transfer"})


@dataclass(frozen=True)
class CardFacts:
    """What the card is made of.

    Attributes:
        run: what was run.
        model: what came of it.
        plain_class: module and class that the mixin reads without more, or None.
        license: as the hub calls it.
        license_name: of one that the hub does not know, or None.
        license_file: where its text lies in the folder, or None.
    """

    run: RecordedRun
    model: SharedModel
    plain_class: tuple[str, str] | None
    license: str
    license_name: str | None
    license_file: str | None


def model_card(facts: CardFacts) -> bytes:
    """The card in Markdown, with front matter; equal for equal facts."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True
    )
    environment.filters |= {"code": markdown_code, "text": markdown_text, "tojson": json.dumps}
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    manifest, model = facts.run.manifest, facts.model
    text = template.render(
        license=facts.license,
        license_name=facts.license_name,
        license_file=facts.license_file,
        title=title(facts.run),
        version=manifest["program"]["version"],
        source_sha256=manifest["program"]["source_sha256"],
        created=str(manifest["created"])[:10],
        runtime=manifest["runtime"],
        registered=model.is_registered,
        source=model.source,
        model=model.name,
        has_values=model.has_values,
        plain=facts.plain_class,
        why_not_plain=_why_not_plain(model),
        endpoints=[*_endpoints("input", model.inputs), *_endpoints("output", model.outputs)],
        inputs=[row for one in facts.run.inputs for row in _input_rows(one)],
        step=_step(manifest),
        stages=list(_stages(facts.run)),
        options=list(_options(manifest["settings"])),
        model_sha256=_sha256_of(facts.run, MODEL_FILE),
        limits=list(limits(facts.run, model)),
        **_proof(manifest),
    )
    return f"{text.rstrip()}\n".encode("utf-8", "backslashreplace")


def _proof(manifest: Mapping[str, Any]) -> dict[str, Any]:
    verdict, result = manifest["verdict"], manifest["load"]["result"]
    parity, worst = result.get("parity") or {}, verdict["worst"]
    return {
        "state": verdict["state"],
        "verdict": _VERDICTS[verdict["state"]],
        "reason": result.get("reason"),
        "worst": None
        if worst is None
        else {key: worst[key] if key == "tensor" else _number(worst[key]) for key in worst},
        "tolerance": _number(verdict["tolerance"]),
        "parameters": _counted(result.get("parameters"), "parameters"),
        "tensors": _counted(result.get("tensors"), ""),
        **{
            key: _counted(parity.get(key), "")
            for key in ("compared_outputs", "compared_layers", "not_compared")
        },
    }


def _why_not_plain(model: SharedModel) -> str:
    if model.transfer.dtype is not None:
        return f"computes in float32 with weights that were rounded to {model.transfer.dtype}"
    if model.has_values:
        return "leaves every epsilon as the network's own code has it, which is not TensorFlow's"
    return "has to know the network's class"


def _endpoints(side: str, given: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    for one in given:
        shape = one.get("tf_shape")
        sizes = ("any" if size is None else str(size) for size in shape or ())
        yield {
            "side": side,
            "tensor": str(one.get("tensor")),
            "dtype": str(one.get("dtype")),
            "shape": "unknown" if shape is None else " x ".join(sizes) or "a single number",
            "axes": str(one.get("torch_axes") or "-"),
        }


def _input_rows(given: RecordedInput) -> Iterator[dict[str, Any]]:
    for entry in given.files:
        yield {**entry, "role": given.role}


def _step(manifest: Mapping[str, Any]) -> int | None:
    found = manifest.get("extract", {}).get("result", {}).get("checkpoint", {}).get("step")
    return found if isinstance(found, int) else None


def _stages(run: RecordedRun) -> Iterator[dict[str, str]]:
    for stage, step in _STEPS.items():
        told = run.manifest.get(stage)
        if told is not None:
            versions = sorted(told["versions"].items())
            yield {
                "step": step,
                "versions": ", ".join(f"{name} {version}" for name, version in versions),
                "place": _place(run, stage, told),
            }


def _place(run: RecordedRun, stage: Stage, told: Mapping[str, Any]) -> str:
    """Image or environment, without what only its owner's machine has: folders."""
    image, environment = told.get("image"), told.get("environment")
    if image is not None:
        base = image["base"]
        made_from = f", made from {base['name']} {base.get('digest', '')}" if "name" in base else ""
        return f"image {PurePosixPath(image['reference']).name}, {image['id']}{made_from}".rstrip()
    if environment is None:
        return "not recorded"
    lock = environment["lock"]
    if lock is None:
        return "an environment of the user's own"
    return f"environment of {lock}, SHA-256 {environment['lock_sha256']}"


def _options(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Options of both stages that are no defaults, with their values; without paths."""
    if "extract" in settings:
        yield from _given(settings["extract"], to_json(ExtractOptions()))
    if "load" in settings:
        load, defaults = settings["load"], to_json(LoadOptions(model=""))
        yield "model", PurePosixPath(load["model"]).name
        yield from _given(load, defaults)
        yield from _given(load["transfer"], defaults["transfer"])


def _given(options: Mapping[str, Any], defaults: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in options.items():
        if name not in _NOT_SHOWN and value != defaults.get(name):
            yield name, json.dumps(value, ensure_ascii=False)


def _sha256_of(run: RecordedRun, name: str) -> str:
    return next(str(entry["sha256"]) for entry in run.files if entry["name"] == name)


def _number(value: Any) -> str:
    return f"{value:.2g}" if isinstance(value, (int, float)) else str(value)


def _counted(value: Any, noun: str) -> str:
    return f"{value:,} {noun}".rstrip() if isinstance(value, int) else f"unknown {noun}".rstrip()
