"""Gives the built package its dependencies: the names of runtime.in, so that no list is written twice."""

from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface


class RuntimeRequirements(MetadataHookInterface):
    """Reads `requirements/runtime.in` into `project.dependencies`."""

    def update(self, metadata: dict[str, object]) -> None:
        """Sets `dependencies` in place."""
        lines = (Path(self.root) / "requirements" / "runtime.in").read_text().splitlines()
        metadata["dependencies"] = [line for line in lines if line and not line.startswith("#")]
