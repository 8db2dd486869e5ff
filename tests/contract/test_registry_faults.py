"""What the registry client makes of a registry that fails, dawdles, lies or sends it elsewhere."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from pydantic import SecretStr

from services.kernel.model.access import RegistryAccess
from services.kernel.model.digest import digest_of
from services.kernel.model.media import OCI_MANIFEST
from services.kernel.reasons import Reason, ScanFailure
from services.lab.faults import (
    CutOff,
    Delay,
    Disconnect,
    Fault,
    IgnoreRange,
    Status,
    Trickle,
    WithHeader,
    WithoutHeader,
    WrongBytes,
)
from services.lab.image import build_image
from services.lab.push import push_image
from services.lab.registry import LabRegistry, serve_registry
from services.registry.interface import Descriptor
from services.registry.limits import Timeouts
from tests.builders.images import (
    REPOSITORY,
    Waits,
    a_large_layer,
    an_image,
    layer_descriptor,
    read_blob,
    registry_source,
)
from tests.fakes.clock import ManualClock
from tests.registries import PASSWORD, USERNAME, lab_registry

MANIFESTS, BLOBS = "/v2/*/manifests/*", "/v2/*/blobs/*"
IMPATIENT = Timeouts(connect_seconds=1.0, idle_seconds=0.1, request_seconds=5.0)
LAYER = a_large_layer()
LAYER_DESCRIPTOR = layer_descriptor(LAYER)


@pytest.fixture
async def lab() -> AsyncIterator[LabRegistry]:
    async with serve_registry() as registry:
        await push_image(open_access(registry), REPOSITORY, "1.0", build_image([LAYER]))
        registry.seen.clear()
        yield registry


def open_access(registry: LabRegistry) -> RegistryAccess:
    return RegistryAccess(address=registry.address, plain_http=True)


async def failure_of_manifest(
    lab: LabRegistry, fault: Fault, *, timeouts: Timeouts | None = None, waits: Waits | None = None
) -> ScanFailure:
    lab.faults.add(MANIFESTS, fault)
    async with registry_source(open_access(lab), timeouts=timeouts, waits=waits) as source:
        with pytest.raises(ScanFailure) as caught:
            await source.manifest("1.0")
    return caught.value


async def failure_of_blob(lab: LabRegistry, fault: Fault, *, timeouts: Timeouts | None = None) -> ScanFailure:
    lab.faults.add(BLOBS, fault)
    async with registry_source(open_access(lab), timeouts=timeouts) as source:
        with pytest.raises(ScanFailure) as caught:
            await read_blob(source, LAYER_DESCRIPTOR)
    return caught.value


@pytest.mark.parametrize(
    ("status", "why", "requests"),
    [
        (403, Reason.REGISTRY_FORBIDDEN, 1),
        (404, Reason.IMAGE_NOT_FOUND, 1),
        (400, Reason.REGISTRY_ERROR, 1),
        (429, Reason.REGISTRY_RATE_LIMITED, 3),
        (500, Reason.REGISTRY_ERROR, 3),
        (503, Reason.REGISTRY_ERROR, 3),
    ],
)
async def test_status_has_its_reason_and_only_passing_ones_are_tried_again(
    lab: LabRegistry, status: int, why: Reason, requests: int
) -> None:
    failure = await failure_of_manifest(lab, Status(code=status))

    assert failure.why is why
    assert failure.metadata["status"] == str(status)
    assert len(lab.seen) == requests


async def test_error_body_is_not_shown_but_its_code_is(lab: LabRegistry) -> None:
    body = b'{"errors":[{"code":"DENIED","message":"<script>hostile</script>"}]}'
    failure = await failure_of_manifest(lab, Status(code=403, body=body))

    assert failure.metadata["registry_code"] == "DENIED"
    assert "hostile" not in failure.sentence()


@pytest.mark.parametrize("body", [b"x" * 100_000, b'{"errors":[{"code":"not a code!"}]}', b"[" * 5000, b"{}"])
async def test_senseless_error_body_does_no_harm(lab: LabRegistry, body: bytes) -> None:
    failure = await failure_of_manifest(lab, Status(code=404, body=body))

    assert failure.why is Reason.IMAGE_NOT_FOUND
    assert "registry_code" not in failure.metadata


async def test_passing_error_is_overcome_with_growing_pauses(lab: LabRegistry) -> None:
    waits = Waits()
    lab.faults.add(MANIFESTS, Status(code=502), times=2)

    async with registry_source(open_access(lab), waits=waits) as source:
        await source.manifest("1.0")

    assert waits.seconds == [0.5, 1.0]


async def test_retry_after_in_seconds_is_kept_to(lab: LabRegistry) -> None:
    waits = Waits()
    lab.faults.add(MANIFESTS, Status(code=429, headers={"Retry-After": "7"}), times=1)

    async with registry_source(open_access(lab), waits=waits) as source:
        await source.manifest("1.0")

    assert waits.seconds == [7.5]


async def test_retry_after_beyond_patience_puts_the_scan_off(lab: LabRegistry) -> None:
    waits = Waits()
    failure = await failure_of_manifest(lab, Status(code=429, headers={"Retry-After": "900"}), waits=waits)

    assert failure.why is Reason.REGISTRY_RATE_LIMITED
    assert failure.retry_after == 900
    assert waits.seconds == []


async def test_retry_after_as_a_date_is_read(lab: LabRegistry) -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    failure = await failure_of_manifest(lab, Status(code=503, headers={"Retry-After": when}))

    assert failure.retry_after is not None
    assert 590 < failure.retry_after <= 600


async def test_silent_registry_times_out(lab: LabRegistry) -> None:
    failure = await failure_of_manifest(lab, Delay(30), timeouts=IMPATIENT)

    assert failure.why is Reason.REGISTRY_TIMEOUT


async def test_endless_trickle_runs_into_the_deadline(lab: LabRegistry) -> None:
    timeouts = Timeouts(idle_seconds=5.0, request_seconds=0.2, slowest_bytes_per_second=1 << 30)
    failure = await failure_of_blob(lab, Trickle(drop_bytes=1, pause_seconds=0.02), timeouts=timeouts)

    assert failure.why is Reason.REGISTRY_TIMEOUT


async def test_trickle_below_the_slowest_rate_is_given_up_long_before_the_deadline(lab: LabRegistry) -> None:
    timeouts = Timeouts(idle_seconds=5.0, request_seconds=0.2, slowest_bytes_per_second=32 << 10)
    assert LAYER_DESCRIPTOR.size / timeouts.slowest_bytes_per_second > 30
    async with asyncio.timeout(15):
        failure = await failure_of_blob(lab, Trickle(drop_bytes=100, pause_seconds=0.01), timeouts=timeouts)

    assert failure.why is Reason.REGISTRY_TIMEOUT
    assert len(lab.seen) == 3


async def test_reader_that_takes_its_time_is_not_taken_for_a_slow_registry(lab: LabRegistry) -> None:
    clock = ManualClock()
    async with (
        registry_source(open_access(lab), clock=clock) as source,
        source.blob(LAYER_DESCRIPTOR) as chunks,
    ):
        async for _ in chunks:
            clock.advance(3600)

    assert len(lab.seen) == 1


async def test_retry_after_in_the_middle_of_a_transfer_puts_the_scan_off(lab: LabRegistry) -> None:
    lab.faults.add(BLOBS, CutOff(300_000), times=1)
    failure = await failure_of_blob(lab, Status(code=503, headers={"Retry-After": "900"}))

    assert failure.retry_after == 900
    assert len(lab.seen) == 2


async def test_nobody_listening_is_unreachable(lab: LabRegistry) -> None:
    waits = Waits()
    async with lab_registry() as gone:
        access = gone.access
    async with registry_source(access, waits=waits) as source:
        with pytest.raises(ScanFailure) as caught:
            await source.head("1.0")

    assert caught.value.why is Reason.REGISTRY_UNREACHABLE
    assert len(waits.seconds) == 2


async def test_connection_cut_after_the_headers_is_a_cut_transfer(lab: LabRegistry) -> None:
    failure = await failure_of_manifest(lab, CutOff(0))

    assert failure.why is Reason.TRANSFER_CUT_OFF


async def test_closed_connection_is_unreachable_and_tried_again(lab: LabRegistry) -> None:
    waits = Waits()
    failure = await failure_of_manifest(lab, Disconnect(), waits=waits)
    assert failure.why is Reason.REGISTRY_UNREACHABLE
    assert waits.seconds == [0.5, 1.0]

    lab.faults.add(BLOBS, Disconnect(), times=1)
    async with registry_source(open_access(lab)) as source:
        assert await read_blob(source, LAYER_DESCRIPTOR) == LAYER.content


async def test_plain_registry_behind_https_says_so_at_once(lab: LabRegistry) -> None:
    waits = Waits()
    async with registry_source(RegistryAccess(address=lab.address), waits=waits) as source:
        with pytest.raises(ScanFailure) as caught:
            await source.head("1.0")

    assert caught.value.why is Reason.REGISTRY_UNREACHABLE
    assert "plain HTTP" in caught.value.sentence()
    assert waits.seconds == []


async def test_cut_transfer_goes_on_where_it_stopped(lab: LabRegistry) -> None:
    lab.faults.add(BLOBS, CutOff(300_000), times=2)

    async with registry_source(open_access(lab)) as source:
        assert await read_blob(source, LAYER_DESCRIPTOR) == LAYER.content

    ranges = [int(seen.headers["range"].removeprefix("bytes=").rstrip("-")) for seen in lab.seen[1:]]
    assert len(ranges) == 2
    assert 0 < ranges[0] < ranges[1]


async def test_cut_transfer_starts_over_where_ranges_are_ignored(lab: LabRegistry) -> None:
    lab.faults.add(BLOBS, CutOff(300_000), times=1)
    lab.faults.add(BLOBS, IgnoreRange())

    async with registry_source(open_access(lab)) as source:
        assert await read_blob(source, LAYER_DESCRIPTOR) == LAYER.content


async def test_transfer_cut_again_and_again_fails(lab: LabRegistry) -> None:
    failure = await failure_of_blob(lab, CutOff(1000))

    assert failure.why is Reason.TRANSFER_CUT_OFF
    assert len(lab.seen) == 3


async def test_range_answered_with_another_range_is_no_continuation(lab: LabRegistry) -> None:
    lab.faults.add(BLOBS, CutOff(300_000), times=1)
    failure = await failure_of_blob(lab, WithHeader("Content-Range", f"bytes 5-9/{LAYER_DESCRIPTOR.size}"))

    assert failure.why is Reason.REGISTRY_ERROR


async def test_altered_blob_is_a_mismatch(lab: LabRegistry) -> None:
    failure = await failure_of_blob(lab, WrongBytes())

    assert failure.why is Reason.DIGEST_MISMATCH
    assert LAYER.digest in failure.message


async def test_altered_manifest_is_a_mismatch_by_tag_and_by_digest(lab: LabRegistry) -> None:
    digest = build_image([LAYER]).digest
    lab.faults.add(MANIFESTS, WrongBytes())

    async with registry_source(open_access(lab)) as source:
        for reference in ("1.0", digest):
            with pytest.raises(ScanFailure) as caught:
                await source.manifest(reference)
            assert caught.value.why is Reason.DIGEST_MISMATCH


async def test_false_digest_header_does_not_outweigh_the_bytes(lab: LabRegistry) -> None:
    digest = build_image([LAYER]).digest
    lab.faults.add(MANIFESTS, WithHeader("Docker-Content-Digest", digest_of(b"lie")))

    async with registry_source(open_access(lab)) as source:
        assert (await source.head(digest)).digest == digest
        assert (await source.manifest(digest)).digest == digest


async def test_head_without_a_digest_falls_back_to_the_manifest(lab: LabRegistry) -> None:
    image = build_image([LAYER])
    lab.faults.add(MANIFESTS, WithoutHeader("Docker-Content-Digest"))

    async with registry_source(open_access(lab)) as source:
        head = await source.head("1.0")

    assert head == Descriptor(media_type=image.media_type, digest=image.digest, size=len(image.manifest))
    assert [seen.method for seen in lab.seen] == ["HEAD", "GET"]


async def test_manifest_beyond_the_bound_is_not_read(lab: LabRegistry) -> None:
    failure = await failure_of_manifest(lab, Status(code=200, body=b" " * (4 << 20) + b"{}"))

    assert failure.why is Reason.MANIFEST_TOO_LARGE
    assert failure.metadata["limit"] == str(4 << 20)


@pytest.mark.parametrize("announced", [True, False])
async def test_manifest_of_thirty_megabytes_is_left_where_it_is(announced: bool) -> None:
    whole, sent, gone = 30 << 20, 0, asyncio.Event()
    length = f"Content-Length: {whole}\r\n" if announced else ""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {OCI_MANIFEST}\r\n{length}\r\n{{"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head.encode())
        try:
            while sent < whole:
                writer.write(b" " * (64 << 10))
                await writer.drain()
                sent += 64 << 10
        except ConnectionError:
            gone.set()
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        async with registry_source(RegistryAccess(address=f"{host}:{port}", plain_http=True)) as source:
            with pytest.raises(ScanFailure) as caught:
                await source.manifest("huge")
            async with asyncio.timeout(5):
                await gone.wait()

    assert caught.value.why is Reason.MANIFEST_TOO_LARGE
    assert sent < whole  # what the system holds in its buffers counts as sent


async def test_all_manifest_types_are_accepted_at_once(lab: LabRegistry) -> None:
    async with registry_source(open_access(lab)) as source:
        await source.head("1.0")

    assert lab.seen[0].headers["accept"].count("application/vnd.") == 4
    assert lab.seen[0].headers["accept-encoding"] == "identity"


async def test_compressed_transfer_is_not_undone_behind_our_back(lab: LabRegistry) -> None:
    squeezed = gzip.compress(b"squeezed")
    failure = await failure_of_blob(lab, Status(code=200, body=squeezed, headers={"Content-Encoding": "gzip"}))

    assert failure.why is Reason.DIGEST_MISMATCH


async def test_cancelled_download_closes_its_connection(lab: LabRegistry) -> None:
    lab.faults.add(BLOBS, Trickle(drop_bytes=1000, pause_seconds=0.01))
    started = asyncio.Event()

    async def download() -> None:
        async with registry_source(open_access(lab)) as source, source.blob(LAYER_DESCRIPTOR) as chunks:
            async for _ in chunks:
                started.set()

    task = asyncio.create_task(download())
    await started.wait()
    assert lab.connections == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await no_connections(lab)


async def test_download_left_half_way_closes_its_connection(lab: LabRegistry) -> None:
    lab.faults.add(BLOBS, Trickle(drop_bytes=1000, pause_seconds=0.01))
    async with registry_source(open_access(lab)) as source:
        async with source.blob(LAYER_DESCRIPTOR) as chunks:
            await anext(chunks)
        await no_connections(lab)


async def no_connections(lab: LabRegistry) -> None:
    """The server learns of a closed connection from its socket, a turn of the loop or two later."""
    async with asyncio.timeout(5):
        while lab.connections:  # nothing of the server's can be waited for
            await asyncio.sleep(0)


def test_password_is_not_in_the_text_of_an_access() -> None:
    access = RegistryAccess(address="localhost:5000", username=USERNAME, password=SecretStr(PASSWORD))

    assert PASSWORD not in f"{access!r} {access}"


async def test_image_pushed_twice_has_one_digest() -> None:
    assert an_image("same").digest == an_image("same").digest
