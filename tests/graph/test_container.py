"""``.graph`` containers: records of 128 bytes, the other layout refused by name."""

from __future__ import annotations

import gzip
import struct

import pytest

from structinit_core.errors import InputError, StructinitError
from structinit_core.graph import NO_NEURON, LinkSource, axon, read_graph


def record(
    subject: int, target: int, *, amount: int = 1, valence: int = 1, height: int = 0, token: int = 0
) -> bytes:
    """A cyberlink as the seed's program lays it out."""
    ends = b"".join(bytes([number]) * 32 for number in (7, subject, target))
    amounts = struct.pack("<QQ", amount & (1 << 64) - 1, amount >> 64)
    return ends + struct.pack("<I", token) + amounts + struct.pack("<bQ3x", valence, height)


def container(*records: bytes, size: int | None = None, name: str = "cyberlinks") -> bytes:
    body = b"".join(records)
    announced = len(body) if size is None else size
    head = (
        '[cyb]\ntypes = ["graph"]\nname = "x"\n'
        '[[files]]\nname = "card"\nformat = "text"\n'
        '[[files]]\nname = "blob"\nformat = "bin"\nsize = 5\n'
        f'[[files]]\nname = "{name}"\nformat = "bin"\nsize = {announced}\n'
    )
    return (
        f"{head}~~~card\nwords\n~~ more\n~~~blob\n".encode()
        + b"~~~a\n\n"
        + f"~~~{name}\n".encode()
        + body
        + b"\n"
    )


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_records_are_links(put, pack) -> None:
    records = [
        record(1, 2, amount=3, height=9),
        record(1, 2, amount=(1 << 64) + 1, height=10),
        record(2, 171, amount=5, valence=0),
        record(171, 1),
    ]
    graph, facts = read_graph(LinkSource([put("a.graph", pack(container(*records)))]))
    assert list(graph.particles) == ["01" * 32, "02" * 32, "ab" * 32]
    assert list(graph.neurons) == ["07" * 32]
    assert graph.weight.tolist() == [4 + 2.0**64, 1]
    assert (graph.height.tolist(), facts.clipped, NO_NEURON in graph.neuron) == ([9, 0], 1, False)


def test_bad_records_are_set_aside_by_number(put, tmp_path) -> None:
    records = [record(1, 2), record(1, 3, valence=2), record(2, 3, height=1 << 63)]
    quarantine = tmp_path / "quarantine.jsonl"
    path = put("a.graph", container(*records))
    graph, facts = read_graph(LinkSource([path], max_bad=2), quarantine)
    assert (len(graph), facts.bad) == (1, 2)
    lines = quarantine.read_text().splitlines()
    assert ['"line": 2' in lines[0], '"line": 3' in lines[1]] == [True, True]


def test_an_axon_of_hashed_names_is_of_their_digits() -> None:
    assert len(axon("01" * 32, "02" * 32)) == 64


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (container(record(1, 2), name="signals"), "'signals'"),
        (container(record(1, 2), name="links"), "no section 'cyberlinks'"),
        (container(record(1, 2), size=127), "multiple of 128"),
        (container(record(1, 2), size=128 * 10**9), "1,000,000,000 records are announced"),
        (container(record(1, 2), record(2, 1, token=4)), "tokens 0 and 4"),
        (container(record(1, 2)).replace(b"size = 128", b"size = true"), "none"),
        (container(record(1, 2)).replace(b"size = 128\n", b"\n"), "multiple of 128"),
        (container(record(1, 2)).replace(b"~~~cyberlinks", b"~~~elsewhere"), "breaks off before"),
        (container(record(1, 2)).replace(b"size = 5", b"size = 5000000000"), "breaks off before"),
        (b"from,to\na,b\n", "no container"),
        (b"", "no container"),
        (b"\xff\n~~~a\n", "no list of files"),
        (b"files = 3\n~~~a\n", "no list of files"),
        (b"[[files]]\nname = [1]\n~~~a\n", "no list of files"),
        (b"a" * (3 << 20), "no container"),
    ],
)
def test_what_is_no_container_of_links(put, content: bytes, match: str) -> None:
    with pytest.raises(InputError, match=match):
        read_graph(LinkSource([put("a.graph", content)]))


@pytest.mark.parametrize("keep", [300, 330, 500])
def test_a_truncated_container(put, keep: int) -> None:
    content = container(record(1, 2), record(2, 3), record(3, 1))
    with pytest.raises(StructinitError):
        read_graph(LinkSource([put("a.graph", content[:keep])]))
