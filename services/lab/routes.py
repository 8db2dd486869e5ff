"""The requests that the lab registry answers (distribution-spec 1.1, "Endpoints")."""

from __future__ import annotations

import re
import uuid
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from services.kernel.errors import ServiceError
from services.kernel.model.digest import Digest, is_digest
from services.kernel.model.reference import parse_repository, parse_tag
from services.lab.content import Content, StoredManifest, references, store
from services.lab.events import Actor, Notifications, Request, Target

_OCTETS: Final = "application/octet-stream"
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_CONTENT_RANGE = re.compile(r"(\d+)-(\d+)")
_VERSION = {"Docker-Distribution-Api-Version": "registry/2.0"}


class Refusal(Exception):
    """An answer in the registry's error format."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.response = _json({"errors": [{"code": code, "message": message, "detail": None}]}, status)


class Routes:
    """Handlers over the content; pushes, pulls and deletions are told to the notifications."""

    def __init__(self, content: Content, notifications: Notifications | None) -> None:
        self._content = content
        self._notifications = notifications

    def app(self) -> Starlette:
        """Returns the application."""
        blob, manifest = "/v2/{name:path}/blobs/{digest}", "/v2/{name:path}/manifests/{reference}"
        upload = "/v2/{name:path}/blobs/uploads/{upload}"
        routes = [
            Route("/v2/", self._root, methods=["GET"]),
            Route("/v2/_catalog", self._catalog, methods=["GET"]),
            Route("/v2/{name:path}/tags/list", self._tags, methods=["GET"]),
            Route("/v2/{name:path}/blobs/uploads/", self._begin_upload, methods=["POST"]),
            Route(upload, self._upload_state, methods=["GET"]),
            Route(upload, self._append, methods=["PATCH"]),
            Route(upload, self._finish_upload, methods=["PUT"]),
            Route(upload, self._drop_upload, methods=["DELETE"]),
            Route(blob, self._get_blob, methods=["GET", "HEAD"]),
            Route(manifest, self._get_manifest, methods=["GET", "HEAD"]),
            Route(manifest, self._put_manifest, methods=["PUT"]),
            Route(manifest, self._delete_manifest, methods=["DELETE"]),
        ]
        return Starlette(routes=routes, exception_handlers={Refusal: _refuse})

    async def _root(self, _request: HttpRequest) -> Response:
        return _json({}, 200)

    async def _catalog(self, request: HttpRequest) -> Response:
        names = [name for name, one in self._content.repositories.items() if one.manifests]
        page, link = _page(sorted(names), request)
        return _json({"repositories": page}, 200, link)

    async def _tags(self, request: HttpRequest) -> Response:
        name = _name(request)
        if name not in self._content.repositories:
            raise Refusal(404, "NAME_UNKNOWN", "repository name not known to registry")
        page, link = _page(sorted(self._content.repository(name).tags), request)
        return _json({"name": name, "tags": page}, 200, link)

    async def _begin_upload(self, request: HttpRequest) -> Response:
        name, query = _name(request), request.query_params
        mount = query.get("mount", "")
        if mount and self._content.mount(name, mount, query.get("from", "")):
            content = self._content.blob(name, mount) or b""
            self._tell("mount", request, _blob_target(name, mount, content, request, query["from"]))
            return _created(request, f"/v2/{name}/blobs/{mount}", mount)
        if "digest" in query:
            return self._keep(request, name, query["digest"], await request.body())
        return self._accepted(request, name, self._content.begin_upload(), 0)

    async def _upload_state(self, request: HttpRequest) -> Response:
        name, upload, arrived = self._upload(request)
        response = self._accepted(request, name, upload, len(arrived))
        response.status_code = 204
        return response

    async def _append(self, request: HttpRequest) -> Response:
        name, upload, arrived = self._upload(request)
        given = _CONTENT_RANGE.fullmatch(request.headers.get("Content-Range", ""))
        if given is not None and int(given[1]) != len(arrived):
            raise Refusal(416, "BLOB_UPLOAD_INVALID", f"the next byte is {len(arrived)}")
        async for chunk in request.stream():
            arrived += chunk
        return self._accepted(request, name, upload, len(arrived))

    async def _finish_upload(self, request: HttpRequest) -> Response:
        name, upload, arrived = self._upload(request)
        async for chunk in request.stream():
            arrived += chunk
        self._content.end_upload(upload)
        return self._keep(request, name, request.query_params.get("digest", ""), bytes(arrived))

    async def _drop_upload(self, request: HttpRequest) -> Response:
        _, upload, _ = self._upload(request)
        self._content.end_upload(upload)
        return Response(status_code=204, headers=_VERSION)

    async def _get_blob(self, request: HttpRequest) -> Response:
        name, digest = _name(request), request.path_params["digest"]
        content = self._content.blob(name, digest)
        if content is None:
            raise Refusal(404, "BLOB_UNKNOWN", "blob unknown to registry")
        if request.method == "GET":
            self._tell("pull", request, _blob_target(name, digest, content, request))
        headers = _VERSION | {"Docker-Content-Digest": digest, "Accept-Ranges": "bytes"}
        asked = _RANGE.fullmatch(request.headers.get("Range", ""))
        if asked is None:
            return Response(content, headers=headers, media_type=_OCTETS)
        first, last = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
        if first > last:
            return Response(status_code=416, headers=_VERSION | {"Content-Range": f"bytes */{len(content)}"})
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        return Response(content[first : last + 1], 206, headers=headers, media_type=_OCTETS)

    async def _get_manifest(self, request: HttpRequest) -> Response:
        name, reference = _name(request), request.path_params["reference"]
        repository = self._content.repositories.get(name)
        found = repository.find(reference) if repository else None
        if found is None or not _acceptable(found, request):
            raise Refusal(404, "MANIFEST_UNKNOWN", "manifest unknown")
        self._tell("pull", request, _manifest_target(name, reference, found, request))
        headers = _VERSION | {"Docker-Content-Digest": found.digest, "Content-Type": found.media_type}
        return Response(found.content, headers=headers)

    async def _put_manifest(self, request: HttpRequest) -> Response:
        name, reference = _name(request), request.path_params["reference"]
        manifest = store(request.headers.get("Content-Type", ""), await request.body())
        if is_digest(reference):
            if reference != manifest.digest:
                raise Refusal(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        else:
            _checked_tag(reference)
        try:
            missing = self._content.missing(name, manifest.content)
        except msgspec.DecodeError as error:
            raise Refusal(400, "MANIFEST_INVALID", "manifest invalid") from error
        if missing:
            raise Refusal(400, "MANIFEST_BLOB_UNKNOWN", f"unknown to registry: {missing[0][:80]}")
        self._content.add_manifest(name, reference, manifest)
        self._tell("push", request, _manifest_target(name, reference, manifest, request))
        return _created(request, f"/v2/{name}/manifests/{manifest.digest}", manifest.digest)

    async def _delete_manifest(self, request: HttpRequest) -> Response:
        name, reference = _name(request), request.path_params["reference"]
        repository = self._content.repositories.get(name)
        if repository is None or not repository.remove(reference):
            raise Refusal(404, "MANIFEST_UNKNOWN", "manifest unknown")
        tag, digest = ("", reference) if is_digest(reference) else (reference, "")
        self._tell("delete", request, Target(repository=name, tag=tag, digest=digest))
        return Response(status_code=202, headers=_VERSION)

    def _keep(self, request: HttpRequest, name: str, digest: str, content: bytes) -> Response:
        if not is_digest(digest) or not self._content.add_blob(name, Digest(digest), content):
            raise Refusal(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        self._tell("push", request, _blob_target(name, digest, content, request))
        return _created(request, f"/v2/{name}/blobs/{digest}", digest)

    def _upload(self, request: HttpRequest) -> tuple[str, str, bytearray]:
        name, upload = _name(request), request.path_params["upload"]
        arrived = self._content.upload(upload)
        if arrived is None:
            raise Refusal(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        return name, upload, arrived

    def _accepted(self, request: HttpRequest, name: str, upload: str, size: int) -> Response:
        headers = _VERSION | {
            "Location": _url(request, f"/v2/{name}/blobs/uploads/{upload}"),
            "Docker-Upload-UUID": upload,
            "Range": f"0-{max(size - 1, 0)}",
        }
        return Response(status_code=202, headers=headers)

    def _tell(self, action: str, request: HttpRequest, target: Target) -> None:
        if self._notifications is None:
            return
        client = request.client
        cause = Request(
            id=str(uuid.uuid4()),
            addr=f"{client.host}:{client.port}" if client else "",
            host=request.headers.get("Host", ""),
            method=request.method,
            useragent=request.headers.get("User-Agent", ""),
        )
        self._notifications.emit(action, target, cause, Actor(request.scope.get("lab_user", "")))


def _acceptable(found: StoredManifest, request: HttpRequest) -> bool:
    """Tells whether the client names the type: the real registry wants that of OCI types, too."""
    return "oci" not in found.media_type or found.media_type in ",".join(request.headers.getlist("Accept"))


def _blob_target(name: str, digest: str, content: bytes, request: HttpRequest, origin: str = "") -> Target:
    size = len(content)
    url = _url(request, f"/v2/{name}/blobs/{digest}")
    return Target(
        media_type=_OCTETS,
        size=size,
        digest=digest,
        length=size,
        repository=name,
        from_repository=origin,
        url=url,
    )


def _manifest_target(name: str, reference: str, manifest: StoredManifest, request: HttpRequest) -> Target:
    size = len(manifest.content)
    return Target(
        media_type=manifest.media_type,
        size=size,
        digest=manifest.digest,
        length=size,
        repository=name,
        url=_url(request, f"/v2/{name}/manifests/{manifest.digest}"),
        tag="" if is_digest(reference) else reference,
        references=references(manifest.content),
    )


def _page(names: list[str], request: HttpRequest) -> tuple[list[str], dict[str, str]]:
    last, limit = request.query_params.get("last", ""), request.query_params.get("n", "")
    rest = [name for name in names if name > last]
    if not limit.isdigit() or len(rest) <= int(limit):
        return rest, {}
    page = rest[: int(limit)]
    following = f"{request.url.path}?n={limit}&last={page[-1] if page else last}"
    return page, {"Link": f'<{following}>; rel="next"'}


def _name(request: HttpRequest) -> str:
    try:
        return parse_repository(request.path_params["name"]).path
    except ServiceError as error:
        raise Refusal(400, "NAME_INVALID", "invalid repository name") from error


def _checked_tag(tag: str) -> None:
    try:
        parse_tag(tag)
    except ServiceError as error:
        raise Refusal(400, "TAG_INVALID", "manifest tag did not match URI") from error


def _url(request: HttpRequest, path: str) -> str:
    return f"http://{request.headers.get('Host', '')}{path}"


def _created(request: HttpRequest, path: str, digest: str) -> Response:
    headers = _VERSION | {"Location": _url(request, path), "Docker-Content-Digest": digest}
    return Response(status_code=201, headers=headers)


def _json(document: object, status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(
        msgspec.json.encode(document), status, headers=_VERSION | (headers or {}), media_type="application/json"
    )


async def _refuse(_request: HttpRequest, error: Exception) -> Response:
    if not isinstance(error, Refusal):
        raise error
    return error.response
