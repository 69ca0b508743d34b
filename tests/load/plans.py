"""Makes the torch side of a plan as plain data, and plans."""

from __future__ import annotations

import numpy as np

from stage_load.export_view import ExportView
from stage_load.plan import make_plan
from stage_load.strict import check_plan
from stage_load.torch_units import TorchModel, TorchTensor, TorchUnit


def zeros(*shape):
    return np.zeros(shape, np.float32)


def unit(path, kind, calls=1, **shapes):
    buffers = {"running_mean", "running_var", "num_batches_tracked"}
    tensors = {
        name: TorchTensor(f"{path}.{name}", shape, name in buffers)
        for name, shape in shapes.items()
    }
    return TorchUnit(path, kind, tensors, calls)


def norm(path, channels, calls=1):
    vectors = dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (channels,))
    return unit(path, "batch_norm", calls, **vectors, num_batches_tracked=())


def torch_model(*units, note=None):
    tensors = {t.name: t for u in units for t in u.tensors.values()}
    return TorchModel(units, tensors, {}, note)


def planned(maker, model, *given):
    export = ExportView(maker.document())
    plan = make_plan(export, model, given)
    check_plan(export, model, plan)
    return plan


def pairs(plan):
    return {row.torch_name: row.tf_name for row in plan.rows if row.tf_name is not None}
