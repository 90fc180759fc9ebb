"""Begin training with the weights of a model fitted on another log.

Weights are copied where they mean the same in both logs: the backbone, the time codes, numeric
columns by name, and codes of categorical columns by value. Everything else begins as without a
source, and scales are learnt again.

Example::

    source = Bert()
    source.fit(examples_of_a_simulated_log, encoder=its_encoder, seed=0)
    model = Bert()
    model.begin_with(source)
    model.fit(train, valid, encoder=encoder, seed=0)
"""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.nn.embedding import Fields
from baselines.nn.network import Network
from eventlog.arrays import FIRST
from eventlog.encode import SHORT, Encoder


@torch.no_grad()
def take_over(
    network: Network, encoder: Encoder, source_network: Network, from_encoder: Encoder
) -> list[str]:
    """Copy the weights of `source_network` in place and return the names of what was copied.

    A backbone of another shape is left alone, and so is an embedding of another width.
    """
    taken = []
    embedding, source = network.embedding, source_network.embedding
    backbone, from_backbone = network.backbone, source_network.backbone
    shapes = lambda module: {k: v.shape for k, v in module.state_dict().items()}
    if shapes(backbone) == shapes(from_backbone):
        backbone.load_state_dict(from_backbone.state_dict())
        taken.append("backbone")
    if embedding.mask.shape != source.mask.shape:
        return taken
    for name in ("time.weight", "mask", "norm.weight", "norm.bias"):
        embedding.get_parameter(name).copy_(source.get_parameter(name))
    taken.append("time")
    _rows(embedding.item.weight, encoder, source.item.weight, from_encoder, "item_id", taken)
    if embedding.has_codes and source.has_codes:
        begins, from_begins = _begins(embedding.fields), _begins(source.fields)
        for column in begins.keys() & from_begins.keys():
            name = next((k for k, short in SHORT.items() if short == column), column)
            a, b = (
                weight[begin : begin + e.size(name)]
                for weight, begin, e in (
                    (embedding.codes.weight, begins[column], encoder),
                    (source.codes.weight, from_begins[column], from_encoder),
                )
            )
            _rows(a, encoder, b, from_encoder, name, taken)
    if embedding.numeric is not None and source.numeric is not None:
        place = {name: k for k, name in enumerate(_numeric(source.fields))}
        for k, name in enumerate(_numeric(embedding.fields)):
            if name in place:
                embedding.numeric.weight[:, k] = source.numeric.weight[:, place[name]]
                taken.append(name)
    return taken


def _rows(
    weight: Tensor,
    encoder: Encoder,
    source: Tensor,
    from_encoder: Encoder,
    column: str,
    taken: list[str],
) -> None:
    """Copy the rows of the values that both vocabularies of `column` have.

    If there are any, the rows of missing and unknown are copied too, except those of items.
    """
    known = {value: k + FIRST for k, value in enumerate(from_encoder.vocabularies.get(column, ()))}
    pairs = [
        (k + FIRST, known[value])
        for k, value in enumerate(encoder.vocabularies.get(column, ()))
        if value in known
    ]
    if pairs:
        here, there = (
            torch.tensor(side, device=weight.device) for side in zip(*pairs, strict=True)
        )
        weight[here] = source[there]
        if column != "item_id":
            weight[:FIRST] = source[:FIRST]
        taken.append(column)


def _begins(fields: Fields) -> dict[str, int]:
    """Return where each categorical column's codes begin in the common table."""
    begins, shift = {}, 0
    for name, size in fields.categorical:
        begins[name] = shift
        shift += size
    return begins


def _numeric(fields: Fields) -> list[str]:
    """Return the names of the columns of `EventTable.numeric`."""
    return [*fields.numeric, *(f"extra: {name}" for name in fields.extra)]
