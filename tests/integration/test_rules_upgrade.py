"""Instances of the release before: they keep their engine, authorized by whoever created them."""

from __future__ import annotations

from services.kernel.clock import SystemClock
from services.kernel.db import open_pool
from services.kernel.migrate import load_migrations
from services.kernel.model.engine import Engine
from services.rules.engines.api import ConditionType, Part
from tests.builders.edge import real_rules
from tests.builders.engines import OURS, a_part, a_report

INSERT = """
INSERT INTO rules.instance (instance_id, name, edition, region, address, private_address, plain_http, username,
    sealed_password, engine, created_at, updated_at)
VALUES ($1, $2, 'ENTERPRISE', '', '127.0.0.1:1', '', true, '', '', 'SECURITY_CENTER', now(), now())
"""


async def test_an_instance_that_was_there_before_its_engine_could_be_chosen_keeps_it(empty_database: str) -> None:
    async with open_pool(empty_database, application_name="tests") as pool:
        first, *later = load_migrations("services.rules")
        await pool.execute(first.statements)
        await pool.execute(INSERT, "cri-old", "old")
        for migration in later:
            await pool.execute(migration.statements)
        # A copy of the release before may still be at work, and knows none of the new columns.
        await pool.execute(INSERT, "cri-late", "late")
        rules = real_rules(pool, SystemClock())
        await rules.report_scanner(a_report(*OURS, a_part(Part.TRIVY)))

        old = await rules.activate_engine("old", Engine.SECURITY_CENTER, authorize=False)
        assert (old.in_use, old.active, old.authorized_by) == (True, True, "whoever created the instance")
        late = await rules.activate_engine("late", Engine.SECURITY_CENTER, authorize=False)
        assert [one.type for one in late.lacking] == [ConditionType.AUTHORIZED]
        await rules.check_engine("late", Engine.SECURITY_CENTER)  # what it lacks stops no scan
        assert (await rules.switch_engine("old", Engine.TRIVY)).in_use
