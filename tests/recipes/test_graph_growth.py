"""Growth: an increment is close to a full compilation, and is made only where it can be."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from structinit_core.artifact import read_manifest
from structinit_core.checkpoint import read_tensors
from structinit_core.errors import IncompatibleError, InputError, UsageError
from structinit_core.graph import Graph, LinkSource, directed, numbered_like, read_graph
from structinit_core.initializers.graph import FRAME_ID, GraphTokens
from structinit_core.recipes.graph_compile import graph_compile
from structinit_core.recipes.graph_job import GraphCompileJob

UMLS = Path(__file__).parents[2] / "fixtures/graphs/umls"
KINDS = {"isa", "causes", "location_of"}
LATE = {"fungus", "steroid", "vitamin", "injury_or_poisoning", "cell_function"}
FEW = 8


def links_of(name: str) -> list[str]:
    lines = (UMLS / f"{name}.tsv").read_text().splitlines(keepends=True)
    return [line for line in lines if line.split("\t")[1] in KINDS]


@dataclass(frozen=True)
class Growth:
    """A list of links and a longer one, the job of either, and three checkpoints."""

    before: Path
    after: Path
    job: GraphCompileJob
    earlier: Path
    increment: Path
    full: Path

    def of(self, links: Path, **options: object) -> GraphCompileJob:
        return replace(self.job, source=LinkSource([links]), **options)


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def grown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Growth:
    """A graph to which five particles and a few other links are added."""
    home = tmp_path_factory.mktemp("growth")
    lines = links_of("train")
    late = [bool(LATE & set(line.rstrip("\n").split("\t"))) for line in lines]
    first = [line for line, is_late in zip(lines, late, strict=True) if not is_late]
    added = first[-FEW:] + [line for line, is_late in zip(lines, late, strict=True) if is_late]
    before, after = home / "before.tsv", home / "after.tsv"
    before.write_text("".join(first[:-FEW]))
    after.write_text("".join(first[:-FEW] + added))
    job = GraphCompileJob(LinkSource([after]), family=request.param, heads=4, keys=700)
    growth = Growth(before, after, job, home / "earlier", home / "increment", home / "full")
    graph_compile(growth.of(before), growth.earlier)
    graph_compile(
        replace(job, since=growth.earlier, full_beyond=2.0, fold_in="svd"), growth.increment
    )
    graph_compile(job, growth.full)
    return growth


def report(directory: Path) -> dict[str, object]:
    checks = json.loads((directory / "report.json").read_text())["checks"]
    return {check["name"]: check["value"] for check in checks}


def tensors(directory: Path) -> dict[str, torch.Tensor]:
    return dict(read_tensors(directory))


def model_of(directory: Path) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(directory).eval()


def graph_of(links: Path) -> Graph:
    return read_graph(LinkSource([links]))[0]


def logits(model: PreTrainedModel, graph: Graph, queries: np.ndarray) -> np.ndarray:
    """Of all particles after each (subject, directed relation)."""
    tokens = GraphTokens(len(graph.relations), len(graph.particles))
    frame = np.full(len(queries), FRAME_ID)
    ids = np.stack((frame, tokens.particle(queries[:, 0]), tokens.relation(queries[:, 1])), axis=1)
    with torch.no_grad():
        found = model(torch.from_numpy(ids)).logits[:, -1, tokens.first_particle :]
    return found.numpy()


def recalled(found: np.ndarray, graph: Graph, queries: np.ndarray) -> float:
    """Which share of the known objects is among as many best."""
    links, hits, total = directed(graph), 0, 0
    for row, (subject, relation) in zip(found, queries, strict=True):
        known = links.objects(int(subject), int(relation))
        best = np.argsort(-row)[: len(known)]
        hits, total = hits + len(np.intersect1d(best, known)), total + len(known)
    return hits / total


def test_all_facts_are_recalled_after_growth(grown: Growth) -> None:
    graph, count = graph_of(grown.after), len(graph_of(grown.before))
    queries = np.unique(directed(graph).links()[:, :2], axis=0)
    found = logits(model_of(grown.increment), graph, queries)
    assert recalled(found, graph, queries) >= 0.99
    added = directed(graph.only(np.arange(len(graph)) >= count)).links()[:, :2]
    fresh = np.array([bool((added == query).all(axis=1).any()) for query in queries])
    assert recalled(found[fresh], graph, queries[fresh]) >= 0.97
    earlier = logits(model_of(grown.earlier), graph_of(grown.before), np.array([[0, 0]]))
    assert earlier.shape[1] == len(graph.particles) - len(LATE)


def test_an_increment_says_what_a_full_compilation_says(grown: Growth) -> None:
    graph = graph_of(grown.after)
    queries = np.unique(directed(graph).links()[:, :2], axis=0)
    one, other = (logits(model_of(at), graph, queries) for at in (grown.increment, grown.full))
    chances = [torch.log_softmax(torch.from_numpy(each), dim=1).exp() for each in (one, other)]
    # Half the L1 distance of two distributions is at most 1.
    apart = 0.5 * float((chances[0] - chances[1]).abs().sum(dim=1).mean())
    assert apart < 0.15


def test_held_out_links_are_predicted_as_well(grown: Growth, tmp_path: Path) -> None:
    graph = graph_of(grown.after)
    held = tmp_path / "test.tsv"
    held.write_text("".join(links_of("test") + links_of("valid")))
    known, asked = directed(graph), directed(numbered_like(graph_of(held), graph)[0]).links()
    ranks = []
    for at in (grown.increment, grown.full):
        found = logits(model_of(at), graph, asked[:, :2])
        for row, (subject, relation, wanted) in zip(found, asked, strict=True):
            here = np.setdiff1d(known.objects(int(subject), int(relation)), wanted)
            row[here] = -np.inf
        ranks.append((found >= found[np.arange(len(asked)), asked[:, 2]][:, None]).sum(axis=1))
    increment, full = (float((1 / rank).mean()) for rank in ranks)
    assert full > 0.4
    assert increment > full - 0.03


def test_earlier_rows_stay_as_they_are(grown: Growth) -> None:
    before, after = tensors(grown.earlier), tensors(grown.increment)
    graph = graph_of(grown.before)
    tokens = GraphTokens(len(graph.relations), len(graph.particles))
    count = tokens.vocabulary
    assert before.keys() == after.keys()
    moved = {
        name for name in before if not torch.equal(before[name], after[name][: len(before[name])])
    }
    assert moved
    assert all(".mlp." in name or "head" in name for name in moved)
    embed, head = (
        next(name for name in before if name.endswith(end))
        for end in (("wte.weight", "embed_tokens.weight"), ("lm_head.weight",))
    )
    assert torch.equal(before[embed], after[embed][:count])
    rows = np.flatnonzero((before[head] != after[head][:count]).any(dim=1).numpy())
    # Only objects of new links may have joined those of a key with many.
    grown_graph = graph_of(grown.after)
    new = grown_graph.only(np.arange(len(grown_graph)) >= len(graph))
    assert set(rows - tokens.first_particle) <= {*new.subject.tolist(), *new.object.tolist()}
    said = report(grown.increment)
    assert (said["growth"], said["growth.reason"]) == ("increment", None)
    assert (said["growth.particles"], said["growth.links"]) == (len(LATE), len(new))
    assert 0 < said["growth.focus_distance"] < 2
    assert said["facts.stored"] == 2 * len(grown_graph)


def test_new_rows_are_of_the_same_length(grown: Growth) -> None:
    rows = next(t for n, t in tensors(grown.increment).items() if "wte" in n or "embed" in n)
    lengths = rows[1:].double().norm(dim=1)
    particles = lengths[len(graph_of(grown.before).particles) + 1 :]
    assert float((particles / lengths.median() - 1).abs().max()) < 1e-3


def test_beyond_the_distance_all_is_compiled_from_the_earlier_subspaces(
    grown: Growth, tmp_path: Path
) -> None:
    warned: list[str] = []

    class Listener:
        def stage(self, name: str, total: int | None = None) -> None:
            pass

        def advance(self, steps: int = 1) -> None:
            pass

        def warn(self, message: str) -> None:
            warned.append(message)

    job = replace(grown.job, since=grown.earlier, full_beyond=0.001)
    graph_compile(job, tmp_path / "out", progress=Listener())
    said, plain = report(tmp_path / "out"), report(grown.full)
    assert said["growth"] == "full"
    assert warned == [f"compiled in full: {said['growth.reason']}"]
    assert f"{said['growth.focus_distance']:.3g}" in warned[0]
    assert said["focus.iterations"] < plain["focus.iterations"]
    graph = graph_of(grown.after)
    queries = np.unique(directed(graph).links()[:, :2], axis=0)
    found = logits(model_of(tmp_path / "out"), graph, queries)
    assert recalled(found, graph, queries) >= 0.99


def test_night_after_night_in_one_place(grown: Growth, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = grown.of(grown.before, since=out, full_beyond=2.0)
    assert graph_compile(first, out)
    assert report(out)["growth"] == "full"
    night = tensors(out)
    assert all(torch.equal(night[name], each) for name, each in tensors(grown.earlier).items())
    assert not graph_compile(first, out)
    second = grown.of(grown.after, since=out, full_beyond=2.0)
    assert graph_compile(second, out)
    assert report(out)["growth"] == "increment"
    night = tensors(out)
    assert all(torch.equal(night[name], each) for name, each in tensors(grown.increment).items())
    before = read_manifest(out)
    assert not graph_compile(second, out)
    assert read_manifest(out) == before
    # Without the option the same links are compiled anew.
    assert graph_compile(grown.of(grown.after), out)
    assert "since" not in read_manifest(out).recipe.params


def test_focus_is_compared_with_the_last_full_compilation(grown: Growth, tmp_path: Path) -> None:
    longer = tmp_path / "longer.tsv"
    more = [f"{name}\tcauses\thuman\n" for name in sorted(LATE)]
    longer.write_text(grown.after.read_text() + "".join(more))
    out = tmp_path / "out"
    graph_compile(grown.of(longer, since=grown.increment, full_beyond=2.0), out)
    direct = tmp_path / "direct"
    graph_compile(grown.of(longer, since=grown.earlier, full_beyond=2.0), direct)
    twice, once = (report(at)["growth.focus_distance"] for at in (out, direct))
    assert twice == pytest.approx(once, abs=1e-6)
    graph = graph_of(longer)
    queries = np.unique(directed(graph).links()[:, :2], axis=0)
    assert recalled(logits(model_of(out), graph, queries), graph, queries) >= 0.99


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda lines: [*reversed(lines)], "do not begin with the earlier ones"),
        (lambda lines: lines[:40] + lines[41:], "do not begin with the earlier ones"),
        (lambda lines: [*lines, "fungus\tloves\thuman\n"], "1 relations are new"),
    ],
)
def test_other_links_are_compiled_in_full(
    grown: Growth, tmp_path: Path, change: object, reason: str
) -> None:
    if grown.job.family == "llama":
        pytest.skip("the same for every family")
    other = tmp_path / "other.tsv"
    other.write_text("".join(change(grown.before.read_text().splitlines(keepends=True))))
    graph_compile(grown.of(other, since=grown.earlier, predict=True), tmp_path / "out")
    said = report(tmp_path / "out")
    assert said["growth"] == "full"
    assert reason in said["growth.reason"]


def test_another_size_or_a_damaged_state_is_compiled_in_full(grown: Growth, tmp_path: Path) -> None:
    graph_compile(grown.of(grown.after, since=grown.earlier, width=208), tmp_path / "wide")
    assert report(tmp_path / "wide")["growth.reason"] == "width is 208, it was None"
    damaged = tmp_path / "damaged"
    shutil.copytree(grown.earlier, damaged)
    place = damaged / "growth" / "key_unit.npy"
    units = np.load(place)
    units[0] = 1 << 20
    np.save(place, units)
    graph_compile(grown.of(grown.after, since=damaged), tmp_path / "out")
    assert "names units that it does not have" in report(tmp_path / "out")["growth.reason"]


def test_what_is_no_earlier_checkpoint_is_refused(grown: Growth, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no earlier checkpoint"):
        graph_compile(grown.of(grown.after, since=tmp_path / "nowhere"), tmp_path / "out")
    (tmp_path / "other").mkdir()
    with pytest.raises(IncompatibleError, match="no checkpoint that graph-compile published"):
        graph_compile(grown.of(grown.after, since=tmp_path / "other"), tmp_path / "out")
    with pytest.raises(UsageError, match="overlap"):
        graph_compile(grown.of(grown.after, since=grown.earlier), grown.earlier / "in")
    with pytest.raises(UsageError, match="no distance"):
        grown.of(grown.after, full_beyond=float("nan"))
    assert not (tmp_path / "out").exists()
