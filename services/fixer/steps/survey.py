"""All platforms of an image, planned as far as anybody can say before anything is built."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from services.fixer.failure import FixFailure, FixReason
from services.fixer.order import FixOrder, PlatformPlan
from services.fixer.reports import ScannedImage
from services.fixer.steps.bench import Bench
from services.fixer.steps.make import Counted, Maker, Ready
from services.fixer.steps.original import Original, PlatformImage, bring_layers, read_original
from services.fixer.steps.prepare import Planner, is_of_the_image, left_as_it_is
from services.kernel.blocking import in_thread
from services.kernel.reasons import ScanFailure
from services.registry.limits import ImageLimits
from services.registry.spool import LayerSpool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Surveyed:
    """What can be done with an image."""

    original: Original
    ready: tuple[Ready, ...]
    """Platforms that get a new layer."""
    plans: tuple[PlatformPlan, ...]
    """Every platform, in the order of the index."""


class Surveyor:
    """Plans every platform, fetches its packages, and looks into them."""

    def __init__(
        self, planner: Planner, maker: Maker, spool: LayerSpool, limits: ImageLimits, *, image_bytes: int
    ) -> None:
        self._planner = planner
        self._maker = maker
        self._spool = spool
        self._limits = limits
        self._image_bytes = image_bytes

    async def survey(self, order: FixOrder, bench: Bench, scanned: ScannedImage, counted: Counted) -> Surveyed:
        """Plans the whole image: platforms one after the other, so that memory holds one at a time.

        Raises:
            FixFailure: what keeps all of it from being fixed.
            ScanFailure: what the registry answers, or is wrong with the image.
        """
        original = await read_original(bench.source, order.digest, self._limits)
        named = frozenset(order.findings)
        ready: list[Ready] = []
        plans: list[PlatformPlan] = []
        failures: list[FixFailure | ScanFailure] = []
        for image in original.platforms:
            report = scanned.reports.get(str(image.platform))
            try:
                one = await self._platform(image, bench, scanned, named, counted)
            except (FixFailure, ScanFailure) as failure:
                if not is_of_the_image(failure):
                    raise
                failures.append(failure)
                plans.append(left_as_it_is(image, report, named, failure))
                continue
            plans.append(one.prepared.platform_plan)
            if one.prepared.plan.upgrades:
                ready.append(one)
        if failures and len(failures) == len(plans):
            raise failures[0]
        return Surveyed(original=original, ready=tuple(ready), plans=tuple(plans))

    async def _platform(
        self,
        image: PlatformImage,
        bench: Bench,
        scanned: ScannedImage,
        named: frozenset[str],
        counted: Counted,
    ) -> Ready:
        report = scanned.reports.get(str(image.platform))
        if report is None:
            raise FixFailure(
                FixReason.PLATFORM_NOT_SCANNED,
                f"There is no report on the platform {image.platform}.",
                hint="Scan the image again.",
            )
        if image.nested:
            raise FixFailure(
                FixReason.INDEX_NESTED, f"The platform {image.platform} lies in an index inside the index."
            )
        folder = bench.folder / image.raw.digest.replace(":", "-")
        await in_thread(folder.mkdir, exist_ok=True)  # platforms may share one image
        # Layers stay until all platforms are built: the bound holds for them together.
        room = max(0, self._image_bytes - await in_thread(_held, bench.folder))
        layers = await bring_layers(bench.source, image.image, self._spool, folder, at_most=room)
        prepared = await self._planner.prepare(image, layers, report, named, bench.depot)
        return await self._maker.fetch(prepared, bench.depot, counted)


def _held(folder: Path) -> int:
    """Returns how many bytes of layers lie there."""
    return sum(each.stat().st_size for each in folder.glob("sha256-*/*"))


def nothing_to_fix(plans: Sequence[PlatformPlan]) -> FixFailure:
    """Returns the failure of a fix for which no package can be replaced."""
    refused = [outcome for plan in plans for outcome in plan.outcomes]
    counts: dict[str, int] = {}
    for outcome in refused:
        if outcome.why is not None:
            counts[outcome.why.value] = counts.get(outcome.why.value, 0) + 1
    why = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
    message = (
        f"None of {len(refused)} findings can be fixed by packages of the distribution: {why}."
        if refused
        else "No vulnerability of a system package was found in the image, or none of those that were named."
    )
    return FixFailure(
        FixReason.NOTHING_TO_FIX, message, hint="`drydock fix preview` says of each finding why it stays."
    )
