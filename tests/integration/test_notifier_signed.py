"""What a program receives: signed, as JSON or as a CloudEvent, over TLS that is verified."""

from __future__ import annotations

import hashlib
import hmac
import json
import ssl
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event

from services.notifier.api import Format, TargetChange, TargetKind
from tests.builders.certificates import Authority
from tests.builders.notifier import Hit, notifier_bench, scan_event, serve_site
from tests.fakes.clock import ManualClock

KINDS = TargetKind


def accepts(hit: Hit, secret: str) -> bool:
    """Verifies as the documentation tells a receiver to: over the seconds, a dot and the body as it came."""
    fields = [field.split("=", 1) for field in hit.headers["Drydock-Signature"].split(",")]
    ((_, seconds),) = [field for field in fields if field[0] == "t"]
    wanted = hmac.new(secret.encode(), seconds.encode() + b"." + hit.body, hashlib.sha256).hexdigest()
    return any(hmac.compare_digest(value, wanted) for name, value in fields if name == "v1")


async def test_a_secret_signs_the_time_and_the_raw_body(database: str) -> None:
    clock = ManualClock()
    async with notifier_bench(database, clock=clock) as bench, serve_site() as site:
        target = await bench.target(site.url, secret="s3cr3t")
        await bench.tell(scan_event(target.target_id))
        await bench.deliver_due()
        (hit,) = site.hits
        assert accepts(hit, "s3cr3t")
        assert not accepts(hit, "another")
        assert not accepts(Hit(headers=hit.headers, body=hit.body + b" "), "s3cr3t")
        assert hit.headers["Drydock-Signature"].startswith(f"t={int(clock.now().timestamp())},v1=")


async def test_without_a_secret_nothing_is_signed(database: str) -> None:
    async with notifier_bench(database) as bench, serve_site() as site:
        target = await bench.target(site.url)
        await bench.tell(scan_event(target.target_id))
        await bench.deliver_due()
        assert "Drydock-Signature" not in site.hits[0].headers


async def test_two_secrets_sign_while_they_overlap_and_one_after(database: str) -> None:
    clock = ManualClock()
    async with notifier_bench(database, clock=clock) as bench, serve_site() as site:
        target = await bench.target(site.url, secret="old")
        await bench.api.update_target("chat", TargetChange(secret="new", overlap=timedelta(hours=1)))
        for seconds in (0, 3599, 3600):
            clock.advance(seconds - (seconds == 3600) * 3599)
            await bench.tell(scan_event(target.target_id))
            await bench.deliver_due()
        assert [(accepts(hit, "old"), accepts(hit, "new")) for hit in site.hits] == [
            (True, True),
            (True, True),
            (False, True),
        ]
        assert (await bench.api.list_targets()).items[0].old_secret_until is None


async def test_each_attempt_is_signed_anew(database: str) -> None:
    clock = ManualClock()
    async with notifier_bench(database, clock=clock) as bench, serve_site() as site:
        target = await bench.target(site.url, secret="s3cr3t")
        await bench.tell(scan_event(target.target_id))
        (claim,) = await bench.worker.claim(10)
        await bench.worker.deliver(claim)
        clock.advance(30)
        await bench.pool.execute("UPDATE notifier.delivery SET state = 'PENDING', due_at = now()")
        await bench.deliver_due()
        first, second = site.hits
        assert first.body == second.body
        assert first.headers["Drydock-Delivery"] == second.headers["Drydock-Delivery"]
        assert first.headers["Drydock-Signature"] != second.headers["Drydock-Signature"]
        assert accepts(second, "s3cr3t")


def event_of(headers: Mapping[str, str], body: bytes) -> tuple[dict[str, object], object]:
    """Reads a CloudEvent with the SDK of those who wrote the specification."""
    event = from_http_event(HTTPMessage(headers=dict(headers), body=body))
    return event.get_attributes(), event.get_data()


@pytest.mark.parametrize("form", [Format.CLOUDEVENTS_BINARY, Format.CLOUDEVENTS_STRUCTURED])
async def test_a_cloud_event_is_read_by_the_sdk_and_signed(database: str, form: Format) -> None:
    async with notifier_bench(database) as bench, serve_site() as site:
        plain = await bench.target(site.url, "plain")
        target = await bench.target(site.url, secret="s3cr3t", format=form)
        await bench.tell(scan_event(plain.target_id))
        await bench.deliver_due()
        record = scan_event(target.target_id)
        await bench.tell(record)
        await bench.deliver_due()
        told, hit = site.hits
        attributes, data = event_of(hit.headers, hit.body)
        (row,) = [row for row in await bench.deliveries() if row["target_id"] == target.target_id]
        assert isinstance(data, dict)
        assert set(data) == set(json.loads(told.body))
        assert data["delivery_id"] == hit.headers["Drydock-Delivery"] == str(row["delivery_id"])
        assert (attributes["id"], attributes["type"]) == (str(row["event_id"]), "drydock.scan.completed")
        assert (attributes["source"], attributes["subject"]) == ("/drydock/instances/cri-1", "team/app:1.0")
        assert attributes["specversion"] == "1.0"
        assert attributes["datacontenttype"] == "application/json"
        assert accepts(hit, "s3cr3t")


async def test_a_tag_outside_of_ascii_goes_through_headers_unharmed(database: str) -> None:
    async with notifier_bench(database) as bench, serve_site() as site:
        target = await bench.target(site.url, format=Format.CLOUDEVENTS_BINARY)
        record = scan_event(target.target_id, tag='v"1%\u00e9 \r\nX: y')
        await bench.tell(record)
        await bench.deliver_due()
        (hit,) = site.hits
        assert hit.headers["ce-subject"] == "team/app:v%221%25%C3%A9%20%0D%0AX:%20y"
        assert "X" not in hit.headers


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def tls(authority: Authority, tmp_path: Path) -> ssl.SSLContext:
    return authority.server(tmp_path)


async def test_a_certificate_of_nobodys_is_refused_and_the_operators_own_authority_taken(
    database: str, authority: Authority, tls: ssl.SSLContext
) -> None:
    async with notifier_bench(database) as bench, serve_site(tls=tls) as site:
        stranger = await bench.target(site.url, "stranger", kind=KINDS.HTTPS)
        wrong = await bench.target(site.url, "wrong", kind=KINDS.HTTPS, ca_certificates=Authority("x").pem)
        right = await bench.target(site.url, "right", kind=KINDS.HTTPS, ca_certificates=authority.pem)
        await bench.tell(scan_event(stranger.target_id, wrong.target_id, right.target_id))
        await bench.deliver_due()
        states = {row["target_id"]: (row["state"], row["reason"]) for row in await bench.deliveries()}
        assert states == {
            stranger.target_id: ("PENDING", "TARGET_CERTIFICATE"),
            wrong.target_id: ("PENDING", "TARGET_CERTIFICATE"),
            right.target_id: ("DELIVERED", ""),
        }
        assert len(site.hits) == 1


async def test_a_certificate_of_another_name_is_refused(
    database: str, authority: Authority, tls: ssl.SSLContext
) -> None:
    async with notifier_bench(database) as bench, serve_site(tls=tls) as site:
        url = site.url.replace("127.0.0.1", "[::ffff:127.0.0.1]")
        target = await bench.target(url, kind=KINDS.HTTPS, ca_certificates=authority.pem)
        await bench.tell(scan_event(target.target_id))
        await bench.deliver_due()
        (row,) = await bench.deliveries()
        assert (row["state"], row["reason"], site.hits) == ("PENDING", "TARGET_CERTIFICATE", [])
