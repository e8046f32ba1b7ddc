"""Every error of Comity, one family. Who is at fault and whether trying again helps is in the class.

::

    ComityError
    ├── Refused              their bytes do not pass a check; final for these bytes
    ├── Held                 cannot be judged now (no fresh trust list, a list that is still to come)
    ├── UsageError           a command, a setting or a file of the user's is wrong           exit 2
    │   └── Conflict         the same key was handed in with other content                   exit 2
    ├── Unreachable          a broker, a database or an object store does not answer         exit 3
    ├── NotPermitted         an access rule says no                                          exit 4
    ├── VerificationFailed   a signature, a chain or a store of our own does not verify      exit 5
    ├── PartitionBroken      one partition cannot be read; harms its owner only
    ├── OutcomeUnknown       a transaction may or may not have happened: the process ends
    └── Fenced               another process took over this writer: the process ends

A sentence in an error never holds payload bytes, keys or case content: codes, names and numbers only.
"""

from __future__ import annotations

from typing import ClassVar


class ComityError(Exception):
    """The family's root: a stable ``code``, a sentence that says what to do, an exit code."""

    exit_code: ClassVar[int] = 1

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(f"{sentence} [{code}]")
        self.code = code
        self.sentence = sentence


class Refused(ComityError):
    """Bytes of somebody else's do not pass a check. ``code`` is a code of ``hub.core.refusals``."""

    exit_code = 5


class Held(ComityError):
    """A record cannot be judged now; nothing is refused, the outbox waits."""

    exit_code = 3


class UsageError(ComityError):
    """A command, a setting or a file of the user's is wrong."""

    exit_code = 2


class Conflict(UsageError):
    """The same idempotency key came again with other content."""


class Unreachable(ComityError):
    """A broker, a database or an object store does not answer."""

    exit_code = 3


class NotPermitted(ComityError):
    """An access rule says no."""

    exit_code = 4


class VerificationFailed(ComityError):
    """A signature, a hash chain or a store of our own does not verify."""

    exit_code = 5


class PartitionBroken(ComityError):
    """One partition cannot be read at ``offset``: its owner's traffic waits, nobody else's."""

    def __init__(self, code: str, sentence: str, *, topic: str, partition: int, offset: int) -> None:
        super().__init__(code, sentence)
        self.topic = topic
        self.partition = partition
        self.offset = offset


class OutcomeUnknown(ComityError):
    """A transaction may or may not have happened: end the process, start-up reads the truth anew."""

    exit_code = 70


class Fenced(ComityError):
    """Another process took over this transactional id: end the process."""

    exit_code = 70
