"""A small push client (distribution-spec 1.1, "Push")."""

from __future__ import annotations

import io
from collections.abc import Mapping

import aiohttp
from yarl import URL

from services.kernel.model.access import RegistryAccess
from services.kernel.model.digest import Digest
from services.lab.image import Built, blobs_of, manifests_of

_TIMEOUT_SECONDS = 60.0


class PushRefused(Exception):
    """The registry did not take something."""


async def push_image(
    access: RegistryAccess, repository: str, tag: str, built: Built, *, token: str = ""
) -> Digest:
    """Pushes an image or index with all that it needs, as `docker push` would; what is there already stays.

    With a token, that is what it shows in place of user name and password.

    Returns:
        The digest that the tag now points to.

    Raises:
        PushRefused: an answer was no success.
        aiohttp.ClientError: the registry could not be reached.
    """
    async with open_push(access, token=token) as client:
        for digest, content in blobs_of(built).items():
            await push_blob(client, repository, digest, content)
        for each in manifests_of(built):
            reference = tag if each is built else each.digest
            await push_manifest(client, repository, reference, each.media_type, each.manifest)
    return built.digest


def open_push(access: RegistryAccess, *, token: str = "") -> aiohttp.ClientSession:
    """Returns an HTTP session for the registry; the caller closes it."""
    headers = {"User-Agent": "drydock-lab"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    elif access.username:
        headers["Authorization"] = aiohttp.encode_basic_auth(access.username, access.password.get_secret_value())
    return aiohttp.ClientSession(
        f"{'http' if access.plain_http else 'https'}://{access.address}",
        headers=headers,
        timeout=aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS),
    )


async def push_blob(client: aiohttp.ClientSession, repository: str, digest: Digest, content: bytes) -> None:
    """Uploads one blob in two requests, unless the repository has it.

    Raises:
        PushRefused: an answer was no success.
    """
    async with client.head(f"/v2/{repository}/blobs/{digest}") as response:
        if response.status == 200:
            return
    async with client.post(f"/v2/{repository}/blobs/uploads/") as response:
        await _expect(response, 202)
        location = URL(response.headers["Location"])
    headers = {"Content-Type": "application/octet-stream"}
    async with client.put(
        location.update_query(digest=digest), data=io.BytesIO(content), headers=headers
    ) as response:
        await _expect(response, 201)


async def push_manifest(
    client: aiohttp.ClientSession, repository: str, reference: str, media_type: str, content: bytes
) -> Mapping[str, str]:
    """Uploads a manifest under a tag or its digest; returns the headers of the answer.

    Raises:
        PushRefused: an answer was no success.
    """
    headers = {"Content-Type": media_type}
    async with client.put(f"/v2/{repository}/manifests/{reference}", data=content, headers=headers) as response:
        await _expect(response, 201)
        return response.headers


async def _expect(response: aiohttp.ClientResponse, status: int) -> None:
    if response.status != status:
        text = (await response.content.read(2000)).decode(errors="replace")
        raise PushRefused(f"{response.method} {response.url.path}: {response.status} {text}")
