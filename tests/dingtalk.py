r"""A robot of DingTalk as its vendor describes it, which takes nothing that the real one would refuse.

Written from the description alone ("Custom robot access"): POST /robot/send with `access_token`, `timestamp` and
`sign` in the query; sign = urlencode(base64(HMAC-SHA256(key = secret, message = timestamp + "\n" + secret))), the
timestamp in milliseconds and not older than an hour; JSON in UTF-8, at most 20,000 bytes; 20 messages in a minute,
else nobody is heard for ten. Whatever is wrong is said with status 200 and an `errcode`.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from urllib.parse import parse_qsl, unquote_plus

from aiohttp import web

TOKEN = "0f" * 32
SECRET = "SEC" + "a1" * 32
HOUR_MS = 3_600_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What was shown in the chat."""

    at: float
    """By the robot's own clock, in seconds."""
    title: str
    text: str
    size: int
    sign: str


class DingTalkRobot:
    """Judges calls; what it shows is in `shown`, what it was asked in `asked`."""

    def __init__(
        self,
        *,
        secret: str = SECRET,
        seconds: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: int(time.time() * 1000),
        window: float = 60.0,
        keyword: str = "",
    ) -> None:
        self._secret = secret
        self._seconds = seconds
        self._now_ms = now_ms
        self._window = window
        self._keyword = keyword
        self._muted_until = float("-inf")
        self.url = ""
        self.asked: list[float] = []
        """When each call arrived, whatever became of it."""
        self.shown: list[Message] = []
        self.refused: list[int] = []
        """Every errcode but 0, in order."""
        self.says: list[int] = []
        """Answers that it gives to the next calls, in place of its own judgement."""

    def most_in_a_window(self) -> int:
        """Returns the greatest number of calls in any sliding window."""
        return max(
            (sum(1 for other in self.asked if at <= other < at + self._window) for at in self.asked), default=0
        )

    async def take(self, request: web.Request) -> web.Response:
        """Answers a call."""
        code, said = self._judge(request, await request.read())
        if code:
            self.refused.append(code)
        return web.json_response({"errcode": code, "errmsg": said})

    def _judge(self, request: web.Request, body: bytes) -> tuple[int, str]:  # noqa: PLR0911 - a list of refusals
        at = self._seconds()
        self.asked.append(at)
        if self.says:
            code = self.says.pop(0)
            if code:
                return code, "as the test wants"
        query = dict(parse_qsl(request.query_string, keep_blank_values=True, strict_parsing=True))
        if request.method != "POST" or request.path != "/robot/send" or query.get("access_token") != TOKEN:
            return 300001, "token is not exist"
        if at < self._muted_until or self._is_too_fast(at):
            self._muted_until = max(self._muted_until, at + 10 * self._window)
            return 130101, "send too fast, exceed 20 times per minute"
        if self._secret and not self._is_signed(request.query_string):
            return 310000, "sign not match"
        if request.content_type != "application/json" or (request.charset or "utf-8").lower() != "utf-8":
            return 43004, "invalid Content-Type"
        if len(body) > 20_000:
            return 460101, "message too long, exceed 20000 bytes"
        said = json.loads(body.decode("utf-8"))
        if said.get("msgtype") != "markdown" or not all(said["markdown"].get(key) for key in ("title", "text")):
            return 40035, "missing parameter"
        title, text = said["markdown"]["title"], said["markdown"]["text"]
        if self._keyword and self._keyword not in title + text:
            return 310000, "keywords not in content"
        self.shown.append(Message(at=at, title=title, text=text, size=len(body), sign=query.get("sign", "")))
        return 0, "ok"

    def _is_too_fast(self, at: float) -> bool:
        return sum(1 for other in self.asked if at - self._window < other <= at) > 20

    def _is_signed(self, query: str) -> bool:
        raw = dict(pair.split("=", 1) for pair in query.split("&"))
        timestamp = raw.get("timestamp", "")
        if not timestamp.isdigit() or abs(self._now_ms() - int(timestamp)) > HOUR_MS:
            return False
        wanted = hmac.new(self._secret.encode(), f"{timestamp}\n{self._secret}".encode(), hashlib.sha256).digest()
        # Decoded once: what was encoded twice, or not at all, is another signature.
        return unquote_plus(raw.get("sign", "")) == base64.b64encode(wanted).decode()


@contextlib.asynccontextmanager
async def serve_robot(robot: DingTalkRobot) -> AsyncIterator[DingTalkRobot]:
    """Serves a robot on a free port of 127.0.0.1."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", robot.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        robot.url = f"http://{host}:{port}/robot/send?access_token={TOKEN}"
        yield robot
    finally:
        await runner.cleanup()
