"""Diagnose why a figure differs from a published one: the artifact `diagnosis/<system>`.

The system, or a run given as a file, is evaluated otherwise (ties, gains, ideal ranking, missing topics, depth, own
documents, other judgments) and BM25 is searched otherwise (topic field, fields, indexed text, stop words, stemmer, k1
and b, document lengths), one change at a time; what closes the gap is named. Where the configuration of a run is not
known, the published configuration of BM25 is changed, and held against the run.

    python -m core.diagnose --profile trec-covid --systems bm25
    python -m core.diagnose --profile trec-covid --systems bm25 --published nDCG@10=0.5947,R@100=0.1091
    python -m core.diagnose my.run --qrels test.tsv --published nDCG@10=0.5947 --other-qrels dev.tsv
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.evaluation.diagnosis import (
    ANSERINI,
    Case,
    built_case,
    diagnose,
    is_of_collection,
    parse_published,
    published_configuration,
    published_for,
)
from core.evaluation.diagnosis_tables import FILE, as_table, diagnosis_table, write
from core.evaluation.given_runs import add_excluded_option, given_exclusions, read_given_run
from core.evaluation.results import labels_of
from core.evaluation.table_formats import plain_text
from core.formats.collections import QRELS, TOPICS, collection_digests, read_built_collection
from core.formats.documents import CORPUS
from core.formats.exclusions import EXCLUDED, own_documents
from core.formats.qrels import read_qrels
from core.formats.runs import read_run
from core.workspace import command_line
from core.workspace.artifacts import read_manifest
from core.workspace.errors import UserError
from core.workspace.profile import SystemSettings
from core.workspace.stage import Build, Draft, Stage, Target


def targets(build: Build) -> Iterator[Target[SystemSettings]]:
    """Yield the diagnosis of each chosen system."""
    for system in build.chosen:
        yield Target(build.folder.diagnosis(system.name), system, (build.folder.run(system.name),))


def settings(build: Build, system: SystemSettings) -> dict[str, Any]:
    """Return the published figures that the system is held against, by default those of its collection."""
    source, figures, _ = published_for(build.folder, system)
    return {"published": figures, "source": source}


def inputs(build: Build, system: SystemSettings) -> dict[str, str]:
    """Return the digests of the collection and of the run."""
    digests = collection_digests(build.folder, CORPUS, TOPICS, QRELS, EXCLUDED)
    return digests | {f"runs/{system.name}": read_manifest(build.folder.run(system.name)).digest}


def make(build: Build, system: SystemSettings, draft: Draft) -> None:
    """Try all changes."""
    source, figures, bm25 = published_for(build.folder, system)
    mine, trials = diagnose(built_case(build.profile, build.folder, system, bm25), figures)
    write(draft / FILE, trials)
    draft.facts.update(measured=mine)


STAGE = Stage("diagnose", targets, settings, inputs, make, in_build=lambda build: False)


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.diagnose`."""
    parser = command_line.stage_parser("diagnose", __doc__, "systems")
    parser.add_argument("run", nargs="?", type=Path, metavar="RUN", help="a TREC run, plain or .gz; needs --qrels")
    parser.add_argument("--qrels", type=Path, help="qrels of the run in TREC or BEIR format, plain or .gz")
    about = "the published figures, e.g. nDCG@10=0.5947,R@100=0.1091 (default: known ones of the collection)"
    parser.add_argument("--published", type=parse_published, metavar="FIGURES", help=about)
    about = "judgments that the published figure may be of, such as another split; repeatable"
    parser.add_argument("--other-qrels", type=Path, action="append", default=[], metavar="FILE", help=about)
    add_excluded_option(parser)
    options = parser.parse_args(arguments)
    build = command_line.build_from(options)
    others = {path.name: read_qrels(path) for path in options.other_qrels}
    if options.run:
        if not (options.qrels and options.published):
            raise UserError("a run needs --qrels and --published")
        qrels = read_qrels(options.qrels)
        run = read_given_run(options.run, qrels, {})
        by_rank = read_run(options.run, "rank").scores
        case = Case(run.scores, qrels, given_exclusions(options, qrels), own_documents(qrels), by_rank, others)
        if (build.folder.collection / CORPUS).is_file() and is_of_collection(case, build.folder):
            collection = read_built_collection(build.folder)
            topics = {topic.id: topic for topic in collection.topics}
            published_as = published_configuration(ANSERINI)
            case = replace(case, documents=collection.documents, topics=topics, published_as=published_as)
        else:
            why = "is not built, or does not have the documents of the run"
            command_line.note(f"{build.folder.name} {why}: only the evaluation of the run is diagnosed")
        _print(run.name, "given", case, options.published)
        return
    if not options.systems:
        raise UserError("name the systems with --systems, or give a run")
    labels = labels_of(build.profile, build.folder)
    for target in STAGE.targets(build):
        name = target.subject.name
        if options.published or others:
            source, figures, bm25 = published_for(build.folder, target.subject, options.published)
            case = built_case(build.profile, build.folder, target.subject, bm25)
            _print(labels[name], source, replace(case, other_qrels=others), figures)
            continue
        print(STAGE.run(build, target))


def _print(label: str, source: str, case: Case, published: dict[str, float]) -> None:
    mine, trials = diagnose(case, published)
    print(plain_text(diagnosis_table(label, source, mine, published, as_table(trials))), end="")


if __name__ == "__main__":
    command_line.run(main)
