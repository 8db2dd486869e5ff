"""The id of a repository: it follows from instance and name, so that every service knows it without asking."""

from __future__ import annotations

import base64
import hashlib

from services.kernel.model.reference import RepositoryName


def repository_id(instance_id: str, repository: RepositoryName) -> str:
    """Returns `crr-` and 16 characters of [a-z2-7] (80 bits); the same for the same instance and name, always."""
    digest = hashlib.sha256(f"{instance_id}/{repository.path}".encode()).digest()
    return "crr-" + base64.b32encode(digest[:10]).decode().lower()
