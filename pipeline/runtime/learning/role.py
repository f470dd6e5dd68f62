"""The role learning as a process: the worker, and beside it the webhook where one is configured."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from pipeline.runtime.learning.webhook import FeedbackServer
from pipeline.runtime.learning.worker import LearningWorker

if TYPE_CHECKING:
    from pipeline.runtime.roles import Role

STALLED = 120.0  # seconds without a turn of its loop after which the role is not alive: a look-up may take a minute


def serve(role: Role) -> None:
    """Run until `role.stop`. Raises ConfigError for a wrong webhook, and what the worker raises."""
    worker = LearningWorker(role.config, role.client, role.metrics, instance=role.instance)
    role.health.alive(
        "loop",
        lambda: "the loop has stood still for two minutes" if time.monotonic() - worker.alive_at > STALLED else None,
    )
    # Who stands by is ready, too: another one learns.
    role.health.ready("assigned", lambda: None if worker.is_learning or worker.stands_by else "nothing is assigned yet")
    webhook = role.config.learning.webhook
    server = None if webhook is None else FeedbackServer(webhook, role.config, role.client, role.metrics)

    def end() -> None:
        role.stop.wait()
        worker.stop()

    threading.Thread(target=end, name="stop", daemon=True).start()
    try:
        if server is not None:
            server.start()
            role.status.tell(name="feedback", address=server.url)
        worker.run()
    finally:
        if server is not None:
            server.close()
