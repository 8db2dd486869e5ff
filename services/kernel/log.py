"""Structured logs: one event a line, JSON for machines, colours for a terminal."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog


def configure_logs(*, level: str = "info", stream: TextIO | None = None, as_json: bool | None = None) -> None:
    """Sets up structlog for this process.

    JSON unless the stream is a terminal. What other libraries log goes the same way from WARNING upward.
    """
    out = stream or sys.stderr
    machine = not out.isatty() if as_json is None else as_json
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # Never the values of local variables, here and on a terminal: secrets and hostile bytes are among them.
    if machine:
        frames = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        shared.append(structlog.processors.ExceptionRenderer(frames))
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if machine
        else structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)
    # It tells of every attempt of every connection; of an outage our own events tell, once.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL if number > logging.DEBUG else logging.DEBUG)
