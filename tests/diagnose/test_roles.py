"""Checkpoints by role: fused projections taken apart, heads, ties, and what no start should be."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from structinit_core.blueprint import Blueprint, Kind, Role, make_blueprint
from structinit_core.diagnose import METRICS
from structinit_core.diagnose.report import Report
from structinit_core.initializers.stream import compiled_stream

GPT2 = {
    "model_type": "gpt2",
    "vocab_size": 40,
    "n_embd": 12,
    "n_layer": 2,
    "n_head": 3,
    "n_positions": 16,
}
LLAMA = {
    "model_type": "llama",
    "vocab_size": 40,
    "hidden_size": 12,
    "intermediate_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
}
NEOX = {
    "model_type": "gpt_neox",
    "vocab_size": 40,
    "hidden_size": 12,
    "intermediate_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
}
CONFIGS = [GPT2, LLAMA, NEOX]
Logical = dict[tuple[Role, int], Tensor]


def start(config: dict[str, Any], **set_: Tensor) -> tuple[dict[str, Tensor], Logical]:
    """A random checkpoint by stored name, and its logical weights; ``set_`` by role in layer 0."""
    blueprint = make_blueprint(config)
    draw = torch.Generator().manual_seed(0)
    compiled: dict[tuple[Role, Kind, int | None], Tensor] = {}
    for spec in blueprint.tensors:
        for role in spec.roles:
            if spec.kind is Kind.WEIGHT and len(spec.shape) == 2:
                compiled[role, spec.kind, spec.layer] = torch.randn(
                    spec.logical_shape, generator=draw
                )
    for role, tensor in set_.items():
        compiled[Role(role), Kind.WEIGHT, 0] = tensor
    tensors = {spec.name: tensor for spec, tensor in compiled_stream(blueprint, compiled, 0)}
    logical = {(role, layer): t for (role, _, layer), t in compiled.items() if layer is not None}
    return tensors, logical


def part_of(report: Report, role: str, layer: int) -> str:
    """The matrix of a role: biases have the role too, and no spectrum."""
    ranked = {check.tensor for check in report.checks if check.name == "stable_rank"}
    (name,) = (
        part.name
        for part in report.parts
        if (part.role, part.layer) == (role, layer) and part.name in ranked
    )
    return name


def circuits(blueprint: Blueprint, logical: Logical, layer: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosines of W_QᵀW_K and W_O·W_V of all heads, written out."""
    width, group = blueprint.head_width, blueprint.heads // blueprint.kv_heads

    def rows(role: Role, head: int) -> Tensor:
        return logical[role, layer][head * width : (head + 1) * width].double()

    def cosines(forms: list[Tensor]) -> np.ndarray:
        flat = torch.stack([form.flatten() / form.norm() for form in forms])
        return (flat @ flat.T).numpy()

    heads = range(blueprint.heads)
    qk = [rows(Role.ATTN_Q, h).T @ rows(Role.ATTN_K, h // group) for h in heads]
    out = logical[Role.ATTN_OUT, layer].double()
    ov = [out[:, h * width : (h + 1) * width] @ rows(Role.ATTN_V, h // group) for h in heads]
    return cosines(qk), cosines(ov)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config["model_type"])
def test_the_spectra_are_those_of_the_logical_matrices(examine, config) -> None:
    tensors, logical = start(config)
    report = examine(tensors, config)
    for (role, layer), matrix in logical.items():
        name = part_of(report, role, layer)
        largest = float(torch.linalg.svdvals(matrix.double())[0])
        assert report.value("spectral_norm", name) == pytest.approx(largest, rel=1e-6)
        assert report.value("rms", name) == pytest.approx(float(matrix.square().mean().sqrt()))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config["model_type"])
def test_heads_are_compared_by_what_they_do(examine, config) -> None:
    blueprint = make_blueprint(config)
    tensors, logical = start(config)
    report = examine(tensors, config)
    grids = {(grid.name, grid.layer): np.array(grid.rows) for grid in report.grids}
    assert len(grids) == 4
    assert {check.name for check in report.checks} <= METRICS.keys()
    for layer in range(2):
        for name, expected in zip(
            ("heads.qk", "heads.ov"), circuits(blueprint, logical, layer), strict=True
        ):
            assert grids[name, layer] == pytest.approx(expected, abs=1e-3)
            off = np.abs(expected[~np.eye(len(expected), dtype=bool)])
            found = report.value(f"{name}_diversity", f"layer {layer}")
            assert found == pytest.approx(1 - off.mean(), abs=1e-5)
        assert report.value("heads.identical", f"layer {layer}") == 0


def test_a_change_of_a_head_s_inner_basis_changes_nothing(examine) -> None:
    tensors, logical = start(GPT2)
    turn = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(1)))[0]
    block = torch.block_diag(turn, torch.eye(4), torch.eye(4))
    turned, _ = start(
        GPT2,
        attn_q=block @ logical[Role.ATTN_Q, 0],
        attn_k=block @ logical[Role.ATTN_K, 0],
    )
    one, other = (examine(t, GPT2) for t in (tensors, turned))
    for first, second in zip(one.grids, other.grids, strict=True):
        assert np.array(first.rows) == pytest.approx(np.array(second.rows), abs=2e-4)


def test_two_heads_with_the_same_circuits_are_a_warning(examine) -> None:
    _, logical = start(GPT2)
    same = {}
    for role in (Role.ATTN_Q, Role.ATTN_K, Role.ATTN_V):
        matrix = logical[role, 0].clone()
        matrix[8:12] = 2 * matrix[0:4]
        same[role.value] = matrix
    out = logical[Role.ATTN_OUT, 0].clone()
    out[:, 8:12] = out[:, 0:4]
    report = examine(start(GPT2, **same, attn_out=out)[0], GPT2)
    (check,) = (c for c in report.checks if c.name == "heads.identical" and c.value)
    assert (check.tensor, check.value, check.verdict) == ("layer 0", 1, "warn")


def test_queries_like_their_keys(examine) -> None:
    _, logical = start(LLAMA)
    keys = logical[Role.ATTN_K, 0]
    queries = keys.view(2, 2, 12).repeat_interleave(3, dim=0).reshape(12, 12)
    report = examine(start(LLAMA, attn_q=3 * queries)[0], LLAMA)
    assert report.value("qk_alignment", "layer 0") == pytest.approx(1)
    assert abs(float(report.value("qk_alignment", "layer 1"))) < 0.5
    opposite = examine(start(LLAMA, attn_q=-queries)[0], LLAMA)
    assert opposite.value("qk_alignment", "layer 0") == pytest.approx(-1)


def test_names_without_the_model_s_first_part(examine) -> None:
    tensors, _ = start(GPT2)
    bare = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    report = examine(bare, GPT2)
    assert report.value("missing") == 0
    assert len(report.grids) == 4


def test_what_the_config_does_not_know_is_looked_at_by_name(examine) -> None:
    tensors, _ = start(GPT2)
    gone = "transformer.h.1.mlp.c_fc.weight"
    del tensors[gone]
    tensors["extra"] = torch.ones(3, 3)
    tensors["transformer.wpe.weight"] = torch.randn(5, 12)
    report = examine(tensors, GPT2)
    verdicts = {check.name: (check.value, check.verdict) for check in report.checks}
    assert verdicts["missing"] == (1, "warn")
    assert verdicts["misshapen"] == (1, "warn")
    assert report.value("stable_rank", "extra") == pytest.approx(1)
    assert report.value("shape", "transformer.wpe.weight") == "5x12"


def test_a_head_of_its_own_beside_its_embedding(examine) -> None:
    config = GPT2 | {"tie_word_embeddings": False}
    tensors, _ = start(config)
    head = tensors["lm_head.weight"] = 2 * tensors["transformer.wte.weight"].clone()
    head[:20] *= -1
    report = examine(tensors, config)
    assert report.value("tied") == "untied"
    assert report.value("head_cosine") == pytest.approx(0, abs=1e-6)
    stored_twice = examine(tensors, GPT2)
    (check,) = (c for c in stored_twice.checks if c.name == "head_cosine")
    assert check.verdict == "warn"
    tensors["lm_head.weight"] = tensors["transformer.wte.weight"].clone()
    report = examine(tensors, GPT2)
    verdicts = {c.name: c.verdict for c in report.checks if c.name in ("head_cosine", "tied")}
    assert verdicts == {"head_cosine": "info", "tied": "info"}


def test_dead_products_and_silent_norms_warn(examine) -> None:
    tensors, _ = start(GPT2)
    for name in ("attn.c_proj", "mlp.c_fc", "mlp.c_proj"):
        tensors[f"transformer.h.1.{name}.weight"].zero_()
    tensors["transformer.h.0.ln_1.weight"].zero_()
    report = examine(tensors, GPT2)
    warned = [(c.name, c.value, c.tensor) for c in report.checks if c.verdict == "warn"]
    assert warned == [
        ("zero_gain", 1, "transformer.h.0.ln_1.weight"),
        ("zero_pair", "mlp_up, mlp_down", "layer 1"),
    ]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config["model_type"])
def test_a_fresh_start_is_told_nothing_bad(examine, config) -> None:
    verdicts = {check.verdict for check in examine(start(config)[0], config).checks}
    assert verdicts == {"ok", "info"}


def test_one_draw_for_two_layers_warns(examine) -> None:
    draw = torch.randn(80, 60, generator=torch.Generator().manual_seed(0))
    identity = torch.eye(60)
    tensors = {"a.1.w": draw, "a.2.w": draw, "b.1.w": identity, "b.2.w": identity}
    tensors |= {"gain.1": torch.ones(9), "gain.2": torch.ones(9), "c": draw.flip(0)}
    report = examine(tensors)
    found = [(c.tensor, c.value, c.verdict) for c in report.checks if c.name == "duplicate_of"]
    assert found == [("a.2.w", "a.1.w", "warn"), ("b.2.w", "b.1.w", "info")]


def test_rows_of_an_embedding(examine) -> None:
    tensors, _ = start(GPT2)
    rows = torch.randn(40, 12, generator=torch.Generator().manual_seed(2)).double()
    rows += torch.ones(12)
    rows[7] = 0
    tensors["transformer.wte.weight"] = rows.float()
    counts = np.arange(40)
    tensors["transformer.wte.weight"][8:] *= torch.arange(8.0, 40.0)[:, None]
    report = examine(tensors, GPT2, unigram=counts)
    unit = (rows / rows.norm(dim=1, keepdim=True))[torch.arange(40) != 7]
    cosines = (unit @ unit.T).numpy()
    mean = cosines[~np.eye(39, dtype=bool)].mean()
    assert report.value("anisotropy", "transformer.wte.weight") == pytest.approx(mean, rel=1e-5)
    assert report.value("norm_by_frequency", "transformer.wte.weight") > 0.8
    (series,) = (one for one in report.series if one.name == "norm_by_frequency")
    assert len(series.edges) == len(series.values) + 1 == 17
    norms = tensors["transformer.wte.weight"].norm(dim=1)
    last = counts >= 10 ** series.edges[-2]
    assert series.values[-1] == pytest.approx(float(norms[last].mean()), rel=1e-5)


def test_the_config_is_not_changed(examine) -> None:
    before = copy.deepcopy(LLAMA)
    examine(start(LLAMA)[0], LLAMA)
    assert before == LLAMA
