"""Commands on consoles that cannot show every character: what they lack is printed as an escape, files are UTF-8."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from stages import folder_at

from core.formats.collections import read_built_collection

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
CORPUS = '{"_id": "文1", "title": "口罩", "text": "masks 口罩"}\n{"_id": "d2", "text": "vaccines für alle"}\n'
QUERIES = '{"_id": "题一", "text": "masks 口罩"}\n{"_id": "2", "text": "vaccines"}\n'
QRELS = "query-id\tcorpus-id\tscore\n题一\t文1\t2\n2\td2\t1\n"


@pytest.fixture
def console(tmp_path):
    """Return a function that runs a command of the project on a console of an encoding."""

    def run(encoding, *command, locale=None):
        environment = os.environ | {
            "PYTHONIOENCODING": encoding,
            "PYTHONPATH": str(ROOT),
            "RANKSCOPE_ARTIFACTS": str(tmp_path / "artifacts"),
        }
        environment |= {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"} if locale else {}
        command = [sys.executable, *map(str, command)]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)

    return run


def test_a_collection_is_built_and_measured_on_a_console_of_cp1252(console, beir_folder, tmp_path):
    folder = beir_folder({"corpus.jsonl": CORPUS, "queries.jsonl": QUERIES, "qrels/test.tsv": QRELS}, name="语料/news")
    build = ["scripts/build.py", "--collection", folder, "--systems", "bm25"]
    made = console("cp1252", *build)
    assert made.returncode == 0, made
    built = tmp_path / "artifacts" / "news"
    read = read_built_collection(folder_at(built))
    assert [document.id for document in read.documents] == ["文1", "d2"]
    assert read.topics[0].question == "masks 口罩"
    other = console("cp1252", *build[:2], beir_folder(name="另一个/news"))
    assert other.returncode == 2
    assert b"Traceback" not in other.stderr
    assert "语料".encode("ascii", "backslashreplace") in other.stderr
    # and where the system's own encoding is ASCII, as in a container without a locale
    run, qrels = built / "runs" / "bm25" / "run.trec", folder / "qrels" / "test.tsv"
    measured = console(
        "ascii", "-m", "core.evaluate", run, "--qrels", qrels, "--per-topic", "--measures", "RR", locale="C"
    )
    assert (measured.returncode, measured.stderr) == (0, b"")
    assert measured.stdout.decode("ascii").splitlines() == [
        "bm25 RR=1.0000",
        "  \\u9898\\u4e00 RR=1.0000",
        "  2 RR=1.0000",
    ]


def test_what_is_wrong_is_told_on_a_console_of_ascii(console, beir_folder, tmp_path):
    folder = beir_folder({"corpus.jsonl": CORPUS, "queries.jsonl": QUERIES, "qrels/test.tsv": "2 0 d2 1\n"})
    refused = console("ascii", "-m", "core.collection", "--collection", folder, locale="C")
    assert refused.returncode == 2
    assert refused.stderr.decode("ascii").startswith(
        "error: queries.jsonl, line 1: topic \\u9898\\u4e00 has no judgments"
    )
    (folder / "a.run").write_text("题一 Q0 文1 1 2.0 t\n2 Q0 d2 1 1.0 t\n", encoding="utf-8")
    (folder / "both.qrels").write_text("题一 0 文1 1\n2 0 d2 1\n", encoding="utf-8")
    options = ["--name", "mine", "--qrels", folder / "both.qrels", "--topics", folder / "queries.jsonl"]
    imported = console("ascii", "-m", "core.import_runs", folder / "a.run", *options, locale="C")
    assert imported.returncode == 0, imported
    topics = (tmp_path / "artifacts" / "mine" / "collection" / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["_id"] for line in topics] == ["题一", "2"]


def test_a_note_from_a_process_that_is_no_command_is_printed_too(console):
    told = console("ascii", "-c", "from core.workspace import command_line as cli; cli.note('口')")
    assert (told.returncode, told.stderr.strip()) == (0, b"note: \\u53e3")


def test_an_interrupt_while_modules_are_imported_is_one_line():
    code = "import core; raise KeyboardInterrupt"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert ended.stderr == "interrupted; run the same command again to resume\n"
    other = subprocess.run([sys.executable, "-c", "import core; 1 / 0"], capture_output=True, text=True, cwd=ROOT)
    assert "ZeroDivisionError" in other.stderr
