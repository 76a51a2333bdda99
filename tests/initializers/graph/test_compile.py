"""What is compiled is what transformers runs, and it knows the links it was compiled from."""

from __future__ import annotations

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from structinit_core.graph import directed
from structinit_core.initializers.closed_form.layers import Layers
from structinit_core.initializers.graph import FRAME_ID
from structinit_core.initializers.graph.compile import by_weight
from structinit_core.initializers.graph.heads import relation_places
from structinit_core.model import read_wiring


def _network(made) -> Layers:
    return Layers(made.parts, made.blueprint, read_wiring(made.blueprint))


def _logits(made, ids: np.ndarray) -> torch.Tensor:
    network = _network(made)
    return network.normalised(network.residual(torch.from_numpy(ids))[:, -1]) @ made.parts.unembed.T


def _model(made) -> torch.nn.Module:
    fields = {k: v for k, v in made.blueprint.config.items() if k != "model_type"}
    config = AutoConfig.for_model(made.blueprint.config["model_type"], **fields)
    model = AutoModelForCausalLM.from_config(config).eval()
    tensors = {spec.name: tensor for spec, tensor in made.parts.tensors(made.blueprint, 0)}
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    assert not missing
    assert not unexpected
    return model


def _queries(made) -> np.ndarray:
    frame = np.full(len(made.keys), FRAME_ID)
    return np.stack((frame, made.keys.before, made.keys.own), axis=1)


def test_transformers_runs_what_was_compiled(made) -> None:
    ids = _queries(made)[:40]
    with torch.no_grad():
        theirs = _model(made)(torch.from_numpy(ids)).logits[:, -1]
    # The fill may move a logit by a few thousandths.
    assert float((theirs - _logits(made, ids)).abs().max()) < 0.05


def test_every_link_is_recalled_both_ways(made) -> None:
    links = directed(made.graph)
    table = links.links()
    for subject, relation in np.unique(table[:, :2], axis=0):
        known = links.objects(subject, relation)
        ids = np.array(
            [[FRAME_ID, made.tokens.particle(subject), made.tokens.relation_token(int(relation))]]
        )
        logits = _logits(made, ids)[0, made.tokens.first_particle :]
        assert set(torch.topk(logits, len(known)).indices.tolist()) == set(known.tolist())


def test_the_likeliest_prediction_leads_the_others(made) -> None:
    keys, logits = made.keys, _logits(made, _queries(made))[:, made.tokens.first_particle :]
    led = compared = 0
    for key in range(len(keys)):
        row = slice(keys.objects.indptr[key], keys.objects.indptr[key + 1])
        new = ~keys.known[row]
        objects, chances = keys.objects.indices[row][new], keys.objects.data[row][new]
        if len(objects) > 1:
            compared += 1
            # Twins have equal chances, up to rounding.
            led += int(chances[int(logits[key][objects].argmax())] > 0.8 * chances.max())
    assert compared > 10
    assert led / compared > 0.9


def test_a_relation_head_reads_its_subject_and_else_the_frame(made) -> None:
    network = _network(made)
    heads = [head for head in made.parts.heads if head.asks is not None]
    assert len(heads) == min(len(relation_places(made.blueprint)), 2 * made.tokens.relations)
    assert [head.asks for head in heads][:2] == [
        made.tokens.relation_token(relation) for relation in by_weight(made.graph)[:2]
    ]
    subject = int(made.tokens.particle(np.array(3)))
    for head in heads:
        for asked in {head.asks, *(other.asks for other in heads)}:
            ids = torch.tensor([[FRAME_ID, subject, asked]])
            stream = made.parts.embed[ids]
            if made.parts.position is not None:
                stream = stream + made.parts.position[:3]
            if head.layer:
                before = Layers(
                    type(made.parts)(
                        made.parts.embed,
                        made.parts.position,
                        made.parts.unembed,
                        tuple(h for h in made.parts.heads if h.layer < head.layer),
                        (),
                    ),
                    made.blueprint,
                    network.wiring,
                )
                stream = before.residual(ids)
            looked = torch.softmax(network.scores(head, network.normalised(stream)), dim=2)[0, -1]
            assert int(looked.argmax()) == (1 if asked == head.asks else 0)
            assert float(looked.max()) > 0.98


def test_without_keys_or_relations_less_is_known(made) -> None:
    logits = _logits(made, _queries(made))
    plain = Layers(
        type(made.parts)(
            made.parts.embed, made.parts.position, made.parts.unembed, made.parts.heads[:2], ()
        ),
        made.blueprint,
        read_wiring(made.blueprint),
    )
    ids = torch.from_numpy(_queries(made))
    base = plain.normalised(plain.residual(ids)[:, -1]) @ made.parts.unembed.T
    first = made.tokens.first_particle
    chance = [torch.softmax(each[:, first:], dim=1) for each in (logits, base)]
    rows = np.repeat(np.arange(len(made.keys)), np.diff(made.keys.objects.indptr))
    known = made.keys.known
    mass = [float(p[rows[known], made.keys.objects.indices[known]].double().sum()) for p in chance]
    assert mass[0] > 1.5 * mass[1]


def test_a_longer_row_moves_no_threshold(made) -> None:
    network, keys = _network(made), made.keys
    ids = torch.from_numpy(_queries(made))[:20]
    taken, _ = next(network.passed(ids))
    other = torch.randn(made.blueprint.width, generator=torch.Generator().manual_seed(0))
    part = next(part for part in made.parts.units if part.layer == 0)
    basis = torch.linalg.qr(torch.cat((part.up[:64], torch.ones(1, len(other)))).T).Q
    assert len(keys) > 20
    # What no unit reads only shortens the rest.
    unread = other - basis @ (basis.T @ other)
    fired = [
        network.activated(part, network.normalised(rows))[..., -1, :] > 1
        for rows in (taken, taken + 0.5 * taken.norm(dim=-1, keepdim=True) * unread / unread.norm())
    ]
    assert fired[0].any()
    assert torch.equal(*fired)
