"""Consumer groups of the in-memory broker: who owns which partition, with Kafka's eager rebalance."""

from __future__ import annotations

from collections.abc import Callable

OnRevoked = Callable[[frozenset[int]], None]


class Member:
    """One member. Implements ``hub.ports.Membership``."""

    def __init__(self, group: Group, instance: str, on_revoked: OnRevoked) -> None:
        self._group = group
        self._on_revoked = on_revoked
        self._owned: frozenset[int] = frozenset()
        self.instance = instance

    def owned(self) -> frozenset[int]:
        """The partitions that are this member's now."""
        return self._owned

    def revoke(self) -> None:
        """Take everything away, and say so."""
        owned, self._owned = self._owned, frozenset()
        if owned:
            self._on_revoked(owned)

    def give(self, partitions: frozenset[int]) -> None:
        """Assign partitions."""
        self._owned = partitions

    async def close(self) -> None:
        """Leave the group; the others share what was owned."""
        self._owned = frozenset()
        self._group.leave(self)


class Group:
    """The members of one group on one topic. Each join and leave takes all partitions away and shares them anew."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._members: dict[str, Member] = {}

    def join(self, instance: str, on_revoked: OnRevoked) -> Member:
        """Add a member. An ``instance`` that is there already is fenced, and its partitions pass to the new one."""
        member = Member(self, instance, on_revoked)
        older = self._members.get(instance)
        self._members[instance] = member
        if older is not None:
            owned = older.owned()
            older.revoke()
            member.give(owned)
        else:
            self._share()
        return member

    def leave(self, member: Member) -> None:
        """Remove a member, unless another one took its place."""
        if self._members.get(member.instance) is member:
            del self._members[member.instance]
            self._share()

    def _share(self) -> None:
        for member in self._members.values():
            member.revoke()
        members = [self._members[instance] for instance in sorted(self._members)]
        for index, member in enumerate(members):
            member.give(frozenset(range(index, self._partitions, len(members))))
