"""Relaying a stream: bytes to the client, money held ahead of them, settlement at the end."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any

from sluicegate.admission.service import AdmissionService
from sluicegate.completions.pipeline.attempt import Opened
from sluicegate.completions.pipeline.completion import Completion
from sluicegate.completions.pipeline.policy import CompletionsPolicy
from sluicegate.completions.pipeline.settlement import settle, take_usage
from sluicegate.completions.pipeline.slices import Slices
from sluicegate.completions.types import StreamMeter, UpstreamFailure
from sluicegate.kernel.errors import SluicegateError, UpstreamError, UpstreamTimeoutError

log = logging.getLogger(__name__)

_FAULT = "something went wrong in the gateway; quote the request id to its operator"

Finished = Callable[[Completion], Awaitable[None]]


class Relay:
    """Passes streams on. Streams that clients left are finished here, in the background."""

    def __init__(self, admission: AdmissionService, policy: CompletionsPolicy, slices: Slices) -> None:
        self._admission = admission
        self._policy = policy
        self._slices = slices
        self._abandoned: set[asyncio.Task[None]] = set()

    async def stream(
        self, completion: Completion, opened: Opened, finished: Finished
    ) -> AsyncGenerator[bytes, None]:
        """The bytes for the client, whole events only. Settles before the last of them is given out.

        `finished` is awaited once the stream is settled, however it ended. A failure in mid-stream
        becomes the dialect's error event: what was sent cannot be taken back. A stream that is closed
        before anything was taken from it is settled like one that was left.
        """
        stream = self._bytes(completion, opened, finished)
        # Closing a generator that has not begun runs none of it, and the hold would stay.
        await anext(stream)
        return stream

    async def _bytes(
        self, completion: Completion, opened: Opened, finished: Finished
    ) -> AsyncGenerator[bytes, None]:
        """An empty piece first, by which it has begun; then as `stream` says."""
        meter, departure = opened.meter, completion.inbound.departure
        followed = self._slices.follow(completion)
        complete = False
        try:
            out = opened.first
            if not meter.finished:
                _collect(completion, out)
            yield b""
            # The first read may have brought a good deal already.
            if followed is not None:
                await followed.read(meter)
            if not meter.finished:
                yield out
                out = b""
                departure.wait(self._policy.abandoned_seconds)
                async for chunk in opened.chunks:
                    departure.waiting = False
                    out = meter.feed(chunk)
                    if followed is not None:
                        await followed.read(meter)
                    if meter.finished or meter.failed is not None:
                        break
                    if out:
                        _collect(completion, out)
                        yield out
                        out = b""
                    departure.waiting = True
                departure.waiting = False
            out += meter.close()
            _collect(completion, out)
            _judge(completion, meter)
            complete = True
            opened.reply.close()
            await settle(self._admission, completion)
            await finished(completion)
            if out:
                yield out
        except (UpstreamFailure, SluicegateError) as failure:
            error = _failed(completion, failure)
            if not complete:
                complete = True
                # In a task of its own: what it costs is charged even if this one is cancelled meanwhile.
                await asyncio.shield(self._in_background(self._cut(completion, opened, finished)))
            # What was read last is paid for, so the client gets it.
            yield out + completion.codec.stream_error(error, completion.inbound.request_id)
        except Exception:
            log.exception("a stream failed unexpectedly", extra={"request_id": completion.inbound.request_id})
            yield completion.codec.stream_error(SluicegateError(_FAULT), completion.inbound.request_id)
        finally:
            if not complete:
                self._in_background(self._finish(completion, opened, finished))

    async def drain(self, timeout_s: float) -> None:
        """Wait for abandoned streams to be settled; after `timeout_s` cut them, which settles them too."""
        if not self._abandoned:
            return
        _, late = await asyncio.wait(self._abandoned, timeout=timeout_s)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=self._policy.linger_seconds + 1)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._abandoned.add(task)
        task.add_done_callback(self._abandoned.discard)
        return task

    async def _cut(self, completion: Completion, opened: Opened, finished: Finished) -> None:
        """The stream failed: stop the provider, and charge what it produced."""
        request_id = completion.inbound.request_id
        try:
            opened.meter.feed(await opened.reply.cancel(self._policy.linger_seconds))
        except asyncio.CancelledError:
            log.info("cut a failed stream at shutdown", extra={"request_id": request_id})
            opened.reply.close()
        except Exception:
            # As in `_finish`: what was read until then is charged.
            log.exception("a failed stream could not be read out", extra={"request_id": request_id})
            opened.reply.close()
        take_usage(completion, opened.meter)
        await settle(self._admission, completion)
        await finished(completion)

    async def _finish(self, completion: Completion, opened: Opened, finished: Finished) -> None:
        """The client is gone: read on for the provider's own figures, for a while; then cut and charge."""
        completion.outcome = "aborted"
        try:
            await self._read_out(completion, opened)
        except Exception:
            # A fault of ours; what was read until then is charged, since the hold must not stay.
            log.exception("an abandoned stream failed", extra={"request_id": completion.inbound.request_id})
            opened.reply.close()
        take_usage(completion, opened.meter)
        await settle(self._admission, completion)
        await finished(completion)

    async def _read_out(self, completion: Completion, opened: Opened) -> None:
        meter = opened.meter
        followed = self._slices.follow(completion, meter.produced_tokens)
        try:
            patience_s = completion.inbound.departure.left_s(self._policy.abandoned_seconds)
            async with asyncio.timeout(patience_s):
                async for chunk in opened.chunks:
                    _collect(completion, meter.feed(chunk))
                    if followed is not None:
                        await followed.read(meter)
                    if meter.finished or meter.failed is not None:
                        break
        except (TimeoutError, UpstreamFailure, SluicegateError):
            pass  # whatever was produced is charged
        except asyncio.CancelledError:
            log.info("cut a stream at shutdown", extra={"request_id": completion.inbound.request_id})
        if meter.finished:
            opened.reply.close()
        else:
            _collect(completion, meter.feed(await opened.reply.cancel(self._policy.linger_seconds)))
        _collect(completion, meter.close())


def _collect(completion: Completion, events: bytes) -> None:
    if completion.assembler is not None:
        completion.assembler.feed(events)


def _judge(completion: Completion, meter: StreamMeter) -> None:
    """Take note of how a stream that is over ended, and of what it used.

    Raises:
        UpstreamError: it just stopped.
    """
    if meter.failed is not None:
        completion.outcome, completion.error = "failure", meter.failed.code
    elif not meter.finished:
        raise UpstreamError("the provider's answer broke off")
    take_usage(completion, meter)


def _failed(completion: Completion, failure: UpstreamFailure | SluicegateError) -> SluicegateError:
    """Take note that a stream failed; what to tell its client."""
    error = _as_error(failure)
    completion.outcome, completion.error = "failure", error.code
    return error


def _as_error(failure: UpstreamFailure | SluicegateError) -> SluicegateError:
    if isinstance(failure, SluicegateError):
        return failure
    if failure.timeout:
        return UpstreamTimeoutError(f"the provider stopped answering ({failure.phase})")
    return UpstreamError(f"the provider's answer broke off ({failure.phase})")
