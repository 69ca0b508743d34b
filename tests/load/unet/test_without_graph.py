"""Without a graph, order and levels are found by channels first and names second."""

from __future__ import annotations

import itertools

import pytest

from stage_load.errors import ModelDoesNotFit
from stage_load.export_view import ExportView
from stage_load.models.unet.family import UNetFamily
from stage_load.models.unet.steps import BatchNorm, Convolution, TransposedConvolution

NORM_ROLES = ("gamma", "beta", "moving_mean", "moving_variance")


def bare_view(kernels, norms=()):
    """An export without a graph; `kernels` maps a layer's name to [h, w, in, out] as TF has it."""
    layers, variables = [], []

    def add(kind, name, shapes):
        found = {role: f"{name}/{role}" for role in shapes}
        for role, shape in shapes.items():
            variables.append(
                {
                    **dict.fromkeys(("op_kind", "source_axes", "order", "trainable", "reason")),
                    "name": found[role],
                    "dtype": "float32",
                    "shape": shape,
                    "role": role,
                    "layers": [len(layers)],
                    "evidence": "guessed",
                }
            )
        layers.append(
            {
                **dict.fromkeys(("op", "input", "op_output", "output", "activation")),
                "index": len(layers),
                "kind": kind,
                "name": name,
                "variables": found,
                "constants": {},
                "attributes": {},
                "evidence": "guessed",
            }
        )

    for name, shape in kernels.items():
        transposed = "transpose" in name
        out = shape[2] if transposed else shape[3]
        kind = "conv2d_transpose" if transposed else "conv2d"
        add(kind, name, {"kernel": shape, "bias": [out]})
    for name, channels in norms:
        add("batch_norm", name, {role: [channels] for role in NORM_ROLES})
    return ExportView(
        {
            "inputs": [],
            "outputs": [],
            "layers": layers,
            "variables": sorted(variables, key=lambda variable: variable["name"]),
            "skipped": [],
            "rewrites": [],
            "switches": [],
            "nodes": [],
            "reference": {"state": "absent", "feeds": []},
            "source": {"graph": None, "graph_reason": "no .meta file beside the checkpoint"},
        }
    )


def plain(size, *channels):
    return [[size, size, a, b] for a, b in itertools.pairwise(channels)]


# The forward pass of classic UNets, kernel by kernel; every level has the width 8 * 2**level, so
# that up-sampling's and the decoder's kernels have equal shapes.
ENCODER = [*plain(3, 1, 8, 8), *plain(3, 8, 16, 16), *plain(3, 16, 32, 32)]
BY_RESIZE = [
    *ENCODER,
    *([3, 3, 32, 16], [3, 3, 32, 16], [3, 3, 16, 16]),
    *([3, 3, 16, 8], [3, 3, 16, 8], [3, 3, 8, 8], [1, 1, 8, 2]),
]
TRANSPOSED_UP = [[2, 2, 16, 32], [2, 2, 8, 16]]
TRANSPOSED_REST = [
    *([3, 3, 32, 16], [3, 3, 16, 16]),
    *([3, 3, 16, 8], [3, 3, 8, 8], [1, 1, 8, 2]),
]


def numbered(stem, shapes):
    """TensorFlow's default names: stem, stem_1, stem_2 …"""
    return {f"{stem}_{n}" if n else stem: shape for n, shape in enumerate(shapes)}


SCOPED = [
    *(f"enc{level}/conv{n}" for level in range(3) for n in (1, 2)),
    *("up1/conv", "dec1/conv1", "dec1/conv2", "up0/conv", "dec0/conv1", "dec0/conv2", "logits"),
]
TRANSPOSED_NAMES = [*SCOPED[:6], "dec1/conv1", "dec1/conv2", "dec0/conv1", "dec0/conv2", "logits"]

CASES = {
    "resize-default-names": numbered("conv2d", BY_RESIZE),
    "resize-scopes": dict(zip(SCOPED, BY_RESIZE, strict=True)),
    "transposed-default-names": {
        **numbered("conv2d", [*ENCODER, *TRANSPOSED_REST]),
        **numbered("conv2d_transpose", TRANSPOSED_UP),
    },
    "transposed-known-by-name": {
        **dict(zip(TRANSPOSED_NAMES, [*ENCODER, *TRANSPOSED_REST], strict=True)),
        **dict(zip(("upsample1", "upsample0"), TRANSPOSED_UP, strict=True)),
    },
    "transposed-known-by-size-only": {
        **dict(zip(TRANSPOSED_NAMES, [*ENCODER, *TRANSPOSED_REST], strict=True)),
        **dict(zip(("b/filter", "a/filter"), TRANSPOSED_UP, strict=True)),
    },
}


@pytest.mark.parametrize("kernels", CASES.values(), ids=CASES)
def test_levels_and_names(kernels):
    # Sorted: without a graph nothing else is known.
    view = bare_view(dict(sorted(kernels.items())))
    config = UNetFamily().configure(view)
    names = UNetFamily().names(view, config)
    assert (config.in_channels, config.widths, config.classes) == (1, (8, 16, 32), 2)
    assert [len(level.block) for level in (*config.encoder, *config.decoder)] == [4, 4, 4, 4]
    has_transposed = [2, 2, 8, 16] in kernels.values()
    kind = TransposedConvolution if has_transposed else Convolution
    ups = [step for level in config.decoder for step in level.up if isinstance(step, kind)]
    assert [step.out_channels for step in ups] == [16, 8]
    placed = [names[f"{name}/kernel"] for name in kernels]
    parameters = UNetFamily().build(config).state_dict()
    # Up-sampling's kernels stand last in the transposed cases, where they run earlier.
    plain_only = [name for name in placed if "transposed" not in name]
    assert plain_only == [n for n in parameters if n.endswith("weight") and "transposed" not in n]
    assert sorted(names.values()) == sorted(parameters)


def test_every_assumption_is_listed_and_the_module_runs():
    view = bare_view(CASES["resize-scopes"])
    family = UNetFamily()
    config = family.configure(view)
    assert config.evidence == "guessed"
    assert "no .meta file" in config.assumptions[0]
    topics = ("Order", "Padding", "Up-sampling", "Concat", "Activation", "Batch norm")
    for topic in topics:
        assert any(sentence.startswith(topic) for sentence in config.assumptions), topic
    (image,) = family.example_inputs(config)
    assert family.build(config)(image).shape == (1, 2, *image.shape[2:])
    assert family.config_from_json(config.to_json()) == config


def test_batch_norm_goes_to_the_convolution_of_its_scope():
    kernels = CASES["resize-scopes"]
    norms = [
        (name.replace("conv", "bn"), shape[3])
        for name, shape in kernels.items()
        if name != "logits"
    ]
    view = bare_view(kernels, norms)
    config = UNetFamily().configure(view)
    names = UNetFamily().names(view, config)
    assert config.bottleneck.count(BatchNorm()) == 2
    assert names["dec1/bn2/moving_variance"] == "decoder.0.block.batch_norm_2.running_var"
    assert names["up0/bn/gamma"] == "decoder.1.up.batch_norm_1.weight"


def test_shapes_that_contradict():
    kernels = {**CASES["resize-scopes"], "dec0/conv1": [3, 3, 17, 8]}
    with pytest.raises(ModelDoesNotFit, match=r"'dec0/conv1' \[3, 3, 17, 8\]"):
        UNetFamily().configure(bare_view(kernels))


def test_a_batch_norm_of_no_convolution():
    with pytest.raises(ModelDoesNotFit, match="'elsewhere/bn'"):
        UNetFamily().configure(bare_view(CASES["resize-scopes"], [("elsewhere/bn", 19)]))


def test_no_convolutions():
    with pytest.raises(ModelDoesNotFit, match="there is no convolution"):
        UNetFamily().configure(bare_view({}))
