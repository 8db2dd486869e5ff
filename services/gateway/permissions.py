"""Who may call what: one table for every method that the gateway serves."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from services.gateway.api import Role


class Open(enum.Enum):
    """Marks a method that needs no token."""

    OPEN = "OPEN"


_ACR = "/drydock.acr.v20181201.ContainerRegistry/"
_ADMIN = "/drydock.gateway.v1.AdminService/"
_RULES = "/drydock.rules.v1.RulesService/"
_SCANNER = "/drydock.scanner.v1.ScannerService/"
_FIXER = "/drydock.fixer.v1.FixerService/"
_NOTIFIER = "/drydock.notifier.v1.NotifierService/"
_HEALTH = "/grpc.health.v1.Health/"
HARBOR = "/harbor/api/v1/"
"""Before the calls of Harbor's scanner adapter, which are made over HTTP alone."""

MINIMAL_ROLES: Mapping[str, Role | Open] = MappingProxyType(
    {
        _ACR + "CreateRepoTagScanTask": Role.CLIENT,
        _ACR + "GetRepoTagScanStatus": Role.VIEWER,
        _ACR + "GetRepoTagScanSummary": Role.VIEWER,
        _ACR + "ListRepoTagScanResult": Role.VIEWER,
        _ACR + "ListScanBaselineByTask": Role.VIEWER,
        _ACR + "ListScanMaliciousFileByTask": Role.VIEWER,
        _ACR + "CreateScanRule": Role.OPERATOR,
        _ACR + "GetScanRule": Role.VIEWER,
        _ACR + "ListScanRule": Role.VIEWER,
        _ACR + "UpdateScanRule": Role.OPERATOR,
        _ACR + "DeleteScanRule": Role.OPERATOR,
        _ACR + "GetInstance": Role.VIEWER,
        _ACR + "ListInstance": Role.VIEWER,
        _ACR + "ListInstanceEndpoint": Role.VIEWER,
        _ACR + "GetAuthorizationToken": Role.CLIENT,
        _ACR + "CreateNamespace": Role.OPERATOR,
        _ACR + "GetNamespace": Role.VIEWER,
        _ACR + "ListNamespace": Role.VIEWER,
        _ACR + "UpdateNamespace": Role.OPERATOR,
        _ACR + "DeleteNamespace": Role.OPERATOR,
        _ACR + "CreateRepository": Role.OPERATOR,
        _ACR + "GetRepository": Role.VIEWER,
        _ACR + "ListRepository": Role.VIEWER,
        _ACR + "UpdateRepository": Role.OPERATOR,
        _ACR + "DeleteRepository": Role.OPERATOR,
        _ACR + "CreateRepoTag": Role.OPERATOR,
        _ACR + "GetRepoTag": Role.VIEWER,
        _ACR + "ListRepoTag": Role.VIEWER,
        _ACR + "DeleteRepoTag": Role.OPERATOR,
        _ACR + "CreateChain": Role.OPERATOR,
        _ACR + "GetChain": Role.VIEWER,
        _ACR + "ListChain": Role.VIEWER,
        _ACR + "UpdateChain": Role.OPERATOR,
        _ACR + "DeleteChain": Role.OPERATOR,
        _ACR + "ListChainInstance": Role.VIEWER,
        _ACR + "UpdateEventCenterRule": Role.OPERATOR,
        _ACR + "DeleteEventCenterRule": Role.OPERATOR,
        _ACR + "ListEventCenterRuleName": Role.VIEWER,
        _ACR + "ListEventCenterRecord": Role.VIEWER,
        _ADMIN + "CreateKey": Role.ADMIN,
        _ADMIN + "ListKeys": Role.ADMIN,
        _ADMIN + "RevokeKey": Role.ADMIN,
        _ADMIN + "RotateKey": Role.ADMIN,
        _ADMIN + "ListDeadLetters": Role.ADMIN,
        _ADMIN + "GetDeadLetter": Role.ADMIN,
        _ADMIN + "ReplayDeadLetter": Role.ADMIN,
        _ADMIN + "ListAuditRecords": Role.ADMIN,
        _RULES + "CreateInstance": Role.OPERATOR,
        _RULES + "GetInstance": Role.VIEWER,
        _RULES + "ListInstances": Role.VIEWER,
        _RULES + "UpdateInstance": Role.OPERATOR,
        _RULES + "DeleteInstance": Role.OPERATOR,
        _RULES + "ListRegions": Role.VIEWER,
        _RULES + "ListScanEngines": Role.VIEWER,
        _RULES + "GetScanEngineStatus": Role.VIEWER,
        _RULES + "ActivateScanEngine": Role.OPERATOR,
        _RULES + "SwitchScanEngine": Role.OPERATOR,
        _RULES + "ListRepositories": Role.VIEWER,
        _RULES + "CreateScanRule": Role.OPERATOR,
        _RULES + "GetScanRule": Role.VIEWER,
        _RULES + "ListScanRules": Role.VIEWER,
        _RULES + "UpdateScanRule": Role.OPERATOR,
        _RULES + "DeleteScanRule": Role.OPERATOR,
        _RULES + "SetSync": Role.OPERATOR,
        _RULES + "SyncNow": Role.OPERATOR,
        _RULES + "GetSync": Role.VIEWER,
        _RULES + "PreviewScanRule": Role.CLIENT,  # it makes us ask the registry
        _RULES + "RunScanRule": Role.CLIENT,
        _SCANNER + "CreateScanTask": Role.CLIENT,
        _SCANNER + "GetScanTask": Role.VIEWER,
        _SCANNER + "ListScanTasks": Role.VIEWER,
        _SCANNER + "CancelScanTask": Role.CLIENT,
        _SCANNER + "RerunScanTask": Role.CLIENT,
        _SCANNER + "GetImageStatus": Role.VIEWER,
        # These make us ask the registry for one tag, no more.
        _SCANNER + "WaitScanVerdict": Role.VIEWER,
        _SCANNER + "WatchScan": Role.VIEWER,
        _SCANNER + "EvaluateGate": Role.VIEWER,
        _SCANNER + "ListFindings": Role.VIEWER,
        _SCANNER + "GetReport": Role.VIEWER,
        _SCANNER + "ListTags": Role.VIEWER,
        _SCANNER + "ListRemovals": Role.VIEWER,
        _SCANNER + "ReadFindingEvents": Role.VIEWER,
        _SCANNER + "ListOpenFindings": Role.VIEWER,
        _FIXER + "PreviewFix": Role.CLIENT,  # it makes us ask the registry, and repositories of packages
        # To write over the tag itself, or to put it back, is for operators: `reach`.
        _FIXER + "CreateFixTask": Role.CLIENT,
        _FIXER + "GetFixTask": Role.VIEWER,
        _FIXER + "ListFixTasks": Role.VIEWER,
        _FIXER + "CancelFixTask": Role.CLIENT,
        _FIXER + "RevertFixTask": Role.OPERATOR,
        _NOTIFIER + "CreateTarget": Role.OPERATOR,
        # The address of a chat robot often is its password.
        _NOTIFIER + "ListTargets": Role.OPERATOR,
        _NOTIFIER + "DeleteTarget": Role.OPERATOR,
        HARBOR + "metadata": Role.VIEWER,
        HARBOR + "scan": Role.CLIENT,
        HARBOR + "report": Role.VIEWER,
        _NOTIFIER + "GetSubscription": Role.OPERATOR,
        _NOTIFIER + "SetSubscription": Role.OPERATOR,
        _NOTIFIER + "ListDeliveries": Role.OPERATOR,
        _NOTIFIER + "GetDelivery": Role.OPERATOR,
        _NOTIFIER + "ReplayDelivery": Role.OPERATOR,
        _NOTIFIER + "ReplayDeliveries": Role.OPERATOR,
        _NOTIFIER + "CreateEventRule": Role.OPERATOR,
        _NOTIFIER + "UpdateEventRule": Role.OPERATOR,
        _NOTIFIER + "DeleteEventRule": Role.OPERATOR,
        _NOTIFIER + "ListEventRules": Role.OPERATOR,
        _NOTIFIER + "ListEventRecords": Role.OPERATOR,
        _NOTIFIER + "UpdateTarget": Role.OPERATOR,
        _NOTIFIER + "SendTestNotification": Role.OPERATOR,
        _HEALTH + "Check": Open.OPEN,
        _HEALTH + "Watch": Open.OPEN,
        _HEALTH + "List": Role.VIEWER,
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": Role.VIEWER,
    }
)
"""Full method name to the least role that may call it; what is not here may be called by nobody. Webhooks are no
call: theirs is a role of its own."""

UNLIMITED: Final = frozenset(
    {
        _RULES + "CreateInstance",
        # The stream of findings is that of all instances.
        _SCANNER + "ReadFindingEvents",
        _SCANNER + "ListOpenFindings",
        # Targets belong to no instance.
        _NOTIFIER + "CreateTarget",
        _NOTIFIER + "ListTargets",
        _NOTIFIER + "DeleteTarget",
        _NOTIFIER + "GetSubscription",
        _NOTIFIER + "SetSubscription",
        _NOTIFIER + "ListDeliveries",
        _NOTIFIER + "GetDelivery",
        _NOTIFIER + "ReplayDelivery",
        _NOTIFIER + "ReplayDeliveries",
        _NOTIFIER + "CreateEventRule",
        _NOTIFIER + "UpdateEventRule",
        _NOTIFIER + "DeleteEventRule",
        _NOTIFIER + "ListEventRules",
        _NOTIFIER + "ListEventRecords",
        _NOTIFIER + "UpdateTarget",
        _NOTIFIER + "SendTestNotification",
    }
)
"""Methods for keys that are not limited to instances. What a limited key names with the others, and what it is
shown of their answers, is checked in `reach`; an administrator's key is never limited, and needs no line here."""

WHOLE_INSTANCES: Final = frozenset({HARBOR + "metadata", HARBOR + "scan", HARBOR + "report"})
"""Methods for keys that are not limited to namespaces. Which repository an image is of, Harbor says, and no
registry is asked: with a digest that lies elsewhere, such a key would read what it may not."""

_LADDER = (Role.VIEWER, Role.CLIENT, Role.OPERATOR, Role.ADMIN)


def suffices(role: Role, least: Role) -> bool:
    """Tells whether a role may do what `least` may. WEBHOOK stands beside the ladder: it may call nothing."""
    return role in _LADDER and _LADDER.index(role) >= _LADDER.index(least)
