"""What is done in worker processes: all that reads or writes what images and packages hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from services.fixer.failure import FixFailure, FixReason
from services.fixer.image.layer import WrittenLayer, write_layer
from services.fixer.image.tree import read_tree
from services.fixer.plan.packages import Survey, SystemPlan
from services.fixer.systems.installed import SYSTEMS
from services.fixer.systems.interface import system_named
from services.layers.file import LayerFile


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BuiltLayer:
    """The layer that mends an image, on disk, and what is to be told of it."""

    layer: WrittenLayer
    notes: tuple[str, ...]


def survey_image(layers: Sequence[LayerFile]) -> Survey:
    """Finds out which package system an image has, and what it says of itself.

    Raises:
        FixFailure: SYSTEM_UNKNOWN, IMAGE_TOO_LARGE, or what the system says of its database.
        ScanFailure: one of LAYER_….
    """
    tree = read_tree(layers, lambda path: any(system.wants(path) for system in SYSTEMS))
    for system in SYSTEMS:
        survey = system.survey(tree)
        if survey is not None:
            return survey
    raise FixFailure(
        FixReason.SYSTEM_UNKNOWN,
        "The image has no package database that can be fixed: none of "
        f"{', '.join(system.name for system in SYSTEMS)}.",
        hint="Build the image anew from a base in which the findings are mended.",
    )


def check_packages(survey: Survey, plan: SystemPlan, files: Mapping[str, Path]) -> SystemPlan:
    """Looks into the packages that were fetched, and takes out of the plan what files alone cannot mend.

    Raises:
        FixFailure: PACKAGE_INVALID, PACKAGE_TAMPERED.
    """
    return system_named(SYSTEMS, survey.system).check(survey, plan, files)


def build_layer(
    name: str, layers: Sequence[LayerFile], plan: SystemPlan, files: Mapping[str, Path], target: Path
) -> BuiltLayer:
    """Writes the layer that comes on top of an image into a new file.

    Raises:
        FixFailure: PACKAGE_INVALID, DATABASE_CORRUPT, DISK_FULL; nothing is left at `target` then.
        ScanFailure: one of LAYER_….
    """
    system = system_named(SYSTEMS, name)
    tree = read_tree(layers, lambda path: system.reads(path, plan))
    with write_layer(target, tree) as writer:
        built = system.build(tree, plan, files, writer)
        return BuiltLayer(layer=writer.finish(), notes=built.notes)
