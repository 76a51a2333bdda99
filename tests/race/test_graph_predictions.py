"""The preset ``graph-predictions``: its sequences, its starts, its words, and a whole small run."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from structinit_core.errors import InputError
from structinit_core.graph import UNTYPED, pagerank
from structinit_core.graph.shape import concentration, neuron_weight
from structinit_core.model import load_model
from structinit_core.progress import Silent
from structinit_core.race.graph_predictions import (
    GraphPredictionsProtocol,
    GraphPredictionsRace,
    GraphPredictionsResult,
    race_graph_predictions,
)
from structinit_core.race.graph_predictions.domain import DEBIAN, WORDNET, Domain, read_domain
from structinit_core.race.graph_predictions.labels import Labels, words_of
from structinit_core.race.graph_predictions.page import result_page
from structinit_core.race.graph_predictions.predictions import predictions, steps_saved
from structinit_core.race.graph_predictions.result import ArmRuns, GraphFacts, SeedRun, TextFacts
from structinit_core.race.graph_predictions.sequences import race_texts
from structinit_core.race.graph_predictions.starts import (
    Start,
    concentrated,
    permuted,
    write_start,
)

PARTICLES = 60
CPU = torch.device("cpu")
CHECKED_IN = Path(__file__).parents[2] / "fixtures/results/graph-predictions"
SMALL = GraphPredictionsProtocol(
    particles=50,
    extra_words=20,
    held_out=0.2,
    width=96,
    layers=1,
    heads=6,
    ginis=(0.0, 0.7),
    steps=4,
    sweep_steps=2,
    batch_tokens=64,
    eval_tokens=256,
    rates=(1e-3,),
    seeds=2,
)


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> tuple[Path, Path, Path]:
    """A ring of synsets and one of packages in both layouts, and a general text."""
    root = tmp_path_factory.mktemp("graphs")
    synsets, links = ["id\tlemmas\tsense_count\tdefinition\texamples"], ["from\ttype\tto"]
    packages, depends = ["package\tneuron\tsummary\tdescription"], ["from\ttype\tto"]
    for i in range(PARTICLES):
        after = (i + 1) % PARTICLES
        text = f"a thing{after} of thing {after} and thing{i}"
        synsets.append(f"s{i}\tthing{i}|thing {i}\t{PARTICLES - i}\t{text}\tsee thing{after}|go")
        links += [f"s{i}\thyponym\ts{after}", f"s{after}\thypernym\ts{i}"]
        packages.append(
            f"thing{i}\tm{i % 7 % 5}\tthe thing{after}\\nuses thing{i}\tas thing{after}"
        )
        depends += [f"thing{i}\tdepends\tthing{after}", f"thing{i}\ttag:use\ttag:use::net"]
    _write(root / "wordnet", "synsets.tsv.gz", synsets, links)
    _write(root / "debian", "packages.tsv.gz", packages, depends)
    lines = (f"people saw thing{i % 7} and a thing{i % 5} of it\n\n" for i in range(80))
    (root / "general.txt").write_text("".join(lines))
    return root / "wordnet", root / "debian", root / "general.txt"


def _write(directory: Path, name: str, nodes: list[str], links: list[str]) -> None:
    directory.mkdir()
    for file, lines in ((name, nodes), ("edges.tsv.gz", links)):
        with gzip.open(directory / file, "wt", encoding="utf-8") as stream:
            stream.write("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def domain(places) -> Domain:
    return read_domain(WORDNET, places[0], SMALL.particles, Silent())


@pytest.fixture(scope="module")
def published(places, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("predictions") / "out"
    assert race_graph_predictions(_job(places), output)
    return output


def _job(places) -> GraphPredictionsRace:
    return GraphPredictionsRace(places[0], places[1], [places[2]], SMALL)


def test_the_longest_label_that_fits_is_taken() -> None:
    labels = Labels([(0, "horse"), (1, "Horse race track"), (2, "race"), (3, "horse")])
    words = words_of("A horse race, a HORSE RACE TRACK; horse-drawn")
    assert labels.match(words) == ["a", 0, 2, ",", "a", 1, ";", "horse-drawn"]
    assert labels.only([-1, 0, 1, -1]).match(words_of("horse race horse race track")) == [
        "horse",
        1,
        0,
    ]


def test_links_are_those_of_the_files_without_types(domain: Domain) -> None:
    graph = domain.graph
    assert list(graph.relations) == [UNTYPED]
    assert len(graph.particles) == SMALL.particles
    names = list(graph.particles)
    pairs = [(names[s], names[o]) for s, o in zip(graph.subject, graph.object, strict=True)]
    near = {(f"s{i}", f"s{(i + step) % PARTICLES}") for i in range(PARTICLES) for step in (1, -1)}
    assert set(pairs) == {pair for pair in near if set(pair) <= set(names)}
    assert len(pairs) == len(set(pairs))


def test_neurons_are_those_of_the_subject_s_row(places) -> None:
    graph = read_domain(DEBIAN, places[1], SMALL.particles, Silent()).graph
    for subject, neuron in zip(graph.subject.tolist(), graph.neuron.tolist(), strict=True):
        number = int(graph.particles[subject].removeprefix("thing"))
        assert graph.neurons[neuron] == f"m{number % 7 % 5}"


def test_sequences_begin_with_what_they_are_about(domain: Domain) -> None:
    general_texts = [f"thing{1 + i % 9} is unheard {i}" for i in range(40)]
    vocabulary, (text, general) = race_texts(domain, general_texts, SMALL)
    tokens = vocabulary.tokens
    assert text.facts.matched > 0.3
    assert 0 < general.facts.matched == pytest.approx(1 / 4)
    begins = text.train.offsets[:-1]
    assert not text.train.ids[begins].any()
    assert (text.train.ids[begins + 1] >= tokens.first_particle).all()
    assert (text.train.ids[begins + 1] < tokens.vocabulary).all()
    assert int(text.train.ids.max()) < vocabulary.size


def logits_of(domain: Domain, start: Start, directory: Path, *ids: int) -> torch.Tensor:
    """After each of the ids alone behind the frame, (n, V)."""
    vocabulary, (text, *_) = race_texts(domain, (), SMALL)
    directory.mkdir()
    write_start(directory, start, text.counted, vocabulary.tokens, SMALL, 1)
    model = load_model(directory, CPU)
    return model(torch.tensor([[0, one] for one in ids])).logits[:, -1].detach().double()


def test_a_compiled_start_knows_links_and_the_focus(domain: Domain, tmp_path: Path) -> None:
    vocabulary, _ = race_texts(domain, (), SMALL)
    tokens = vocabulary.tokens
    first, unknown = tokens.first_particle, tokens.vocabulary + 2
    after = logits_of(domain, Start(domain.graph), tmp_path / "a", first + 3, unknown)
    linked = first + domain.graph.object[domain.graph.subject == 3]
    assert len(linked)
    assert float(after[0, linked].mean()) > float(after[0, first : tokens.vocabulary].mean()) + 1
    prior = torch.ones(vocabulary.size, dtype=torch.float64)
    prior[first : tokens.vocabulary] = tokens.particles * torch.from_numpy(
        pagerank(domain.graph).values
    )
    wanted = torch.log(prior / prior.sum())
    assert torch.log_softmax(after[1], 0).numpy() == pytest.approx(wanted.numpy(), abs=0.5)


def test_a_word_s_rows_are_as_long_as_a_particle_s(domain: Domain, tmp_path: Path) -> None:
    logits_of(domain, Start(domain.graph), tmp_path / "a", 0)
    rows = load_model(tmp_path / "a", CPU).get_input_embeddings().weight.detach()
    lengths = rows.norm(dim=1).numpy()
    assert lengths == pytest.approx(np.full(len(rows), SMALL.width**0.5), rel=1e-4)


def test_both_unigram_starts_say_the_same_after_an_unlinked_word(
    domain: Domain, tmp_path: Path
) -> None:
    vocabulary, (text, *_) = race_texts(domain, (), SMALL)
    unknown = vocabulary.tokens.vocabulary + 2
    wanted = np.log((text.counted + 0.5) / (text.counted + 0.5).sum())
    for name, graph in (("baseline", None), ("compiled", domain.graph)):
        (after,) = logits_of(domain, Start(graph, unigram=True), tmp_path / name, unknown)
        assert torch.log_softmax(after, 0).numpy() == pytest.approx(wanted, abs=0.5), name


def test_permuted_particles_keep_the_graph_s_shape(domain: Domain) -> None:
    graph, other = domain.graph, permuted(domain.graph, 1)
    assert not np.array_equal(graph.subject, other.subject)
    for ends in ("subject", "object"):
        counts = [np.sort(np.bincount(getattr(g, ends), minlength=50)) for g in (graph, other)]
        assert np.array_equal(*counts)


def test_stakes_reach_the_gini_asked_for(places) -> None:
    graph = read_domain(DEBIAN, places[1], SMALL.particles, Silent()).graph
    even, share = concentrated(graph, 0.0)
    assert np.ptp(even.weight) == pytest.approx(0, abs=1e-9)
    uneven, top = concentrated(graph, 0.7)
    stakes = [uneven.weight[uneven.neuron == n][0] for n in np.unique(uneven.neuron)]
    assert concentration(np.array(stakes)).gini == pytest.approx(0.7, abs=1e-6)
    assert top > share
    assert int(neuron_weight(uneven).argmax()) == int(np.bincount(graph.neuron).argmax())


def test_equal_runs_write_equal_bytes(published: Path, places, tmp_path: Path) -> None:
    assert not race_graph_predictions(_job(places), published)
    race_graph_predictions(_job(places), tmp_path / "again")
    for name in ("graph-predictions.json", "graph-predictions.html", "manifest.json"):
        assert (published / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_the_result_says_all_five(published: Path) -> None:
    text = (published / "graph-predictions.json").read_text(encoding="utf-8")
    result = GraphPredictionsResult.model_validate_json(text)
    assert [one.number for one in result.predictions] == [1, 2, 3, 4, 5]
    assert result.predictions[4].verdict == "out of reach"
    assert [one.name for one in result.texts] == ["wordnet-3.0", "general", "debian-packages"]
    assert len(result.arms) == 5 + 2 + 3
    for arm in result.arms:
        assert [run.seed for run in arm.runs] == [1, 2]
        assert {run.steps[-1] for run in arm.runs} == {SMALL.steps}
        assert arm.rate in [trial.rate for trial in arm.sweep]
    assert result.predictions == predictions(result.arms, result.graphs, result.texts)
    assert (published / "graph-predictions.html").read_text("utf-8") == result_page(result)


def test_what_is_not_there_is_refused(places, tmp_path: Path) -> None:
    job = GraphPredictionsRace(places[0], tmp_path, [places[2]], SMALL)
    with pytest.raises(InputError, match="is not there"):
        race_graph_predictions(job, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def run(*losses: float, seed: int = 1) -> SeedRun:
    return SeedRun(seed=seed, steps=(0, 10, 20), losses=losses)


def test_steps_saved_changes_sign_where_arms_are_exchanged() -> None:
    slow, fast = run(8, 7, 6), run(8, 6, 5)
    assert steps_saved(fast, slow) == 0.5
    assert steps_saved(slow, fast) == -0.5
    assert steps_saved(slow, slow) == 0
    assert steps_saved(fast, slow, share=0.5) == 0.5
    ahead = run(5.5, 5.4, 5.3)
    assert (steps_saved(ahead, slow), steps_saved(slow, ahead)) == (1, -1)


def _story(gains: dict[tuple[str, str], float]) -> tuple:
    """Predictions of three seeds whose arms are so many nats below the default throughout."""
    arms = [
        ArmRuns(
            text=text,
            arm=arm,
            rate=1e-3,
            sweep=(),
            runs=tuple(
                run(*(loss - gain + seed / 100 for loss in (8.0, 7.0, 6.0)), seed=seed)
                for seed in range(3)
            ),
        )
        for (text, arm), gain in gains.items()
    ]
    graphs = [
        GraphFacts(
            text="p",
            arm=f"at {gini}",
            particles=9,
            links=9,
            effective_rank=3.0 - gini,
            gini=gini,
            top=0.5,
        )
        for gini in (0.0, 0.9)
    ]
    texts = [
        TextFacts(
            name=name,
            documents=1,
            words=1,
            matched=1,
            extra=0,
            train_tokens=1,
            scored_tokens=1,
            vocabulary=10,
        )
        for name in ("d", "g", "p")
    ]
    return predictions(arms, graphs, texts)


@pytest.mark.parametrize(
    ("gain", "verdict"), [(0.5, "holds"), (-0.5, "does not hold"), (0.0, "not decided")]
)
def test_verdicts_follow_the_runs(gain: float, verdict: str) -> None:
    found = _story(
        {
            ("d", "default"): 0.0,
            ("d", "unigram-bias"): 1.0,
            ("d", "compiled"): gain,
            ("d", "compiled, unigram-bias"): 1.0,
            ("d", "compiled, particles permuted"): 0.1,
            ("g", "default"): 0.0,
            ("g", "compiled"): 0.0,
            ("p", "default"): 0.0,
            ("p", "at 0.0"): gain,
            ("p", "at 0.9"): 0.0,
        }
    )
    assert [one.verdict for one in found] == [verdict] * 4 + ["out of reach"]
    assert "d*, which the source says falls with concentration, falls" in found[3].said


def test_the_result_checked_in_is_the_preset_s_and_says_what_its_numbers_say() -> None:
    text = (CHECKED_IN / "graph-predictions.json").read_text(encoding="utf-8")
    result = GraphPredictionsResult.model_validate_json(text)
    assert result.protocol == GraphPredictionsProtocol().model_dump(mode="json")
    assert result.predictions == predictions(result.arms, result.graphs, result.texts)
    page = (CHECKED_IN / "graph-predictions.html").read_text(encoding="utf-8")
    assert page == result_page(result)
    for arm in result.arms:
        losses = {trial.rate: trial.loss for trial in arm.sweep if trial.loss is not None}
        assert losses[arm.rate] == min(losses.values())
        assert len(arm.sweep) >= 3
