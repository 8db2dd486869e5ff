"""A set of packages as apk sees it: who provides what, and what is amiss (`apk_dep_is_provided`)."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

from services.fixer.systems.apk.dependencies import Dependency, parse, provided


@dataclasses.dataclass(frozen=True, slots=True)
class Package:
    """One package, installed or offered: lines of its record by letter."""

    fields: Mapping[str, str]

    @property
    def name(self) -> str:
        """Its name."""
        return self.fields["P"]

    @property
    def version(self) -> str:
        """Its version."""
        return self.fields["V"]

    @property
    def origin(self) -> str:
        """The package whose build made it."""
        return self.fields.get("o") or self.name

    @property
    def wants(self) -> tuple[Dependency, ...]:
        """What it depends on, and with `!` what must not be."""
        return parse(self.fields.get("D", ""))

    @property
    def conditions(self) -> tuple[Dependency, ...]:
        """Beside what it is installed without anybody asking for it."""
        return parse(self.fields.get("i", "").strip("[]"))  # apko writes a list of Go's

    @property
    def provides(self) -> dict[str, str | None]:
        """What it offers besides its own name."""
        return provided(self.fields.get("p", ""))

    def meets(self, wanted: Dependency) -> bool:
        """Tells whether it is what a dependency, or a conflict, is about."""
        if wanted.name == self.name:
            return wanted.admits(self.version, self.fields.get("C", ""))
        provides = self.provides
        return wanted.name in provides and wanted.admits(provides[wanted.name], self.fields.get("C", ""))


@dataclasses.dataclass(frozen=True, slots=True)
class Breach:
    """Something that is amiss: what a package wants and has not."""

    package: str
    """Name of the package that wants it; empty for the image's world."""
    wanted: Dependency
    culprit: str = ""
    """The package that must not be; of a conflict alone."""
    only_if: bool = False
    """Whether nobody wants the package but this condition (`install_if`): without it apk takes it away."""


class State:
    """Packages by name, which may be exchanged for other versions of themselves."""

    def __init__(self, packages: Mapping[str, Package], world: Collection[Dependency]) -> None:
        """Takes the packages, and what the image asks for itself."""
        self.packages = dict(packages)
        self._world = tuple(world)
        self._of: dict[str, set[str]] = defaultdict(set)
        self._wanting: dict[str, set[str]] = defaultdict(set)
        for package in self.packages.values():
            self._enter(package)

    def exchange(self, package: Package) -> None:
        """Puts a package in the place of the one of its name."""
        old = self.packages[package.name]
        for name in (old.name, *old.provides):
            self._of[name].discard(old.name)
        for wanted in (*old.wants, *old.conditions):
            self._wanting[wanted.name].discard(old.name)
        self.packages[package.name] = package
        self._enter(package)

    def copy(self) -> State:
        """Returns one to try something with."""
        return State(self.packages, self._world)

    def breaches(self, changed: Collection[Package]) -> Iterator[Breach]:
        """Yields what is amiss among those that have to do with packages, old and new, that were exchanged."""
        names = {name for package in changed for name in (package.name, *package.provides)}
        concerned = {package.name for package in changed}.union(*(self._wanting[name] for name in names))
        for name in sorted(concerned):
            for wanted in self.packages[name].wants:
                yield from self._breach(name, wanted)
            yield from self._rivals(self.packages[name])
            yield from self._orphaned(self.packages[name])
        for wanted in self._world:
            if wanted.name in names:
                yield from self._breach("", wanted)

    def who(self, wanted: Dependency) -> tuple[str, ...]:
        """Returns the packages that have the name of a dependency, in whatever version."""
        return tuple(sorted(self._of[wanted.name]))

    def _breach(self, name: str, wanted: Dependency) -> Iterator[Breach]:
        met = [each for each in self.who(wanted) if self.packages[each].meets(wanted)]
        if not wanted.conflict:
            if not met:
                yield Breach(name, wanted)
            return
        for each in met:
            if each != name:
                yield Breach(name, wanted, each)

    def _rivals(self, package: Package) -> Iterator[Breach]:
        """Only one package may provide a name with a version; those without one share it."""
        for name, version in package.provides.items():
            if version is None:
                continue
            for each in sorted(self._of[name] - {package.name}):
                other = self.packages[each]
                if each == name or other.provides.get(name) is not None:
                    yield Breach(package.name, Dependency(name, conflict=True), each)

    def _orphaned(self, package: Package) -> Iterator[Breach]:
        """Tells of a package that came because others were there, and that stays for nothing else."""
        unmet = [
            each
            for each in package.conditions
            if not any(self.packages[one].meets(each) for one in self._of[each.name])
        ]
        names = {package.name, *package.provides}
        if unmet and not names & {each.name for each in self._world} and not any(map(self._asked, names)):
            yield Breach(package.name, unmet[0], only_if=True)

    def _asked(self, name: str) -> bool:
        """Whether some package depends on a name."""
        return any(
            each.name == name and not each.conflict
            for package in self._wanting[name]
            for each in self.packages[package].wants
        )

    def _enter(self, package: Package) -> None:
        for name in (package.name, *package.provides):
            self._of[name].add(package.name)
        for wanted in (*package.wants, *package.conditions):
            self._wanting[wanted.name].add(package.name)
