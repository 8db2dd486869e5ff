"""The way of one fix: planned, fetched, built, pushed, proven. What each word means is in `steps` and beside."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

import structlog

from services.fixer.image.assemble import described
from services.fixer.image.original import original_of
from services.fixer.order import FixOrder, FixPlan, FixResult, PlatformPlan, Progress, Pushed, Stage
from services.fixer.proof.prove import Prover
from services.fixer.publish.publish import Publication, Publisher, told
from services.fixer.publish.tags import fixed_tag
from services.fixer.reports import Reports
from services.fixer.steps.assembly import FixedImage, FixedPlatform, assemble_image, assemble_platform
from services.fixer.steps.bench import Bench, Benches
from services.fixer.steps.make import Counted, Maker
from services.fixer.steps.survey import Surveyed, Surveyor, nothing_to_fix
from services.kernel.model.access import RegistryAccess
from services.kernel.model.digest import Digest
from services.registry.push import RegistryPush
from services.rules.api import RulesApi

log = structlog.get_logger()
_DROPPED: Final = "The attestation {} of the index is left out: it speaks of an image that was replaced."
OpenPush = Callable[[RegistryAccess, str], AbstractAsyncContextManager[RegistryPush]]


class Fix:
    """Meets `order.py::FixWork`."""

    def __init__(
        self,
        *,
        rules: RulesApi,
        benches: Benches,
        open_push: OpenPush,
        reports: Reports,
        surveyor: Surveyor,
        maker: Maker,
        prover: Prover,
    ) -> None:
        self._rules = rules
        self._benches = benches
        self._open_push = open_push
        self._reports = reports
        self._surveyor = surveyor
        self._maker = maker
        self._prover = prover

    async def preview(self, order: FixOrder) -> FixPlan:
        """Tells what a fix would do; fetches packages to see what their scripts do, and changes nothing."""
        tag = _tag(order)
        async with self._benches.open(order) as bench:
            base = await _from_the_original(order, bench)
            surveyed = await self._surveyor.survey(base, bench, await self._reports.of(base), _nobody)
        return FixPlan(platforms=surveyed.plans, tag=tag)

    async def run(self, order: FixOrder, progress: Progress) -> FixResult:
        """Fixes; see `FixWork`."""
        tag, path = _tag(order), order.repository.path
        await progress.stage(Stage.PLANNING, f"reads {path}:{order.tag} and what its repositories have")
        before = await progress.pushed_before()
        async with self._benches.open(order) as bench, self._open_push(bench.access, path) as push:
            publisher = Publisher(push)
            await publisher.check(tag, _replaces(order), before)
            base = await _from_the_original(order, bench)
            scanned = await self._reports.of(base)
            surveyed = await self._surveyor.survey(base, bench, scanned, _counting(progress))
            if not surveyed.ready:
                raise nothing_to_fix(surveyed.plans)
            image = await self._build(base, bench, surveyed, progress)
            await progress.stage(Stage.PUSHING, f"pushes {path}:{tag}")
            pushed = await publisher.publish(_publication(order, tag, image), progress.about_to_push, before)
            await progress.stage(Stage.PROVING, f"has {path}:{tag} scanned")
            with told():
                proof = await self._prover.prove(
                    order,
                    _done(surveyed.plans, image),
                    scanned,
                    push,
                    repository=f"{bench.access.address}/{path}",
                    tag=tag,
                    digest=pushed.digest,
                    subjects={str(each.platform): described(each.raw) for each in image.platforms},
                )
        return FixResult(
            platforms=proof.platforms,
            tag=tag,
            digest=pushed.digest,
            previous=pushed.previous,
            backup_tag=pushed.backup_tag,
            scan_task_id=proof.scan_task_id,
            new_findings=proof.new,
            attached=proof.attached,
        )

    async def revert(self, order: FixOrder, result: FixResult) -> Digest:
        """Puts back what the written tag held; see `FixWork`."""
        access = await self._rules.registry_access(order.instance_id)
        async with self._open_push(access, order.repository.path) as push:
            return await Publisher(push).revert(_pushed(result))

    async def _build(self, order: FixOrder, bench: Bench, surveyed: Surveyed, progress: Progress) -> FixedImage:
        name = f"{bench.access.address}/{order.repository.path}:{order.tag}"
        fixed: list[FixedPlatform] = []
        for number, ready in enumerate(surveyed.ready):
            platform = ready.prepared.image.platform
            await progress.stage(
                Stage.BUILDING, f"builds the layer for {platform}", done=number, of=len(surveyed.ready)
            )
            target = bench.folder / f"layer-{number}"
            built = await self._maker.build(ready, target)
            fixed.append(assemble_platform(ready.prepared, built, name))
        return assemble_image(surveyed.original, fixed, name)


async def _from_the_original(order: FixOrder, bench: Bench) -> FixOrder:
    """Returns the order on what a fix is built from: where the tag holds a fix of ours, on that one's original.

    Else layers of fixes would lie upon each other, the first of them in vain.
    """
    original = await original_of(bench.source, order.digest)
    return dataclasses.replace(order, digest=original.digest)


async def _nobody(done: int, of: int) -> None:
    """Nobody watches a preview."""


def _counting(progress: Progress) -> Counted:
    async def count(done: int, of: int) -> None:
        await progress.stage(Stage.FETCHING, f"has {done} of {of} packages", done=done, of=of)

    return count


def _tag(order: FixOrder) -> str:
    return order.tag if order.overwrite else fixed_tag(order.tag)


def _replaces(order: FixOrder) -> Digest | None:
    return order.digest if order.overwrite else None


def _publication(order: FixOrder, tag: str, image: FixedImage) -> Publication:
    return Publication(
        tag=tag, top=image.top, manifests=image.manifests, blobs=image.blobs, replaces=_replaces(order)
    )


def _done(plans: Sequence[PlatformPlan], image: FixedImage) -> tuple[PlatformPlan, ...]:
    """Returns the plans with what was made of them."""
    made: Mapping[str, FixedPlatform] = {str(each.platform): each for each in image.platforms}
    done = []
    for plan in plans:
        fixed = made.get(str(plan.platform))
        if fixed is None:
            done.append(plan)
            continue
        layer = fixed.built.layer
        notes = (*fixed.built.notes, *map(_DROPPED.format, image.dropped))
        done.append(dataclasses.replace(plan, fixed_digest=fixed.raw.digest, layer_bytes=layer.size, notes=notes))
    return tuple(done)


def _pushed(result: FixResult) -> Pushed:
    return Pushed(tag=result.tag, digest=result.digest, previous=result.previous, backup_tag=result.backup_tag)
