"""What expansion did to rankings: by hand, and as properties."""

from hypothesis import given
from hypothesis import strategies as st

from core.evaluation.expansion_effects import Effect, Move, effects, moves, new_terms
from core.formats.documents import Document
from core.retrieval.analyzer import Analyzer
from core.workspace.profile import AnalyzerSettings


def run(*documents):
    return {name: -float(rank) for rank, name in enumerate(documents)}


def test_moves_by_hand():
    before, after = run("a", "b", "c", "d"), run("e", "a", "d", "b")
    judgments = {"a": 0, "b": 1, "d": 2, "c": -1}
    assert moves(before, after, judgments, 2) == [
        Move("e", None, 1, None),
        Move("a", 1, 2, 0),
        Move("b", 2, 4, 1),
    ]
    found = {move.document: move for move in moves(before, after, judgments, 4)}
    assert found["d"].places == 1
    assert (found["d"].relevant, found["a"].relevant, found["e"].relevant, found["c"].relevant) == (True, *[False] * 3)
    assert found["c"].after is None
    assert list(found) == ["e", "d", "a", "b", "c"]


def test_effects_by_hand():
    before = {"1": run("a", "b", "c"), "2": run("x")}
    after = {"1": run("c", "d", "a"), "2": run("x")}
    qrels = {"1": {"a": 1, "b": 0, "c": 2}, "2": {"x": 1}, "3": {"y": 1}}
    assert effects(before, after, qrels, 2) == [
        Effect(
            "1", relevant_in=1, relevant_out=1, not_relevant_in=0, not_relevant_out=1, unjudged_in=1, unjudged_out=0
        ),
        Effect("2", 0, 0, 0, 0, 0, 0),
        Effect("3", 0, 0, 0, 0, 0, 0),
    ]


rankings = st.permutations("abcdefgh").flatmap(lambda names: st.integers(0, 8).map(lambda n: run(*names[:n])))


@given(
    before=rankings,
    after=rankings,
    depth=st.integers(1, 9),
    grades=st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 2)),
)
def test_what_comes_in_and_goes_out_fills_the_first_ranks(before, after, depth, grades):
    (effect,) = effects({"t": before}, {"t": after}, {"t": grades}, depth)
    first = [set(list(r)[:depth]) for r in (before, after)]
    come_in = effect.relevant_in + effect.not_relevant_in + effect.unjudged_in
    go_out = effect.relevant_out + effect.not_relevant_out + effect.unjudged_out
    assert come_in == len(first[1] - first[0])
    assert go_out == len(first[0] - first[1])
    assert effect.relevant_in == sum(grades.get(name, 0) > 0 for name in first[1] - first[0])
    assert moves(before, after, grades, depth) != [] or list(before)[:depth] == list(after)[:depth]


def test_new_terms_are_those_that_the_index_does_not_find_in_the_document():
    analyzer = Analyzer(AnalyzerSettings())
    document = Document("d", "Masks", "Masking slows infections with SARS-CoV-2.")
    queries = ["Do masks stop infection?", "stopping the coronavirus", "sars cov 2 and the Coronavirus, again"]
    assert new_terms(analyzer, document, queries) == [("coronavirus", 2), ("stop", 2)]
    assert new_terms(analyzer, document, []) == []
