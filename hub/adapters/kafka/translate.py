"""aiokafka's errors as Comity's. What is not named here is an unknown outcome for whoever asked."""

from __future__ import annotations

from collections.abc import Iterable

from aiokafka import errors

from hub.errors import ComityError, Fenced, NotPermitted

_DENIED = (
    errors.TopicAuthorizationFailedError,
    errors.GroupAuthorizationFailedError,
    errors.TransactionalIdAuthorizationFailed,
    errors.ClusterAuthorizationFailedError,
)
_TOO_LARGE = (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError)
_FENCED = (errors.ProducerFenced, errors.InvalidProducerEpoch, errors.TransactionCoordinatorFenced)


def translated(error: BaseException) -> ComityError | None:
    """The error of ours that says what happened for sure, or None when nothing is sure."""
    if isinstance(error, ComityError):
        return error
    if isinstance(error, _DENIED):
        return NotPermitted("access-denied", f"The broker denies this ({type(error).__name__}: {_subject(error)}).")
    if isinstance(error, _TOO_LARGE):
        return ComityError("record-too-large", "A record is larger than its topic takes.")
    if type(error) is errors.UnknownError:  # among them code 87, INVALID_RECORD, for which aiokafka 0.14 has no class
        return ComityError("record-refused", "The broker refused a record.")
    if isinstance(error, _FENCED):
        return Fenced("fenced", "Another process took over this transactional id.")
    return None


def surest(raised: Iterable[BaseException]) -> ComityError | None:
    """Of several errors of one transaction, the one that explains the others: a denial hides behind a wrong state."""
    known = [found for found in map(translated, raised) if found is not None]
    for kind in (NotPermitted, Fenced, ComityError):
        for found in known:
            if isinstance(found, kind):
                return found
    return None


def _subject(error: BaseException) -> str:
    """The topics, group or id that the error names: names only, never bytes."""
    return ", ".join(str(part) for part in error.args) or "unnamed"
