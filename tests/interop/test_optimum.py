"""An exported model in optimum's ``ORTModelForCausalLM``.

optimum-onnx 0.1 needs transformers below 5, which cannot stand beside ours: it runs in an
environment of its own, whose interpreter ``OPTIMUM_PYTHON`` names:

    python -m venv optimum && optimum/bin/pip install "optimum-onnx[onnxruntime]" "torch<2.14"
    OPTIMUM_PYTHON=optimum/bin/python pytest tests/interop/test_optimum.py
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from structinit_core.recipes.compile_job import ClosedFormJob
from structinit_core.recipes.compiling import closed_form
from structinit_core.recipes.exporting import ExportFormat, ExportJob, export_checkpoint

NEW_TOKENS = 24
PROGRAM = """
import sys
import numpy as np, torch
from optimum.onnxruntime import ORTModelForCausalLM

model = ORTModelForCausalLM.from_pretrained(sys.argv[1])
given = np.load(sys.argv[2])
inputs = {name: torch.from_numpy(given[name]) for name in given.files}
logits = model(**inputs).logits.numpy()
del inputs["position_ids"]
length = inputs["input_ids"].shape[1] + int(sys.argv[4])
generated = model.generate(
    **inputs, min_length=length, max_length=length, do_sample=False, pad_token_id=0
)
np.savez(sys.argv[3], logits=logits, generated=generated.numpy(), past=model.can_use_cache)
"""


@pytest.fixture(scope="module")
def interpreter() -> str:
    found = os.environ.get("OPTIMUM_PYTHON")
    if not found:
        pytest.skip("OPTIMUM_PYTHON does not name an interpreter that has optimum-onnx")
    return found


def test_it_answers_and_generates_as_transformers_does(
    interpreter: str, counts_path: Path, tiny_config: Path, tmp_path: Path
) -> None:
    checkpoint, exported = tmp_path / "checkpoint", tmp_path / "onnx"
    closed_form(ClosedFormJob(tiny_config, counts=counts_path), checkpoint)
    export_checkpoint(ExportJob(checkpoint, ExportFormat.ONNX), exported)
    ids = torch.randint(1, 500, (2, 16), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[0, :5] = 0
    places = (mask.cumsum(1) - 1).clamp(min=0)
    inputs = {"input_ids": ids, "attention_mask": mask, "position_ids": places}
    np.savez(tmp_path / "given.npz", **{name: each.numpy() for name, each in inputs.items()})
    files = (exported, tmp_path / "given.npz", tmp_path / "answers.npz")
    # What optimum warns of is its own; what it cannot do ends with a traceback.
    ended = subprocess.run(
        [interpreter, "-c", PROGRAM, *map(str, files), str(NEW_TOKENS)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    answers = np.load(tmp_path / "answers.npz")
    model = AutoModelForCausalLM.from_pretrained(checkpoint)
    with torch.no_grad():
        logits = model(**inputs).logits
    assert answers["past"]
    real = mask.bool().numpy()
    np.testing.assert_allclose(answers["logits"][real], logits.numpy()[real], atol=1e-4)
    length = ids.shape[1] + NEW_TOKENS
    expected = model.generate(
        input_ids=ids,
        attention_mask=mask,
        min_length=length,
        max_length=length,
        do_sample=False,
        pad_token_id=0,
    )
    assert answers["generated"].tolist() == expected.tolist()
