"""A GPT-2 checkpoint loaded shard by shard into transformers' own layers, and what it scores.

    python tests/benchmarks/load_shards.py CHECKPOINT COUNTS

CHECKPOINT was written by ``initctl dpi-init --counts COUNTS``, in any dtype and number of shards.
The held-out windows that its report scores run through one layer at a time, in float32, each made
by transformers and thrown away when the next one begins: a model larger than memory is loaded and
run. Printed are every shard's tensors, the loss beside the report's, and the peak of memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path

import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM

from structinit_core.blueprint import make_blueprint, read_config
from structinit_core.checkpoint import shard_files
from structinit_core.cooc import open_counts
from structinit_core.corpus import cut_windows, spread
from structinit_core.initializers.dpi import forecast
from structinit_core.initializers.dpi.settings import choose


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("counts", type=Path)
    arguments = parser.parse_args()
    config = AutoConfig.from_pretrained(arguments.checkpoint)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    report = json.loads((arguments.checkpoint / "report.json").read_text())
    known = {check["name"]: check["value"] for check in report["checks"]}
    windows = scored_windows(arguments.checkpoint, arguments.counts, report["subject"].split()[1])
    began = time.perf_counter()
    loss = run(model, arguments.checkpoint, windows)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"loss {loss:.4f} nats, the report's {known['loss.model']:.4f}")
    print(f"{time.perf_counter() - began:.0f} s, peak memory {peak:.2f} GiB")


def scored_windows(checkpoint: Path, counts: Path, variant: str) -> list[torch.Tensor]:
    """The token ids of the held-out windows that the report scores."""
    blueprint = make_blueprint(read_config(checkpoint / "config.json"))
    held = open_counts(counts)
    scored = forecast(choose(variant), blueprint).scored_tokens
    spans = spread(cut_windows(held.held_out_spans, blueprint.context), scored)
    ids = torch.from_numpy(held.held_out.ids.astype("int64"))
    return [ids[start:stop].unsqueeze(0) for start, stop in spans.tolist()]


@torch.no_grad()
def run(model: torch.nn.Module, checkpoint: Path, windows: list[torch.Tensor]) -> float:
    """Mean loss in nats, each part of the model in memory only while it works."""
    inner = model.transformer
    hidden: list[torch.Tensor] = []

    def embed(_: torch.nn.Module) -> None:
        hidden.extend(inner.wte(ids) + inner.wpe(torch.arange(ids.shape[1])) for ids in windows)

    def through(part: torch.nn.Module) -> None:
        for at, state in enumerate(hidden):
            after = part(state)
            hidden[at] = after[0] if isinstance(after, tuple) else after

    parts = [("transformer.wte", None), ("transformer.wpe", embed)]
    parts += [(f"transformer.h.{layer}", through) for layer in range(len(inner.h))]
    parts += [("transformer.ln_f", through), ("lm_head", through)]
    missing = {
        name: {n for n, _ in model.get_submodule(name).named_parameters()} for name, _ in parts
    }
    for shard in shard_files(checkpoint):
        with safe_open(shard, "pt") as stored:
            names = list(stored.keys())
            for name in names:
                owner = next(at for at in missing if name.startswith(at + "."))
                place(model, name, stored.get_tensor(name).float())
                missing[owner].discard(name.removeprefix(owner + "."))
        while parts and not missing[parts[0][0]]:
            name, work = parts.pop(0)
            if work is not None:
                work(model.get_submodule(name))
                model.get_submodule(name).to("meta")
        print(f"{shard.name}: {len(names)} tensors, up to {parts[0][0] if parts else 'the end'}")
    assert not parts, f"never loaded: {parts[0][0]}"
    total = sum(
        float(torch.nn.functional.cross_entropy(logits[0, :-1], ids[0, 1:], reduction="sum"))
        for logits, ids in zip(hidden, windows, strict=True)
    )
    return total / sum(ids.shape[1] - 1 for ids in windows)


def place(model: torch.nn.Module, name: str, tensor: torch.Tensor) -> None:
    module, leaf = name.rsplit(".", 1)
    at = model.get_submodule(module)
    assert at.get_parameter(leaf).shape == tensor.shape, name
    setattr(at, leaf, torch.nn.Parameter(tensor, requires_grad=False))


if __name__ == "__main__":
    main()
