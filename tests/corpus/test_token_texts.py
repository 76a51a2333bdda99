"""What the tokens of a graph are called: one text for each, by rules that guess nothing."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from structinit_core.corpus import TokenTexts

SLOTS = 32
NAMES = st.lists(
    st.text(st.sampled_from("ab ()⁻¹\t\\n<|>"), max_size=6)
    | st.sampled_from(["<|endoftext|>", "<|particle_0|>", "<|relation_0|>", "a (particle)", "⁻¹"]),
    max_size=7,
    unique=True,
)


def texts(relations, particles, labels=None, slots=SLOTS) -> list[str]:
    return list(TokenTexts(relations, particles, labels, slots))


def of_particles(relations, particles, labels=None) -> list[str]:
    return texts(relations, particles, labels)[1 + SLOTS :]


@given(NAMES, NAMES, st.data())
def test_every_token_has_a_text_of_its_own(relations, particles, data) -> None:
    few = st.sampled_from(["", "a", "b", "a (b)", *particles, *relations])
    size = len(particles)
    labels = data.draw(st.none() | st.lists(few, min_size=size, max_size=size))
    found = texts(relations, particles, labels)
    assert len(found) == len(set(found)) == 1 + SLOTS + size
    assert found[0] == "<|endoftext|>"
    for text in found[1:]:
        assert text
        assert "<|endoftext|>" not in text
        assert all(ord(character) >= 32 for character in text)


@given(NAMES, NAMES)
def test_what_is_added_changes_no_id(relations, particles) -> None:
    grown = of_particles(relations, [*particles, "later"])
    plain = all(c.isprintable() for name in particles for c in name)
    if plain:
        assert grown[:-1] == of_particles(relations, particles)
    assert (
        texts([*relations, "later"], [])[: 1 + 2 * len(relations)]
        == (texts(relations, [])[: 1 + 2 * len(relations)])
    )


def test_relations_come_in_turn_and_leave_their_slots_named() -> None:
    found = texts(["is a", "has"], [])
    assert found[1:5] == ["is a", "is a⁻¹", "has", "has⁻¹"]
    assert found[5:7] == ["<|relation_2|>", "<|relation_2|>⁻¹"]
    assert found[-1] == f"<|relation_{SLOTS // 2 - 1}|>⁻¹"


def test_a_relation_that_is_called_as_an_inverse_gives_way() -> None:
    assert texts(["is a", "is a⁻¹"], [])[1:5] == [
        "is a",
        "is a⁻¹",
        "<|relation_1|>",
        "<|relation_1|>⁻¹",
    ]
    assert texts(["is a⁻¹", "is a"], [])[1:5] == [
        "is a⁻¹",
        "is a⁻¹⁻¹",
        "is a",
        "<|relation_1|>⁻¹",
    ]


def test_untyped_links_have_a_relation_that_can_be_written() -> None:
    assert texts([""], [])[1:3] == ["<|relation_0|>", "<|relation_0|>⁻¹"]


def test_a_label_that_is_shared_goes_with_the_id() -> None:
    found = of_particles([], ["Q1", "Q2", "Q3"], ["bank", "cat", "bank"])
    assert found == ["bank (Q1)", "cat", "bank (Q3)"]


def test_a_label_never_takes_another_s_id_or_a_relation() -> None:
    found = of_particles(["cat"], ["Q1", "Q2", "Q3"], ["Q2", "", "cat"])
    assert found == ["Q2 (Q1)", "Q2", "cat (Q3)"]


def test_a_particle_called_as_a_relation_says_so() -> None:
    assert of_particles(["follows"], ["follows", "x"]) == ["follows (particle)", "x"]
    both = of_particles(["follows"], ["follows", "follows (particle)"])
    assert both == ["<|particle_0|>", "follows (particle)"]


def test_control_characters_are_escaped_in_ids_and_spaces_in_labels() -> None:
    assert of_particles([], ["a\tb", "c"], ["", "two\nlines\x1b"]) == ["a\\tb", "two lines"]
    # what is written so already keeps its text
    assert of_particles([], ["a\tb", "a\\tb"]) == ["<|particle_0|>", "a\\tb"]


def test_a_long_label_is_cut_and_a_long_id_is_not() -> None:
    label, name = "x" * 10_000, "y" * 10_000
    short, other, whole = of_particles([], ["Q1", "Q2", name], [label, label[1:] + "z", ""])
    assert len(short) < 300
    assert short != other, "cut they are the same, so the id stands behind"
    assert whole == name


def test_nothing_that_looks_like_a_special_token_is_taken() -> None:
    names = ["<|endoftext|>", "x<|endoftext|>y", "<|particle_0|>", "<|relation_0|>"]
    assert of_particles([], names) == [f"<|particle_{row}|>" for row in range(4)]
    assert of_particles([], ["Q1"], ["<|endoftext|>"]) == ["Q1"]
    assert of_particles([], ["<|Q1", "<|Q2"], ["a", "a"]) == ["<|particle_0|>", "<|particle_1|>"]


def test_all_orders_of_growth_agree_on_ids() -> None:
    for order in itertools.permutations(["a", "b", "a (particle)"]):
        assert set(of_particles(["r"], order)) == set(order)
