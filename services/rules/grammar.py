"""What instances and rules may look like: every check of what a caller says, before anything is saved."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from services.kernel.addresses import is_refused
from services.kernel.errors import ServiceError, invalid
from services.kernel.model.reference import NO_NAMESPACE, RepositoryName, parse_host, parse_repository
from services.kernel.tag_pattern import compile_pattern
from services.rules.api import InstanceChange, NewInstance, NewScanRule, Scope

INSTANCE_PREFIX = "cri"
MAX_NAMESPACES = 100
MAX_REPO_NAMES = 1000
MAX_TARGETS = 50
_MAX_PASSWORD = 8192
_MAX_PORT = 65535

_INSTANCE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_REGION = re.compile(r"[A-Za-z0-9._-]{0,64}")
_USERNAME = re.compile(r"[^\x00-\x1f\x7f:]{0,256}")
_RULE_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,128}")
_RULE_ID = re.compile(r"[a-z0-9-]{1,64}")
_TARGET_ID = re.compile(r"tgt-[a-z0-9-]{1,60}")


def may_name_instance(text: str) -> bool:
    """Tells whether an instance can have this id or name; what cannot is not looked up."""
    return _INSTANCE.fullmatch(text) is not None


def may_be_id(text: str) -> bool:
    """Tells whether a rule or repository can have this id."""
    return _RULE_ID.fullmatch(text) is not None


def check_new_instance(new: NewInstance) -> None:
    """Checks all fields of a new instance.

    Raises:
        ServiceError: INVALID_NAME, INVALID_ADDRESS, INVALID_REGION or INVALID_CREDENTIALS; ADDRESS_REFUSED for one
            that is never connected to.
    """
    _instance_name(new.name)
    _address(new.address, "address")
    if new.private_address:
        _address(new.private_address, "private_address")
    _region(new.region)
    check_credentials(new.username, new.password)


def check_change(change: InstanceChange) -> None:
    """Checks the fields that a change names; credentials are checked once they are merged.

    Raises:
        ServiceError: as `check_new_instance`.
    """
    if change.name is not None:
        _instance_name(change.name)
    if change.address is not None:
        _address(change.address, "address")
    if change.private_address:
        _address(change.private_address, "private_address")
    if change.region is not None:
        _region(change.region)


def check_credentials(username: str, password: str) -> None:
    """Checks a user and its password as they will be saved.

    Raises:
        ServiceError: INVALID_CREDENTIALS, which never shows them.
    """
    if not _USERNAME.fullmatch(username):
        raise invalid(
            "INVALID_CREDENTIALS",
            "The user name has a colon, a control character, or more than 256 characters.",
            field="username",
        )
    if password and not username:
        raise invalid(
            "INVALID_CREDENTIALS",
            "There is a password but no user name.",
            field="username",
            hint="Name the user, or leave both out for anonymous access.",
        )
    if len(password) > _MAX_PASSWORD:
        raise invalid(
            "INVALID_CREDENTIALS", f"The password has more than {_MAX_PASSWORD} characters.", field="password"
        )


def checked_repository(namespace: str, name: str) -> RepositoryName:
    """Returns the repository of that name.

    Raises:
        ServiceError: INVALID_REFERENCE.
    """
    if "/" in name:
        raise invalid(
            "INVALID_REFERENCE", f"{name[:160]!r} is no repository name: it has a '/'.", field="repository"
        )
    wanted = RepositoryName(namespace=namespace or NO_NAMESPACE, name=name)
    parse_repository(wanted.path)
    return wanted


def checked_rule(new: NewScanRule) -> NewScanRule:
    """Returns the rule with doubled names and targets taken out.

    Raises:
        ServiceError: INVALID_NAME, INVALID_SCOPE, INVALID_REFERENCE, INVALID_TARGET or INVALID_TAG_PATTERN.
    """
    if not _RULE_NAME.fullmatch(new.name) or not new.name.strip():
        raise invalid(
            "INVALID_NAME",
            f"{new.name[:80]!r} is no name for a rule.",
            field="name",
            hint="Write 1 to 128 characters, none of them a control character.",
        )
    compile_pattern(new.tag_pattern)
    _scope(new)
    for target in new.target_ids:
        if not _TARGET_ID.fullmatch(target):
            raise invalid(
                "INVALID_TARGET",
                f"{target[:80]!r} is no id of a target.",
                field="target_ids",
                hint="Write the tgt-… that `drydock target create` printed.",
            )
    return dataclasses.replace(
        new,
        schedule=" ".join(new.schedule.split()),
        namespaces=tuple(dict.fromkeys(new.namespaces)),
        repo_names=tuple(dict.fromkeys(new.repo_names)),
        target_ids=tuple(sorted(set(new.target_ids))),
    )


def _scope(new: NewScanRule) -> None:
    namespaces, repo_names = len(set(new.namespaces)), len(set(new.repo_names))
    _at_most(MAX_NAMESPACES, new.namespaces, "namespaces")
    _at_most(MAX_REPO_NAMES, new.repo_names, "repo_names")
    _at_most(MAX_TARGETS, new.target_ids, "target_ids")
    if new.scope is Scope.INSTANCE and (namespaces or repo_names):
        raise _bad_scope("A rule for the whole instance names no namespaces and no repositories", "scope")
    if new.scope is Scope.NAMESPACE and not namespaces:
        raise _bad_scope("A rule for namespaces names at least one", "namespaces")
    if new.scope is Scope.NAMESPACE and repo_names:
        raise _bad_scope("A rule for namespaces names no repositories", "repo_names")
    if new.scope is Scope.REPO and namespaces != 1:
        raise _bad_scope("A rule for repositories names exactly one namespace", "namespaces")
    if new.scope is Scope.REPO and not repo_names:
        raise _bad_scope("A rule for repositories names at least one", "repo_names")
    for namespace in new.namespaces:
        if namespace != NO_NAMESPACE:
            parse_repository(namespace, field="namespaces")
    for name in new.repo_names:
        if "/" in name:
            raise _bad_scope(f"{name[:80]!r} must be without its namespace", "repo_names")
        parse_repository(name, field="repo_names")


def _at_most(limit: int, names: Sequence[str], field: str) -> None:
    if len(names) > limit:
        raise _bad_scope(f"A rule has at most {limit} {field}, here are {len(names)}", field)


def _bad_scope(rule: str, field: str) -> ServiceError:
    return invalid("INVALID_SCOPE", f"{rule}.", field=field)


def _instance_name(name: str) -> None:
    if not _INSTANCE.fullmatch(name) or name.startswith(f"{INSTANCE_PREFIX}-"):
        raise invalid(
            "INVALID_NAME",
            f"{name[:80]!r} is no name for an instance.",
            field="name",
            hint="Write up to 64 of [a-z0-9._-], beginning with a letter or digit and not with cri-.",
        )


def _address(text: str, field: str) -> None:
    parse_host(text, field=field)
    bracketed, bracket, rest = text.rpartition("]")
    host, colon, port = rest.partition(":")
    if colon and not 0 < int(port) <= _MAX_PORT:
        raise invalid("INVALID_ADDRESS", f"{text[:120]!r} has no port between 1 and {_MAX_PORT}.", field=field)
    if is_refused(bracketed.removeprefix("[") if bracket else host):
        raise invalid(
            "ADDRESS_REFUSED",
            f"Images are not pulled from {text[:120]}: it is a link-local, metadata or multicast address.",
            field=field,
            hint="Name the host of a registry.",
        )


def _region(region: str) -> None:
    if not _REGION.fullmatch(region):
        raise invalid(
            "INVALID_REGION",
            f"{region[:80]!r} is no region.",
            field="region",
            hint="Write up to 64 of [A-Za-z0-9._-].",
        )
