"""What a layer reads in the graph."""

from __future__ import annotations

from stage_load.export_view import ExportView, Layer

Margins = tuple[tuple[int, int], tuple[int, int]]

NO_MARGINS: Margins = ((0, 0), (0, 0))


def input_before_padding(view: ExportView, layer: Layer) -> tuple[str | None, Margins]:
    """Return the tensor that a layer reads, and ((top, bottom), (left, right)) put around it.

    Where a node of its own pads with zeros, as networks do that want the same on both sides, the
    tensor before that node is returned: torch modules do both at once.
    """
    if layer.input is None or not view.nodes:
        return layer.input, NO_MARGINS
    tensor = view.source(layer.input)
    node = view.nodes.get(tensor.rpartition(":")[0])
    if node is None or node.op != "Pad":
        return tensor, NO_MARGINS
    paddings = view.producer(node.inputs[1]).attributes.get("value")
    if paddings is None or len(paddings) != 4:
        return tensor, NO_MARGINS
    first = 2 if layer.attributes.get("data_format") == "NCHW" else 1
    rows, columns = paddings[first], paddings[first + 1]
    return view.source(node.inputs[0]), ((rows[0], rows[1]), (columns[0], columns[1]))
