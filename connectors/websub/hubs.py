"""Asking hubs: to push a feed, to go on, to forget it."""

from __future__ import annotations

from typing import Final

from connectors.http import Http
from connectors.websub import subscriptions
from connectors.websub.book import Book
from connectors.websub.subscriptions import Subscription
from pipeline.contract.errors import RateLimitedError, SourceRefusedError, SourceUnavailableError

WAIT: Final = 3600.0  # seconds until a hub is asked again that wants to be asked less often and does not say when


async def ask(http: Http, book: Book, one: Subscription, now: float) -> None:
    """Ask the hub of a subscription, and note in the book when it is asked again. A hub that fails raises nothing.

    That it takes the request means nothing until it has made sure of us, which may be before it answers.
    """
    book.put(subscriptions.asked(one, now))
    wait = 0.0
    try:
        await http.request("POST", one.hub, data=book.form(one), anonymous=True, resends=True)
    except SourceRefusedError:
        wait = subscriptions.REFUSED
    except RateLimitedError as error:
        wait = WAIT if error.retry_after is None else error.retry_after
    except SourceUnavailableError as error:
        wait = getattr(error, "retry_after", None) or 0.0
    known = book.now(one)
    if wait and not known.is_live(now):
        book.put(subscriptions.put_off(known, now, wait))
