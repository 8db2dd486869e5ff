"""The gRPC face of what the gateway has of its own: keys, the audit log and dead letters."""

from __future__ import annotations

from drydock.gateway.v1 import admin_service_pb2 as pb
from drydock.gateway.v1 import admin_service_pb2_grpc as rpc
from services.gateway.api import AdminApi, AuditApi, DeadLettersApi
from services.gateway.convert import (
    from_letter_name,
    from_role,
    from_scopes,
    from_span,
    to_audit_record,
    to_key,
    to_letter,
    to_letter_content,
)
from services.gateway.webhooks.address import WebhookAddress


class AdminServicer(rpc.AdminServiceServicer):
    """AdminService over AdminApi, AuditApi and DeadLettersApi."""

    def __init__(self, api: AdminApi, letters: DeadLettersApi, audit: AuditApi, webhooks: WebhookAddress) -> None:
        self._api = api
        self._audit = audit
        self._letters = letters
        self._webhooks = webhooks

    async def CreateKey(self, request: pb.CreateKeyRequest, context: object) -> pb.CreateKeyResponse:
        """Creates a key and returns its token, and for a registry's key where it delivers."""
        issued = await self._api.create_key(
            name=request.name,
            role=from_role(request.role),
            instance=request.instance,
            scopes=from_scopes(request.scopes),
            lifetime=from_span(request.lifetime, "lifetime") if request.HasField("lifetime") else None,
            access_key=request.access_key,
        )
        access_key = issued.access_key
        return pb.CreateKeyResponse(
            key=to_key(issued.key),
            token=issued.token,
            webhook_url=self._webhooks.of(issued.key.instance_id),
            access_key_id=access_key.access_key_id if access_key else "",
            access_key_secret=access_key.secret if access_key else "",
        )

    async def ListKeys(self, request: pb.ListKeysRequest, context: object) -> pb.ListKeysResponse:
        """Lists living keys."""
        page = await self._api.list_keys(page_size=request.page_size, page_token=request.page_token)
        return pb.ListKeysResponse(keys=[to_key(key) for key in page.items], next_page_token=page.next_token)

    async def RotateKey(self, request: pb.RotateKeyRequest, context: object) -> pb.RotateKeyResponse:
        """Gives a key other secrets."""
        overlap = from_span(request.overlap, "overlap") if request.HasField("overlap") else None
        issued = await self._api.rotate_key(request.key, overlap=overlap)
        access_key = issued.access_key
        return pb.RotateKeyResponse(
            key=to_key(issued.key),
            token=issued.token,
            access_key_id=access_key.access_key_id if access_key else "",
            access_key_secret=access_key.secret if access_key else "",
        )

    async def RevokeKey(self, request: pb.RevokeKeyRequest, context: object) -> pb.RevokeKeyResponse:
        """Revokes a key."""
        await self._api.revoke_key(request.key)
        return pb.RevokeKeyResponse()

    async def ListDeadLetters(
        self, request: pb.ListDeadLettersRequest, context: object
    ) -> pb.ListDeadLettersResponse:
        """Lists dead letters."""
        page = await self._letters.list_letters(
            topic=request.topic, page_size=request.page_size, page_token=request.page_token
        )
        letters = [to_letter(letter) for letter in page.items]
        return pb.ListDeadLettersResponse(letters=letters, next_page_token=page.next_token)

    async def GetDeadLetter(self, request: pb.GetDeadLetterRequest, context: object) -> pb.GetDeadLetterResponse:
        """Returns a dead letter with its content."""
        return to_letter_content(await self._letters.get_letter(*from_letter_name(request.name)))

    async def ReplayDeadLetter(
        self, request: pb.ReplayDeadLetterRequest, context: object
    ) -> pb.ReplayDeadLetterResponse:
        """Publishes a dead letter to its topic again."""
        await self._letters.replay_letter(*from_letter_name(request.name))
        return pb.ReplayDeadLetterResponse()

    async def ListAuditRecords(
        self, request: pb.ListAuditRecordsRequest, context: object
    ) -> pb.ListAuditRecordsResponse:
        """Lists who changed what."""
        page = await self._audit.list_records(
            instance=request.instance, page_size=request.page_size, page_token=request.page_token
        )
        records = [to_audit_record(record) for record in page.items]
        return pb.ListAuditRecordsResponse(records=records, next_page_token=page.next_token)
