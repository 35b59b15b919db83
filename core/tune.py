"""Choose the weights of fusions on a collection's topics: the artifact `tuning/<system>`.

Every fusion of the profile, or those in --systems, is measured with each choice of weights on a grid, from the runs of
the systems that it is made of. The weights are for other topics: put them into the profile of another collection (or
of another split), with `chosen_on`. On the topics that they were chosen on, the cross-validated value is printed.

    python -m core.tune --profile scifact-train.toml --systems hybrid
"""

from collections.abc import Iterator

from core.evaluation.fusion_tuning import curve_table, inputs, measure_curve, read_curve, settings
from core.evaluation.results import labels_of
from core.workspace import command_line
from core.workspace.errors import UserError
from core.workspace.profile import SystemSettings
from core.workspace.stage import Build, Stage, Target


def targets(build: Build) -> Iterator[Target[SystemSettings]]:
    """Yield the curve of each chosen fusion."""
    for system in build.chosen:
        if system.kind == "fusion":
            needs = tuple(build.folder.run(name) for name in system.of)
            yield Target(build.folder.tuning(system.name), system, needs)


STAGE = Stage("tune", targets, settings, inputs, measure_curve, in_build=lambda build: False)


def main(arguments: list[str] | None = None) -> None:
    """Run `python -m core.tune`."""
    build = command_line.build_from(command_line.stage_parser("tune", __doc__, "systems").parse_args(arguments))
    chosen = list(STAGE.targets(build))
    if not chosen:
        raise UserError('no chosen system is a fusion; a profile has one with kind = "fusion" and `of`')
    labels = labels_of(build.profile, build.folder)
    for target in chosen:
        print(STAGE.run(build, target))
        curve, fused = read_curve(build.folder, target.subject.name), target.subject
        table = curve_table(curve[1], curve[0], curve[2], fused, labels, build.folder.name)
        print(*table.sentences, sep="\n")


if __name__ == "__main__":
    command_line.run(main)
