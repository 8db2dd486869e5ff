"""The gateway's gRPC door: every public service, and who adds it."""

from __future__ import annotations

from drydock.acr.v20181201 import container_registry_pb2_grpc as acr_rpc
from drydock.fixer.v1 import fixer_service_pb2_grpc as fixer_rpc
from drydock.gateway.v1 import admin_service_pb2_grpc as admin_rpc
from drydock.notifier.v1 import notifier_service_pb2_grpc as notifier_rpc
from drydock.rules.v1 import rules_service_pb2_grpc as rules_rpc
from drydock.scanner.v1 import scanner_service_pb2_grpc as scanner_rpc
from services.fixer.api import FixerApi
from services.fixer.servicer import FixerServicer
from services.gateway.acr.servicer import ContainerRegistryServicer
from services.gateway.api import AdminApi, AuditApi, DeadLettersApi
from services.gateway.servicer import AdminServicer
from services.gateway.webhooks.address import WebhookAddress
from services.kernel.rpc.server import Service
from services.notifier.api import NotifierApi
from services.notifier.servicer import NotifierServicer
from services.rules.api import RulesApi
from services.rules.servicer import RulesServicer
from services.scanner.api import ScannerApi
from services.scanner.servicer import ScannerServicer


def public_services(
    *,
    acr: ContainerRegistryServicer,
    rules: RulesApi,
    scanner: ScannerApi,
    fixer: FixerApi,
    notifier: NotifierApi,
    admin: AdminApi,
    letters: DeadLettersApi,
    audit: AuditApi,
    webhooks: WebhookAddress,
) -> tuple[Service, ...]:
    """Returns what the door serves besides health and reflection."""
    rules_servicer = RulesServicer(rules)
    scanner_servicer = ScannerServicer(scanner)
    fixer_servicer = FixerServicer(fixer)
    notifier_servicer = NotifierServicer(notifier)
    admin_servicer = AdminServicer(admin, letters, audit, webhooks)
    return (
        Service(
            name="drydock.acr.v20181201.ContainerRegistry",
            add=lambda server: acr_rpc.add_ContainerRegistryServicer_to_server(acr, server),
        ),
        Service(
            name="drydock.rules.v1.RulesService",
            add=lambda server: rules_rpc.add_RulesServiceServicer_to_server(rules_servicer, server),
        ),
        Service(
            name="drydock.scanner.v1.ScannerService",
            add=lambda server: scanner_rpc.add_ScannerServiceServicer_to_server(scanner_servicer, server),
        ),
        Service(
            name="drydock.fixer.v1.FixerService",
            add=lambda server: fixer_rpc.add_FixerServiceServicer_to_server(fixer_servicer, server),
        ),
        Service(
            name="drydock.notifier.v1.NotifierService",
            add=lambda server: notifier_rpc.add_NotifierServiceServicer_to_server(notifier_servicer, server),
        ),
        Service(
            name="drydock.gateway.v1.AdminService",
            add=lambda server: admin_rpc.add_AdminServiceServicer_to_server(admin_servicer, server),
        ),
    )
