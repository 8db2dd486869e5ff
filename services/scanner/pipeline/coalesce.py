"""Coalesce: the layers' analyses become what is installed in the image. Pure."""

from __future__ import annotations

import dataclasses
import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from services.kernel.model.finding import Package
from services.kernel.model.report import Layer, ReportWarning
from services.kernel.os_release import ETC, VENDOR
from services.layers.links import Names, real_path
from services.scanner.advisories.ecosystems import is_system
from services.scanner.catalogers.installed import CATALOGERS
from services.scanner.catalogers.interface import Distribution, Evidence, FoundPackage, PackageFormat, Reads
from services.scanner.catalogers.systems.rpm import PREFERENCE
from services.scanner.catalogers.unread import SYSTEM
from services.scanner.inspectors.inspection import CONTENT
from services.scanner.inspectors.interface import Sighting
from services.scanner.layers.analyse import FILE_NOT_READ
from services.scanner.layers.analysis import LayerAnalysis
from services.scanner.layers.overlay import Overlay
from services.scanner.layers.ways import links_that_matter
from services.scanner.pipeline.coverage import ECOSYSTEM_NOT_READ
from services.scanner.pipeline.identity import ecosystem_of, purl_of
from services.scanner.pipeline.missing import missing
from services.scanner.pipeline.pinned import without_moot_pins
from services.scanner.pipeline.vendors import foreign_packages, is_foreign
from services.scanner.reading.complaints import shown

_CATALOGERS: Final = {cataloger.name: cataloger for cataloger in CATALOGERS}
PACKAGE_NOT_IDENTIFIED: Final = "PACKAGE_NOT_IDENTIFIED"
_MAX_UNKNOWN: Final = 50
"""Records whose content is not known that are named in a report."""
_NAMED: Final = 3
"""Packages that one warning names."""

_DEB: Final = PackageFormat.DEB
_ESM = re.compile(r"[+~]esm[0-9]")
"""In versions of Ubuntu that Expanded Security Maintenance alone has."""

_Origin = tuple[str, str, str, str]
"""Name, version, architecture, path: what makes an installed package the same from layer to layer."""


class SeenInImage(NamedTuple):
    """What a rule saw, in the image."""

    sighting: Sighting
    path: str
    """Absolute; a member of an archive follows after `!`."""
    layer: str
    deleted: bool
    """Whether nothing of the image leads to the file any more."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Coalesced:
    """What is installed in an image."""

    distribution: Distribution | None
    packages: tuple[Package, ...]
    """Sorted by path, name and version; none twice."""
    seen: tuple[SeenInImage, ...]
    """What rules saw in files, those of lower layers included; in the order of the layers."""
    warnings: tuple[ReportWarning, ...]
    """Of the layers, and of the files that are still there; each names its layer."""


def coalesce(layers: Sequence[tuple[Layer, LayerAnalysis]]) -> Coalesced:
    """Lays the layers over one another, from the base upward, and reads off what remains."""
    overlay = Overlay(links_that_matter(analysis for _, analysis in layers))
    origins: dict[_Origin, str] = {}
    for layer, analysis in layers:
        for path in overlay.lay(analysis):
            for evidence in overlay.files[path].evidence:
                for found in evidence.packages:
                    origins.setdefault(_origin(found, path), layer.digest)
    visible = without_moot_pins(dict(_visible(overlay)))
    distribution = _with_channels(_distribution(overlay, visible), visible)
    listed = tuple(_told_once(visible))
    foreign = {each.name for _, each in listed if is_foreign(distribution, each)}
    packages = _packages(listed, distribution, origins, _owners(visible, overlay, foreign))
    # What is a system's and not judged is told when it is matched, once it is known which system that is.
    told = SYSTEM if distribution is not None or any(_is_system(each) for each in packages) else ""
    return Coalesced(
        distribution=distribution,
        packages=packages,
        seen=tuple(_seen(layers, overlay)),
        warnings=(
            *(_of_layer(warning, layer) for layer, analysis in layers for warning in analysis.warnings),
            *_warnings(overlay, visible, [layer for layer, _ in layers], told),
            *foreign_packages(distribution, (each for _, each in listed)),
        ),
    )


def _seen(layers: Sequence[tuple[Layer, LayerAnalysis]], overlay: Overlay) -> Iterator[SeenInImage]:
    """Yields each sighting once, by the first layer that has it; a setting only where it is still there."""
    there: dict[Evidence, str] = {}
    for path, node in sorted(overlay.files.items()):
        for evidence in node.evidence:
            if evidence.sightings:
                there.setdefault(evidence, path)
    known: set[tuple[Sighting, str]] = set()
    for layer, analysis in layers:
        for evidence in analysis.evidence:
            deleted = evidence not in there
            path = there.get(evidence, evidence.path)
            for sighting in evidence.sightings:
                place = path + sighting.path[len(evidence.path) :]
                if (sighting.rule.lasting or not deleted) and (sighting, place) not in known:
                    known.add((sighting, place))
                    yield SeenInImage(sighting, f"/{place}", layer.digest, deleted)


def _is_system(package: Package) -> bool:
    return not package.ecosystem or is_system(package.ecosystem)


def _origin(found: FoundPackage, path: str) -> _Origin:
    return (found.name, found.version, found.arch, _place(found, path))


def _place(found: FoundPackage, path: str) -> str:
    """Returns where a package is told of: `opt/x.war:WEB-INF/lib/y.jar` for one within an archive."""
    return f"{path}:{found.inner}" if found.inner else path


def _visible(overlay: Overlay) -> Iterator[tuple[str, tuple[Evidence, ...]]]:
    """Yields, by real path, the evidence of files that have a name at which their cataloger would read them."""
    names = Names(overlay.links)
    for path, node in sorted(overlay.files.items()):
        evidence = tuple(each for each in node.evidence if _is_wanted(each, path, names))
        if evidence:
            yield path, evidence


def _is_wanted(evidence: Evidence, path: str, names: Names) -> bool:
    if evidence.cataloger == CONTENT:
        return True
    cataloger = _CATALOGERS[evidence.cataloger]
    return any(cataloger.counts(name) for name in names.of(path))


def _distribution(overlay: Overlay, visible: Mapping[str, tuple[Evidence, ...]]) -> Distribution | None:
    """The one in /etc wins, as os-release(5) says, unless nothing can be read there."""
    for place in (ETC, VENDOR):
        path = real_path(place, overlay.links, last=True)
        for evidence in visible.get(path or "", ()):
            if evidence.distribution is not None:
                return evidence.distribution
    return None


def _with_channels(
    distribution: Distribution | None, visible: Mapping[str, tuple[Evidence, ...]]
) -> Distribution | None:
    """Adds what other files tell; a package that only Ubuntu Pro has tells of it without its client's trace."""
    if distribution is None:
        return None
    evidence = [each for several in visible.values() for each in several]
    channels = {channel for each in evidence for channel in each.channels}
    if any(_ESM.search(found.version) for each in evidence for found in each.packages if found.format is _DEB):
        channels.add("esm")
    return msgspec.structs.replace(distribution, channels=tuple(sorted(channels)))


def _owners(
    visible: Mapping[str, tuple[Evidence, ...]], overlay: Overlay, foreign: Collection[str]
) -> dict[str, str]:
    """Returns which package of the system brought a record, by the record's real path.

    What somebody else built for the system (EPEL, NodeSource), its advisories do not speak of.
    """
    return {
        real_path(owned.path, overlay.links) or "": owned.owner
        for several in visible.values()
        for evidence in several
        for owned in evidence.owned
        if owned.owner not in foreign
    }


def _packages(
    told: Iterable[tuple[str, FoundPackage]],
    distribution: Distribution | None,
    origins: Mapping[_Origin, str],
    owners: Mapping[str, str],
) -> tuple[Package, ...]:
    packages = {
        Package(
            purl=purl_of(found, distribution),
            name=found.name,
            version=found.version,
            ecosystem=ecosystem_of(found.format, distribution),
            path=f"/{_place(found, path)}",
            layer=origins[_origin(found, path)],
            source=found.source,
            arch=found.arch,
            module=found.module,
            owner=owners.get(path, ""),
        ): None
        for path, found in told
    }
    return tuple(sorted(packages, key=lambda each: (each.path, each.name, each.version, each.purl)))


def _told_once(visible: Mapping[str, tuple[Evidence, ...]]) -> Iterator[tuple[str, FoundPackage]]:
    """Yields each package with its path; what several of rpm's databases tell of only once (decision 0018)."""
    rpms: dict[FoundPackage, str] = {}
    for path, several in visible.items():
        for evidence in several:
            for found in evidence.packages:
                if found.format is not PackageFormat.RPM:
                    yield path, found
                elif found not in rpms or _rank(path) < _rank(rpms[found]):
                    rpms[found] = path
    yield from ((path, found) for found, path in rpms.items())


def _rank(path: str) -> int:
    name = path.rpartition("/")[2]
    return PREFERENCE.index(name) if name in PREFERENCE else len(PREFERENCE)


def _warnings(
    overlay: Overlay, visible: Mapping[str, tuple[Evidence, ...]], layers: Sequence[Layer], told: str
) -> Iterator[ReportWarning]:
    """Yields what stands in the evidence, then what is missing there; of the ecosystem `told` nothing more."""
    signs: dict[str, dict[str, Layer]] = {}
    for path, several in visible.items():
        for evidence in several:
            layer = layers[overlay.files[path].layer]
            if evidence.unread and not _is_moot(evidence, path, overlay):
                signs.setdefault(evidence.unread, {})[path] = layer
            for warning in evidence.warnings:
                yield _of_layer(warning, layer, f"/{path}")
    unknown: list[ReportWarning] = []
    for path, cataloger, why, number in missing(overlay):
        layer = layers[number]
        if cataloger.reads is Reads.NAME:
            evidence = cataloger.read(path, b"")
            if not _is_moot(evidence, path, overlay):
                signs.setdefault(evidence.unread, {})[path] = layer
        else:
            message = f"What /{shown(path, 200)} says is not known: it is {why}."
            unknown.append(ReportWarning(code=FILE_NOT_READ, message=message, path=f"/{path}", layer=layer.digest))
    yield from unknown[:_MAX_UNKNOWN]
    if len(unknown) > _MAX_UNKNOWN:
        message = f"What {len(unknown) - _MAX_UNKNOWN} more records say is not known."
        yield ReportWarning(code=FILE_NOT_READ, message=message)
    signs.pop(told, None)
    for ecosystem, files in sorted(signs.items()):
        yield _ecosystem_not_read(ecosystem, files)
    yield from _not_identified(visible)


def _not_identified(visible: Mapping[str, tuple[Evidence, ...]]) -> Iterator[ReportWarning]:
    """Yields one warning for all packages whose names are guesses."""
    guessed = [
        (found.name, f"/{_place(found, path)}")
        for path, several in visible.items()
        for evidence in several
        for found in evidence.packages
        if found.guessed
    ]
    if not guessed:
        return
    names = ", ".join(f"{shown(name)} ({shown(place, 200)})" for name, place in guessed[:_NAMED])
    more = f" and {len(guessed) - _NAMED} more" if len(guessed) > _NAMED else ""
    yield ReportWarning(
        code=PACKAGE_NOT_IDENTIFIED,
        message=f"Nothing says for certain by which name advisories know {names}{more}: what they say may be "
        "missing.",
        path=guessed[0][1],
    )


def _is_moot(evidence: Evidence, path: str, overlay: Overlay) -> bool:
    if not evidence.moot_beside:
        return False
    place = posixpath.normpath(f"{path.rpartition('/')[0]}/{evidence.moot_beside}").lstrip("/")
    beside = real_path(place, overlay.links)
    return beside in overlay.files or beside in overlay.links or overlay.is_directory(beside or "")


def _ecosystem_not_read(ecosystem: str, files: Mapping[str, Layer]) -> ReportWarning:
    path = min(files)
    place = shown(f"/{path}", 200)
    told = "1 file tells" if len(files) == 1 else f"{len(files)} files tell"
    return ReportWarning(
        code=ECOSYSTEM_NOT_READ,
        message=f"Packages of {ecosystem} were seen and not read: {told} of them ({place}).",
        path=f"/{path}",
        layer=files[path].digest,
    )


def _of_layer(warning: ReportWarning, layer: Layer, path: str = "") -> ReportWarning:
    return ReportWarning(code=warning.code, message=warning.message, path=path or warning.path, layer=layer.digest)
