"""What targets are told of, between protobuf and our own values."""

from __future__ import annotations

from drydock.notifier.v1 import subscription_pb2 as pb
from services.kernel.errors import invalid
from services.kernel.model.severity import Severity
from services.kernel.rpc.answers import answer_of
from services.notifier.api import Occasion, Subscription

_OCCASIONS: dict[int, Occasion] = {pb.Occasion.Value(f"OCCASION_{each.value}"): each for each in Occasion}


def to_subscription(subscription: Subscription) -> pb.Subscription:
    """Writes what a target is told of."""
    return pb.Subscription(
        occasions=sorted(pb.Occasion.Value(f"OCCASION_{each.value}") for each in subscription.occasions),
        min_severity=subscription.min_severity.value,
        new_only=subscription.new_only,
        instance_ids=subscription.instances,
        namespaces=subscription.namespaces,
        repositories=subscription.repositories,
        tag_pattern=subscription.tag_pattern,
        window_seconds=subscription.window_seconds,
    )


def from_subscription(said: pb.Subscription) -> Subscription:
    """Reads what a target is to be told of.

    Raises:
        ServiceError: INVALID_SUBSCRIPTION, INVALID_SEVERITY.
    """
    if not all(number in _OCCASIONS for number in said.occasions):
        raise invalid("INVALID_SUBSCRIPTION", "An occasion is unknown here.", field="occasions")
    return Subscription(
        occasions=frozenset(_OCCASIONS[number] for number in said.occasions),
        min_severity=_severity(said.min_severity),
        new_only=said.new_only,
        instances=tuple(said.instance_ids),
        namespaces=tuple(said.namespaces),
        repositories=tuple(said.repositories),
        tag_pattern=said.tag_pattern,
        window_seconds=said.window_seconds,
    )


@answer_of("notifier")
def answered_subscription(said: pb.Subscription) -> Subscription:
    """Reads what the notifier says that a target is told of.

    Raises:
        ServiceError: NEWER_RELEASE for an occasion that this release does not know.
    """
    return from_subscription(said)


def _severity(word: str) -> Severity:
    if word and word not in Severity.__members__:
        raise invalid("INVALID_SEVERITY", f"{word[:40]!r} is no severity.", field="min_severity")
    return Severity[word] if word else Severity.UNKNOWN
