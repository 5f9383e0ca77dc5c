"""Budgets a day, held by a group of replicas without a coordinator.

Every input partition has a share of a rule's budget, a whole number, and the shares add up to the
budget. A text spends of its own partition's share, or else of another's that the same replica
reads. What was spent, and when, is written down beside the partition's committed offset: the
replica that reads the partition next, after a restart or a rebalance, goes on from there, so that
neither resets a budget. In any 24 hours the group spends at most the budget.

A rule that has no entry beside an offset is new, and nothing of its budget is spent.
"""

import re
import zlib
from collections.abc import Callable, Collection, Mapping
from typing import Final

from textmod_model.policies.evaluate import Take
from textmod_model.policies.solved import PolicySet

DAY: Final = 86_400
SLOT: Final = 1_800
"""Seconds. What was spent counts until its slot is a whole day old: for 24 to 24.5 hours."""
_SLOTS: Final = DAY // SLOT

_ENTRY: Final = re.compile(r"([0-9a-f]{8}):([0-9a-z]{1,7}):([0-9a-z,]{1,200})", re.ASCII)
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"

Counts = dict[int, int]
"""Texts by slot, the number of the half hour since 1970."""


def key_of(policy: str, rule: int) -> str:
    """Return what a rule's entries are called: short, since they travel with every offset."""
    return f"{zlib.crc32(f'{policy}/{rule}'.encode()):08x}"


def share(budget: int, partition: int, partitions: int) -> int:
    """Return a partition's part of a budget; the parts of all partitions add up to it."""
    return (partition + 1) * budget // partitions - partition * budget // partitions


class Allowance:
    """What this replica may spend of every rule's budget. Use from one thread.

    Args:
        lenders: returns the input partitions that this replica reads and can write notes for.
        partitions: returns how many the topic has; None: unknown, and nothing can be spent.
        clock: Unix seconds.
    """

    def __init__(
        self,
        lenders: Callable[[], Collection[int]],
        partitions: Callable[[], int | None],
        clock: Callable[[], float],
    ) -> None:
        self._lenders = lenders
        self._partitions = partitions
        self._clock = clock
        self._spent: dict[int, dict[str, Counts]] = {}
        self._batch: list[tuple[int, str, int]] = []
        """What was spent since `for_batch` was last called: partition, key, slot."""
        self.lent: set[int] = set()
        """Partitions whose share went to another's text, and whose note is to be written therefore,
        though no message of their own was read. `written` takes them out."""

    # --- what travels with the offsets ------------------------------------------------------------

    def load(self, partition: int, note: str) -> None:
        """Take over a partition with what is written beside its committed offset.

        Anyone who may commit may write anything there: what makes no sense is left out.
        """
        self._spent[partition] = {
            key: {newest - at: count for at, count in enumerate(counts) if count}
            for key, newest, counts in _entries(note)
        }

    def drop(self, partitions: Collection[int]) -> None:
        """Forget partitions that others read now."""
        for partition in partitions:
            self._spent.pop(partition, None)
            self.lent.discard(partition)

    def note(self, partition: int) -> str:
        """Return what to write beside the partition's offset; empty while nothing was spent."""
        now = self._slot()
        entries = []
        for key, spent in self._spent.get(partition, {}).items():
            recent = {at: count for at, count in spent.items() if count and at >= now - _SLOTS}
            if recent:
                newest, oldest = max(recent), min(recent)
                counts = [recent.get(slot, 0) for slot in range(newest, oldest - 1, -1)]
                entries.append(f"{key}:{_base36(newest)}:{','.join(map(_base36, counts))}")
        return f"spent={'|'.join(entries)}" if entries else ""

    def written(self, notes: Mapping[int, str]) -> None:
        """Take note of committed notes; shares that were lent after that have yet to be written."""
        self.lent -= {one for one in self.lent if notes.get(one) == self.note(one)}

    # --- spending ---------------------------------------------------------------------------------

    def for_batch(self, policies: PolicySet) -> Take:
        """Return what spends the budgets of these policies, for texts judged about now."""
        self._batch = []
        partitions, now = self._partitions(), self._slot()
        lenders = sorted(self._lenders(), reverse=True)
        lenders_left: dict[str, list[int]] = {}
        """By key those with something left, or not asked yet: each is found empty once a batch."""
        budgets = {
            (policy.name, place): rule.budget_per_day
            for policy in policies.policies
            for place, rule in enumerate(policy.rules)
        }

        def take(policy: str, rule: int, partition: int) -> bool:
            budget = budgets[policy, rule]
            if not partitions or budget is None:
                return False
            key = key_of(policy, rule)
            if self._spend(partition, key, now, share(budget, partition, partitions)):
                return True
            left = lenders_left.setdefault(key, list(lenders))
            while left:
                one = left[-1]
                if self._spend(one, key, now, share(budget, one, partitions)):
                    self.lent.add(one)
                    return True
                left.pop()
            return False

        return take

    def undo(self) -> None:
        """Take back what the batch spent: its texts will be judged again."""
        for partition, key, slot in self._batch:
            spent = self._spent.get(partition, {}).get(key, {})
            if spent.get(slot):
                spent[slot] -= 1
        self._batch = []

    def _spend(self, partition: int, key: str, now: int, most: int) -> bool:
        """Spend one of a partition's share of `most`; False if there is nothing left of it."""
        if self._count(partition, key, now) >= most:
            return False
        spent = self._spent.setdefault(partition, {}).setdefault(key, {})
        spent[now] = spent.get(now, 0) + 1
        self._batch.append((partition, key, now))
        return True

    def _count(self, partition: int, key: str, now: int) -> int:
        spent = self._spent.get(partition, {}).get(key)
        if not spent:
            return 0
        for slot in [slot for slot in spent if slot < now - _SLOTS]:
            del spent[slot]
        return sum(spent.values())

    def _slot(self) -> int:
        return int(self._clock()) // SLOT


def _entries(note: str) -> list[tuple[str, int, list[int]]]:
    _, found, entries = note.rstrip("\0").partition("spent=")  # a client may leave a C string's end
    read = []
    for entry in entries.split("|") if found else ():
        match = _ENTRY.fullmatch(entry)
        counts = match[3].split(",") if match else []
        if match and len(counts) <= _SLOTS + 1 and all(0 < len(count) < 8 for count in counts):
            read.append((match[1], int(match[2], 36), [int(count, 36) for count in counts]))
    return read


def _base36(number: int) -> str:
    digits = _DIGITS[number % 36]
    while number := number // 36:
        digits = _DIGITS[number % 36] + digits
    return digits


class NoAllowance:
    """The allowance of a process that reads no partition, such as a redrive: nothing."""

    def for_batch(self, _policies: PolicySet) -> Take:
        """Return what refuses every budget."""
        return lambda _policy, _rule, _partition: False

    def undo(self) -> None:
        """Have nothing to take back."""
