"""Run files looked through before they are brought in."""

import gzip

from core.formats.run_validation import MOST_FAULTS, check_run

GOOD = "1 Q0 d1 1 2.0 t\n1 Q0 d2 2 1.0 t\n2 Q0 d2 1 1.0 t\n"


def check(tmp_path, content, judged=("1", "2"), documents=("d1", "d2"), order="score", name="a.run", measures=()):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    qrels = {topic: {"d1": 1, "d2": 0} for topic in judged}
    return check_run(path, qrels, set(documents), order, measures=measures)


def test_a_good_run_has_nothing_against_it(tmp_path):
    found = check(tmp_path, GOOD)
    assert (found.tag, found.topics, found.lines, found.faults, found.notices) == ("t", 2, 3, [], [])
    assert check(tmp_path, gzip.compress(GOOD.encode()), name="a.run.gz").lines == 3


def test_every_wrong_line_is_told_at_once(tmp_path):
    lines = ["1 Q0 d1 1 2.0 t", "1 Q0 d2 2 t", "1 Q0 d1 2 1.0 t", "2 Q0 d1 1 nan t", "2 Q0 d2 x 1 t", "2 Q0 d3 1 1 t"]
    faults = check(tmp_path, "\n".join(lines)).faults
    assert [fault.split(":")[0] for fault in faults] == [f"a.run, line {number}" for number in (2, 3, 4, 5)]
    assert "already listed for topic 1 on line 1" in faults[1]


def test_of_very_many_wrong_lines_the_first_are_told_and_the_rest_counted(tmp_path):
    faults = check(tmp_path, "1 Q0\n" * 1000).faults
    assert len(faults) == MOST_FAULTS + 1
    assert f"{1000 - MOST_FAULTS} more lines" in faults[-1]


def test_a_damaged_file_is_told_with_the_lines_that_were_read(tmp_path):
    content = gzip.compress(("".join(f"1 Q0 d{n} {n} {-n} t\n" for n in range(1, 9999))).encode())
    (fault,) = check(tmp_path, content[: len(content) // 2], name="a.run.gz").faults
    assert "damaged or truncated after line" in fault
    assert "damaged" in check(tmp_path, b"1 Q0 d\xff 1 1 t\n").faults[0]
    assert "empty" in check(tmp_path, b"").faults[0]


def test_a_run_for_other_topics_is_refused(tmp_path):
    (fault,) = check(tmp_path, GOOD, judged=["7"]).faults
    assert "no topic in common" in fault


def test_unknown_and_missing_topics_and_documents_are_told_with_the_first_line(tmp_path):
    content = "1 Q0 d1 1 3 t\n1 Q0 dX 2 2 t\n9 Q0 d1 1 1 t\n9 Q0 dY 2 0 t\n"
    missing, unknown, documents = check(tmp_path, content, judged=["1", "2", "3"]).notices
    assert "judged topics without documents, which score 0: 2 of 3 (2, 3)" in missing
    assert "topics without judgments, which are not evaluated: 1, first on line 3 (9)" in unknown
    assert "not in the collection: 2, " in documents
    assert "first dX on line 2" in documents


def test_without_documents_it_is_said_that_they_cannot_be_checked(tmp_path):
    assert check(tmp_path, GOOD, documents=[]).notices == [], "all of them are judged, so they exist"
    (notice,) = check(tmp_path, GOOD.replace("d2", "dX"), documents=[]).notices
    assert "lines with documents that are not in the qrels: 2, first dX on line 2" in notice
    assert "cannot be checked" in notice


def test_ids_of_another_form_are_told(tmp_path):
    content = GOOD.replace(" d", " msmarco_")
    for documents in ((), ("d1", "d2")):
        other, _ = check(tmp_path, content, documents=documents).notices
        assert (
            "none of the run's documents is judged: the run has ids such as msmarco_1, the qrels have ids such as d1"
            in other
        )


def test_every_measure_whose_cutoff_is_beyond_the_runs_depth_is_told(tmp_path):
    measures = ["nDCG@1", "nDCG@2", "P(rel=2)@2", "R@100", "AP", "Judged@3"]
    (notice,) = check(tmp_path, GOOD, measures=measures).notices
    topics = "nDCG@2 (1 of 2 topics), P(rel=2)@2 (1 of 2 topics), R@100 (2 of 2 topics), Judged@3 (2 of 2 topics)"
    assert topics in notice, "topic 1 has two documents, topic 2 one"


def test_a_header_of_metadata_is_skipped_and_told(tmp_path):
    header = "# ir_metadata.start\n# platform:\n#   os: a 1 2 b\n#research goal: x\n# ir_metadata.end\n"
    found = check(tmp_path, header + GOOD)
    assert (found.topics, found.lines, found.faults) == (2, 3, [])
    assert found.notices == ["skipped metadata lines (beginning with #) before the run: 5"]
    (fault,) = check(tmp_path, GOOD + "# a line of text\n").faults
    assert "line 4: 5 columns" in fault, "behind the first line of a run it is a wrong line"
    assert check(tmp_path, GOOD.replace("1 Q0", "#1 Q0"), judged=["#1", "2"]).notices == [], "a topic may begin so"


def test_ties_and_ranks_against_scores_are_told_with_the_first_line(tmp_path):
    content = "1 Q0 d1 1 2 t\n1 Q0 d2 2 3 t\n2 Q0 d1 1 1 t\n2 Q0 d2 2 1 t\n"
    disagreeing, tied = check(tmp_path, content).notices
    assert "rank column disagrees with the scores in 1 of 2 topics, first on line 2" in disagreeing
    assert "tied in 1 of 2 topics, first on line 4" in tied
    assert check(tmp_path, content, order="rank").notices == []
    (twice,) = check(tmp_path, content.replace("d2 2 1", "d2 1 1"), order="rank").notices
    assert "duplicate ranks in 1 of 2 topics, first on line 4" in twice
