"""Diagnose why a figure differs from a published one: the artifact `diagnosis/<system>`.

The system, or a run given as a file, is evaluated otherwise (ties, gains, ideal ranking, missing topics, depth, own
documents, other judgments). BM25 is searched otherwise (topic field, fields, indexed text, stop words, stemmer, k1 and
b, document lengths), and so is a dense system (similarity, prompts, input limit, pooling, indexed text). Changes are
tried one at a time, and two or more at once where none closes the gap; what closes it is named. Where the configuration
of a run is not known, the published configuration of BM25 is changed, and held against the run.

    python -m core.diagnose --profile trec-covid --systems bm25
    python -m core.diagnose --profile trec-covid --systems bm25 --published nDCG@10=0.5947,R@100=0.1091
    python -m core.diagnose --profile scifact --systems all-MiniLM-L6-v2 --minutes 20
    python -m core.diagnose my.run --qrels test.tsv --published nDCG@10=0.5947 --other-qrels dev.tsv
"""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from core import encode
from core.collection import sizes_of
from core.evaluation.diagnosis import (
    SECONDS,
    Case,
    built_case,
    can_encode,
    costly_changes,
    diagnose,
    is_of_collection,
    parse_published,
    published_for,
    published_searcher,
)
from core.evaluation.diagnosis_dense import DenseSearcher
from core.evaluation.diagnosis_tables import FILE, as_table, diagnosis_table, write
from core.evaluation.given_runs import add_excluded_option, given_exclusions, read_given_run
from core.evaluation.results import labels_of
from core.evaluation.table_formats import plain_text
from core.formats.collections import QRELS, TOPICS, collection_digests
from core.formats.documents import CORPUS
from core.formats.exclusions import EXCLUDED, own_documents
from core.formats.qrels import read_qrels
from core.formats.runs import read_run
from core.workspace import command_line
from core.workspace.artifacts import read_manifest
from core.workspace.errors import UserError
from core.workspace.estimates import Speed, calibrate, in_time, reached_rates
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


def make(build: Build, system: SystemSettings, draft: Draft, seconds: float = SECONDS) -> None:
    """Try all changes."""
    source, figures, bm25 = published_for(build.folder, system)
    diagnosis = diagnose(_case(build, system, bm25, seconds), figures, seconds)
    write(draft / FILE, diagnosis.trials)
    draft.facts.update(measured=diagnosis.mine, not_tried=list(diagnosis.not_tried))


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
    about = (
        "time for what takes long: documents encoded again, and several changes at once; 0 leaves both out "
        f"(default: {SECONDS / 60:g})"
    )
    minutes = command_line.bounded(float, 0, 999_999)
    parser.add_argument("--minutes", type=minutes, default=SECONDS / 60, metavar="N", help=about)
    add_excluded_option(parser)
    options = parser.parse_args(arguments)
    seconds = 60 * options.minutes
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
            case = replace(case, searcher=published_searcher(build.folder, qrels))
        else:
            why = "is not built, or does not have the documents of the run"
            command_line.note(f"{build.folder.name} {why}: only the evaluation of the run is diagnosed")
        _print(run.name, "given", case, options.published, seconds)
        return
    if not options.systems:
        raise UserError("name the systems with --systems, or give a run")
    labels = labels_of(build.profile, build.folder)
    for target in STAGE.targets(build):
        name = target.subject.name
        if options.published or others:
            source, figures, bm25 = published_for(build.folder, target.subject, options.published)
            case = replace(_case(build, target.subject, bm25, seconds), other_qrels=others)
            _print(labels[name], source, case, figures, seconds)
            continue
        stage = replace(STAGE, make=functools.partial(make, seconds=seconds))
        print(stage.run(build, target))


def _case(build: Build, system: SystemSettings, bm25: Mapping[str, Any], seconds: float) -> Case:
    """Return the run of a system as a case, and say how long it takes to encode the documents again."""
    if not can_encode(build.folder, system):
        return built_case(build.profile, build.folder, system, bm25)
    encoding = 0.0
    if sizes := sizes_of(build):
        cost = encode.estimate(build, system, sizes)
        speed = Speed(reached_rates(build.folder.workspace))
        encoding = replace(speed, probes=calibrate(speed.probes_for([cost]))).seconds(cost)
    case = built_case(build.profile, build.folder, system, bm25, build.device, encoding)
    if isinstance(case.searcher, DenseSearcher):
        command_line.note(
            f"{costly_changes(case.searcher)} changes of {system.name} encode all documents again, about "
            f"{in_time(encoding)} each; {in_time(seconds)} are spent on them and on several changes at once (--minutes)"
        )
    return case


def _print(label: str, source: str, case: Case, published: dict[str, float], seconds: float) -> None:
    found = diagnose(case, published, seconds)
    table = diagnosis_table(label, source, found.mine, published, as_table(found.trials), found.not_tried)
    print(plain_text(table), end="")


if __name__ == "__main__":
    command_line.run(main)
