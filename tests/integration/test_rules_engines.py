"""Engines of instances on a real database: what they wait for, who allowed them, and which one scans."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.kernel.errors import Kind, ServiceError
from services.kernel.model.engine import Engine
from services.kernel.reasons import Reason, ScanFailure
from services.registry.trial import Trial
from services.rules.api import Edition, InstanceChange
from services.rules.engines.api import Condition, ConditionType, EngineStatus, Part, Status
from services.rules.engines.lifecycle import Engines
from tests.builders.engines import OURS, a_part, a_report, some_engines
from tests.builders.rules import BOX, RulesBench, image_event, new_instance, rules_bench
from tests.fakes.clock import ManualClock
from tests.fakes.look import FakeLook

SILENT = Trial(silent=ScanFailure(Reason.REGISTRY_UNREACHABLE, "lab could not be reached."))
REFUSED = Trial(refused=ScanFailure(Reason.REGISTRY_UNAUTHORIZED, "lab refused the password."))
SC, TRIVY = Engine.SECURITY_CENTER, Engine.TRIVY


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Rules, the registry that they see, and their time."""

    rules: RulesBench
    engines: Engines
    look: FakeLook
    clock: ManualClock

    async def check(self, instance: str = "prod") -> None:
        """Looks at the registry as the schedule does."""
        await self.engines.check((await self.rules.api.get_instance(instance)).instance_id)

    async def one(self, type_: ConditionType, engine: Engine = SC) -> Condition:
        return condition(await self.rules.api.engine_status("prod", engine), type_)


@pytest.fixture
async def bench(database: str) -> AsyncIterator[Bench]:
    look, clock = FakeLook(), ManualClock()
    async with rules_bench(database, clock=clock, registry_look=look) as rules:
        engines = some_engines(rules.pool, clock, box=BOX, look=look)
        yield Bench(rules=rules, engines=engines, look=look, clock=clock)


def condition(status: EngineStatus, type_: ConditionType) -> Condition:
    return next(one for one in status.conditions if one.type is type_)


async def refusal(call: object) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await call  # type: ignore[misc] # any awaitable
    return caught.value


async def test_an_engine_is_active_when_everything_it_needs_holds(bench: Bench) -> None:
    api = bench.rules.api
    await api.create_instance(new_instance(), actor="ana")
    before = await api.engine_status("prod")
    assert (before.engine, before.in_use, before.active) == (SC, True, False)
    assert {one.type.value: one.status.value for one in before.conditions} == {
        "RegistryReachable": "Unknown",
        "CredentialsValid": "Unknown",
        "AdvisoryDatabaseReady": "Unknown",
        "RulePacksReady": "Unknown",
        "Authorized": "True",
        "Entitled": "True",
    }
    await api.report_scanner(a_report(*OURS))
    await bench.check()
    after = await api.engine_status("prod", SC)
    assert after.active, after.lacking
    assert (after.authorized_by, condition(after, ConditionType.ENTITLED).reason) == ("ana", "SELF_HOSTED")


async def test_a_condition_keeps_the_moment_of_its_last_change(bench: Bench) -> None:
    await bench.rules.api.create_instance(new_instance())
    await bench.check()
    first = await bench.one(ConditionType.REGISTRY_REACHABLE)
    assert (first.status, first.reason, first.changed_at) == (Status.TRUE, "ANSWERS", bench.clock.now())
    bench.clock.advance(60)
    await bench.check()
    assert await bench.one(ConditionType.REGISTRY_REACHABLE) == first
    bench.clock.advance(60)
    bench.look.trial = SILENT
    await bench.check()
    broken = await bench.one(ConditionType.REGISTRY_REACHABLE)
    assert (broken.status, broken.reason, broken.changed_at) == (
        Status.FALSE,
        "REGISTRY_UNREACHABLE",
        bench.clock.now(),
    )
    assert (await bench.one(ConditionType.CREDENTIALS_VALID)).reason == "REGISTRY_SILENT"
    bench.clock.advance(60)
    bench.look.trial = Trial(pulled="team/app:1.0")
    await bench.check()
    mended = await bench.one(ConditionType.REGISTRY_REACHABLE)
    assert (mended.status, mended.changed_at) == (Status.TRUE, bench.clock.now())


async def test_an_image_is_pulled_now_and_then_and_whenever_the_last_pull_proved_nothing(bench: Bench) -> None:
    await bench.rules.api.create_instance(new_instance())
    for trial, seconds in ((SILENT, 60), (Trial(), 60), (Trial(pulled="a:1"), 60), (Trial(pulled="a:1"), 60)):
        bench.look.trial = trial
        await bench.check()
        bench.clock.advance(seconds)
    bench.clock.advance(3600)
    await bench.check()
    assert [pull for _, pull in bench.look.asked] == [True, True, True, False, True]
    await bench.rules.api.update_instance("prod", InstanceChange(username="u", password="p"))
    await bench.check()
    assert bench.look.asked[-1] == ("registry.example:5000", True)


async def test_the_private_address_is_looked_at(bench: Bench) -> None:
    await bench.rules.api.create_instance(new_instance(private_address="10.0.0.1:5000"))
    await bench.check()
    assert [address for address, _ in bench.look.asked] == ["10.0.0.1:5000"]


async def test_a_silent_scanner_counts_no_more_and_one_ready_scanner_is_enough(bench: Bench) -> None:
    api, type_ = bench.rules.api, ConditionType.RULE_PACKS_READY
    await api.create_instance(new_instance())
    broken = a_part(Part.RULE_PACKS, ready=False, reason="RULE_FILE_BROKEN", message="mine.yar: no.")
    await api.report_scanner(a_report(broken, node_id="a"))
    assert (await bench.one(type_)).status is Status.FALSE
    await api.report_scanner(a_report(a_part(Part.RULE_PACKS), node_id="b"))
    some = await bench.one(type_)
    assert some.status is Status.TRUE
    assert "1 of 2 scanners are not ready; a: mine.yar: no." in some.message
    bench.clock.advance(49)
    await api.report_scanner(a_report(broken, node_id="a"))
    assert (await bench.one(type_)).status is Status.TRUE
    bench.clock.advance(1)
    assert (await bench.one(type_)).status is Status.FALSE
    bench.clock.advance(50)
    silent = await bench.one(type_)
    assert (silent.status, silent.reason) == (Status.UNKNOWN, "NO_SCANNER")


async def test_a_switch_to_an_engine_that_is_not_ready_names_what_it_lacks(bench: Bench) -> None:
    api = bench.rules.api
    await api.report_scanner(a_report(*OURS, a_part(Part.TRIVY)))
    await api.create_instance(new_instance(engine=TRIVY))
    bench.look.trial = REFUSED
    error = await refusal(api.switch_engine("prod", SC))
    assert (error.kind, error.reason) == (Kind.FAILED_PRECONDITION, "ENGINE_NOT_READY")
    assert error.metadata["conditions"] == "CredentialsValid,Authorized"
    assert "lab refused the password." in error.message
    assert (await api.get_instance("prod")).engine is TRIVY


async def test_a_switch_holds_from_the_next_scan_on(bench: Bench) -> None:
    api = bench.rules.api
    await api.report_scanner(a_report(*OURS, a_part(Part.TRIVY)))
    made = await api.create_instance(new_instance(engine=SC))
    await bench.rules.handle([image_event(made.instance_id, tag="1.0")])
    switched = await api.switch_engine("prod", TRIVY, actor="ana")
    assert (switched.engine, switched.in_use, switched.active) == (TRIVY, True, True)
    assert await api.switch_engine("prod", TRIVY) == switched
    await bench.rules.handle([image_event(made.instance_id, tag="2.0")])
    assert [(one.tag, one.engine) for one in await bench.rules.requests()] == [("1.0", SC), ("2.0", TRIVY)]
    back = await api.switch_engine("prod", SC)
    assert (back.in_use, [one.engine for one in await api.list_engines("prod")]) == (True, [SC, TRIVY])


async def test_activation_checks_everything_and_records_the_first_authorization(bench: Bench) -> None:
    api = bench.rules.api
    await api.report_scanner(a_report(*OURS, a_part(Part.TRIVY)))
    await api.create_instance(new_instance(engine=TRIVY), actor="ana")
    looked = await api.activate_engine("prod", SC, authorize=False, actor="bob")
    assert [one.type for one in looked.lacking] == [ConditionType.AUTHORIZED]
    assert condition(looked, ConditionType.AUTHORIZED).reason == "NOT_AUTHORIZED"
    given = await api.activate_engine("prod", SC, authorize=True, actor="bob")
    assert (given.active, given.authorized_by, given.authorized_at) == (True, "bob", bench.clock.now())
    bench.clock.advance(60)
    await api.report_scanner(a_report(*OURS))
    again = await api.activate_engine("prod", SC, authorize=True, actor="eve")
    assert (again.authorized_by, again.authorized_at) == ("bob", given.authorized_at)


async def test_a_caller_may_name_another_engine_only_when_it_is_ready(bench: Bench) -> None:
    api = bench.rules.api
    await api.create_instance(new_instance(engine=SC))
    await api.check_engine("prod", SC)  # in use: it may always be tried
    assert (await refusal(api.check_engine("prod", TRIVY))).metadata["conditions"] == "TrivyReady"
    await api.report_scanner(a_report(a_part(Part.TRIVY)))
    await api.check_engine("prod", TRIVY)  # though nobody has looked at the registry yet


async def test_a_new_instance_takes_trivy_where_a_scanner_has_it_and_no_other_was_named(bench: Bench) -> None:
    api = bench.rules.api
    assert (await api.create_instance(new_instance("nobody-said"))).engine is SC
    broken = a_part(Part.TRIVY, ready=False, reason="TRIVY_MISSING", message="There is no trivy.")
    await api.report_scanner(a_report(broken))
    assert (await api.create_instance(new_instance("broken"))).engine is SC
    error = await refusal(api.create_instance(new_instance("named", engine=TRIVY)))
    assert (error.reason, "There is no trivy." in error.message) == ("ENGINE_NOT_READY", True)
    await api.report_scanner(a_report(a_part(Part.TRIVY)))
    assert (await api.create_instance(new_instance("working"))).engine is TRIVY
    assert (await api.create_instance(new_instance("ours", engine=SC))).engine is SC


async def test_an_entitlement_record_says_which_and_how_many(bench: Bench, tmp_path: Path) -> None:
    api, record = bench.rules.api, tmp_path / "entitlement.toml"
    for name in ("a", "b", "c"):
        await api.create_instance(new_instance(name))
        bench.clock.advance(1)
    engines = some_engines(bench.rules.pool, bench.clock, box=BOX, look=bench.look, entitlement=record)

    async def said() -> dict[str, str]:
        found = [await engines.engine_status(name, SC) for name in ("a", "b", "c")]
        return {
            name: condition(status, ConditionType.ENTITLED).reason
            for name, status in zip("abc", found, strict=True)
        }

    assert set((await said()).values()) == {"ENTITLEMENT_UNREADABLE"}
    record.write_text('[security-center]\ninstances = ["a", "c"]\n')
    assert await said() == {"a": "ENTITLED", "b": "NOT_ENTITLED", "c": "ENTITLED"}
    record.write_text("[security-center]\nat-most = 2\n")
    assert await said() == {"a": "ENTITLED", "b": "ENTITLED", "c": "ENTITLEMENT_EXHAUSTED"}
    record.write_text("[security-center]\nat-mots = 2\n")
    status = condition(await engines.engine_status("a", SC), ConditionType.ENTITLED)
    assert (status.status, "at-mots" in status.message) == (Status.UNKNOWN, True)


async def test_a_personal_instance_is_refused_all_of_it(bench: Bench) -> None:
    api = bench.rules.api
    await api.create_instance(new_instance(edition=Edition.PERSONAL))
    errors = [
        await refusal(call)
        for call in (
            api.list_engines("prod"),
            api.engine_status("prod"),
            api.activate_engine("prod", SC, authorize=True),
            api.switch_engine("prod", TRIVY),
            api.check_engine("prod", SC),
        )
    ]
    assert {error.reason for error in errors} == {"EDITION_NOT_SUPPORTED"}
    assert bench.look.asked == []
    await api.update_instance("prod", InstanceChange(edition=Edition.ENTERPRISE))
    assert condition(await api.engine_status("prod"), ConditionType.AUTHORIZED).status is Status.FALSE


async def test_what_was_seen_of_a_registry_that_moved_meanwhile_is_of_the_past(bench: Bench) -> None:
    api = bench.rules.api
    await api.create_instance(new_instance())

    async def moves(access: object, known: object, *, pull: bool) -> Trial:
        await api.update_instance("prod", InstanceChange(address="elsewhere:5000"))
        return SILENT

    engines = some_engines(bench.rules.pool, bench.clock, box=BOX, look=moves)
    await engines.check((await api.get_instance("prod")).instance_id)
    assert (await bench.one(ConditionType.REGISTRY_REACHABLE)).reason == "NOT_CHECKED"


async def test_a_password_that_cannot_be_opened_shows_and_does_not_stop_the_check(bench: Bench) -> None:
    api = bench.rules.api
    await api.create_instance(new_instance(username="u", password="p"))
    await bench.rules.pool.execute("UPDATE rules.instance SET sealed_password = 'nonsense'")
    await bench.check()
    found = await bench.one(ConditionType.CREDENTIALS_VALID)
    assert (found.status, bench.look.asked) == (Status.UNKNOWN, [])


async def test_regions_are_listed_with_their_instances(bench: Bench) -> None:
    for name, region in (("a", "eu"), ("b", "us"), ("c", "eu"), ("d", "")):
        await bench.rules.api.create_instance(new_instance(name, region=region))
    found = await bench.rules.api.list_regions()
    assert [(one.name, one.instances) for one in found] == [("", 1), ("eu", 2), ("us", 1)]


async def test_conditions_and_authorizations_go_with_their_instance(bench: Bench) -> None:
    await bench.rules.api.create_instance(new_instance())
    await bench.check()
    await bench.rules.api.delete_instance("prod")
    for table in ("engine_condition", "engine_authorization"):
        assert await bench.rules.pool.fetchval(f"SELECT count(*) FROM rules.{table}") == 0  # noqa: S608 - of ours


async def test_a_report_that_names_nobody_or_holds_too_much_is_refused(bench: Bench) -> None:
    endless = a_report(a_part(Part.TRIVY, message="x" * 100_000))
    for report in (a_report(node_id=""), a_report(valid_seconds=0.0), a_report(valid_seconds=1e9), endless):
        assert (await refusal(bench.rules.api.report_scanner(report))).reason == "INVALID_REPORT"
