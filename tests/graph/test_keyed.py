"""Stakes and labels beside the links."""

from __future__ import annotations

import json
from math import log1p

import pytest

from structinit_core.errors import InputError
from structinit_core.graph import Graph, KeyedFile, LinkSource, read_graph
from structinit_core.graph.labels import MAX_LABEL

LINKS = "neuron,from,to\nn,a,b\nm,b,c\n,c,a\n"


@pytest.mark.parametrize(
    ("name", "text", "key", "value"),
    [
        ("s.csv", "address,stake\nn,9\nm,0.5\n", "", ""),
        ("s.tsv", "n\t9\nm\t0.5\n", "", ""),
        ("s.tsv", "neuron\tlinks\tcommits\nn\t1\t9\nm\t1\t0.5\n", "", "commits"),
        ("s.csv", "stake,who\n9,n\n0.5,m\n", "WHO", ""),
        ("s.json", '{"n": 9, "m": "0.5"}', "", ""),
        ("s.jsonl", '{"neuron": "n", "stake": 9}\n\n{"neuron": "m", "stake": 0.5}\n', "", ""),
    ],
)
def test_the_stake_of_a_neuron(put, name: str, text: str, key: str, value: str) -> None:
    stakes = KeyedFile(put(name, text), key, value)
    graph, facts = read_graph(LinkSource([put("a.csv", LINKS)], stakes=stakes))
    assert graph.weight == pytest.approx([log1p(9), log1p(0.5), 1], rel=1e-15)
    assert facts.unknown_neurons == 0


def test_an_amount_is_multiplied_by_the_factor(put) -> None:
    links = put("a.csv", "neuron,from,to,amount\nn,a,b,2\nm,a,b,3\n")
    graph, facts = read_graph(LinkSource([links], stakes=KeyedFile(put("s.tsv", "n\t7\n"))))
    assert graph.weight == pytest.approx([2 * log1p(7) + 3], rel=1e-15)
    assert facts.unknown_neurons == 1


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("s.csv", "n,9\nm,-1\n", "stake is no number from 0"),
        ("s.csv", "n,9\nm,nan\n", "stake is no number from 0"),
        ("s.csv", "n,9\nn,8\n", "'n' is named twice"),
        ("s.csv", "neuron,coins\nn,9\n", "neither a header"),
        ("s.csv", "a,b,c\nn,9,1\n", "no known columns"),
        ("s.csv", "n,9\nm\n", "1 fields, too few"),
        ("s.csv", '"n,9\n', "unexpected end"),
        ("s.json", "[1]", "no JSON object"),
        ("s.json", '{"n": [1]}', "neither text nor a number"),
        ("s.jsonl", '{"neuron": "n"}\n', "no known columns"),
        ("s.tsv", b"n\t9\n\xff\t8\n", "invalid UTF-8"),
    ],
)
def test_stakes_that_cannot_be_used(put, name: str, text: str, match: str) -> None:
    with pytest.raises(InputError, match=match) as caught:
        read_graph(LinkSource([put("a.csv", LINKS)], stakes=KeyedFile(put(name, text))))
    assert name in str(caught.value.where)


def labelled(put, name: str, text: str, value: str = "") -> Graph:
    labels = KeyedFile(put(name, text), value=value)
    return read_graph(LinkSource([put("a.csv", LINKS)], labels=labels))[0]


def test_labels_are_one_line_and_fit_to_show(put) -> None:
    long = "word " * 40
    records = [
        {"cid": "b", "text": "\n \n# A  title\x1b[31m\nbody", "origin": "x"},
        {"cid": "b", "text": "not the first"},
        {"cid": "zzz", "text": "of no particle"},
        {"cid": "c", "text": long},
    ]
    graph = labelled(put, "l.jsonl", "".join(json.dumps(record) + "\n" for record in records))
    assert graph.labels is not None
    assert graph.labels[1] == "# A title [31m"
    assert len(graph.labels[2]) <= MAX_LABEL
    assert graph.labels[2].endswith("…")
    assert long.startswith(graph.labels[2][:-1])
    assert [graph.label(0), graph.labels[0]] == ["a", ""]


def test_labels_of_a_table(put) -> None:
    text = 'id\tpos\tlemmas\na\tn\tone|"two\nc\tn\t\n'
    graph = labelled(put, "l.tsv", text, "lemmas")
    assert list(graph.labels or []) == ['one|"two', "", ""]
    graph = labelled(put, "l.csv", 'id,text\na,"x\ny, z"\n')
    assert list(graph.labels or []) == ["x", "", ""]


def test_a_label_that_is_there_twice_is_found_first(put) -> None:
    graph = labelled(put, "l.tsv", "c\tsame\nb\tsame\n")
    assert graph.labels is not None
    assert (graph.labels.find("same"), graph.labels.find("")) == (1, 0)
