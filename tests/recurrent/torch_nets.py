"""The torch side of the recurrent networks in build.py, as a stranger would write them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

INPUTS, UNITS, PROJECTION, CLASSES = 5, 6, 4, 2
SECOND = 8


class Tagger(nn.Module):
    """A recurrent module over [N, T, I] with a linear layer on top of every step."""

    def __init__(self, encoder: nn.RNNBase, width: int, *, last: bool = False) -> None:
        super().__init__()
        self.classifier = nn.Linear(width, CLASSES)
        self.encoder = encoder
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        if not self.encoder.batch_first:
            x = x.transpose(0, 1)
        outputs, _ = self.encoder(x)
        if not self.encoder.batch_first:
            outputs = outputs.transpose(0, 1)
        return self.classifier(outputs[:, -1] if self.last else outputs)


def lstm() -> nn.Module:
    return Tagger(nn.LSTM(INPUTS, UNITS, batch_first=True), UNITS)


def lstm_time_first() -> nn.Module:
    return Tagger(nn.LSTM(INPUTS, UNITS), UNITS)


def lstm_last() -> nn.Module:
    return Tagger(nn.LSTM(INPUTS, UNITS, batch_first=True), UNITS, last=True)


def lstm_without_bias() -> nn.Module:
    return Tagger(nn.LSTM(INPUTS, UNITS, batch_first=True, bias=False), UNITS)


def projected() -> nn.Module:
    return Tagger(nn.LSTM(INPUTS, UNITS, batch_first=True, proj_size=PROJECTION), PROJECTION)


def projected_both() -> nn.Module:
    encoder = nn.LSTM(INPUTS, UNITS, batch_first=True, bidirectional=True, proj_size=PROJECTION)
    return Tagger(encoder, 2 * PROJECTION)


def both() -> nn.Module:
    return Tagger(nn.LSTM(INPUTS, UNITS, bidirectional=True), 2 * UNITS)


def stack() -> nn.Module:
    return Tagger(nn.LSTM(INPUTS, UNITS, num_layers=2, batch_first=True), UNITS)


def stack_both() -> nn.Module:
    encoder = nn.LSTM(INPUTS, UNITS, num_layers=2, batch_first=True, bidirectional=True)
    return Tagger(encoder, 2 * UNITS)


def gru() -> nn.Module:
    return Tagger(nn.GRU(INPUTS, UNITS, batch_first=True), UNITS)


def gru_both() -> nn.Module:
    return Tagger(nn.GRU(INPUTS, UNITS, batch_first=True, bidirectional=True), 2 * UNITS)


class TwoModules(nn.Module):
    """Two modules of different sizes, one after another."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Linear(SECOND, CLASSES)
        self.upper = nn.LSTM(UNITS, SECOND, batch_first=True)
        self.lower = nn.LSTM(INPUTS, UNITS, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.upper(self.lower(x)[0])[0])


class Stepwise(nn.Module):
    """A cell that is called for each step."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(INPUTS, UNITS)
        self.classifier = nn.Linear(UNITS, CLASSES)
        self.steps = steps

    def forward(self, x: Tensor) -> Tensor:
        state, outputs = None, []
        for step in range(self.steps):
            state = self.cell(x[:, step], state)
            outputs.append(state[0])
        if self.steps == 1:
            return self.classifier(outputs[0])
        return self.classifier(torch.stack(outputs, 1))


def steps() -> nn.Module:
    return Stepwise(7)


def one_step() -> nn.Module:
    return Stepwise(1)


class GruSteps(nn.Module):
    """A GRU cell that is called for each step."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(INPUTS, UNITS)
        self.classifier = nn.Linear(UNITS, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        state, outputs = None, []
        for step in x.unbind(1):
            state = self.cell(step, state)
            outputs.append(state)
        return self.classifier(torch.stack(outputs, 1))


class Flipped(nn.Module):
    """A module of one direction that reads the sequence from its end."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.LSTM(INPUTS, UNITS, batch_first=True)
        self.classifier = nn.Linear(UNITS, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.encoder(x.flip(1))[0].flip(1))


class WrittenOut(nn.Module):
    """TensorFlow's LSTMCell written with a linear layer, its gates in TensorFlow's order."""

    def __init__(self) -> None:
        super().__init__()
        self.gates = nn.Linear(INPUTS + UNITS, 4 * UNITS)
        self.classifier = nn.Linear(UNITS, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        h = c = x.new_zeros(len(x), UNITS)
        outputs = []
        for step in x.unbind(1):
            i, j, f, o = self.gates(torch.cat([step, h], 1)).chunk(4, 1)
            c = (f + 1).sigmoid() * c + i.sigmoid() * j.tanh()
            h = o.sigmoid() * c.tanh()
            outputs.append(h)
        return self.classifier(torch.stack(outputs, 1))


class GruWrittenOut(nn.Module):
    """TensorFlow's GRUCell, which no module of torch computes, written with linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Linear(UNITS, CLASSES)
        self.candidate = nn.Linear(INPUTS + UNITS, UNITS)
        self.gates = nn.Linear(INPUTS + UNITS, 2 * UNITS)

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros(len(x), UNITS)
        outputs = []
        for step in x.unbind(1):
            r, u = self.gates(torch.cat([step, h], 1)).sigmoid().chunk(2, 1)
            c = self.candidate(torch.cat([step, r * h], 1)).tanh()
            h = u * h + (1 - u) * c
            outputs.append(h)
        return self.classifier(torch.stack(outputs, 1))
