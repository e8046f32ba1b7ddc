"""Planted histories: a clean story of a seed, and one thing that went wrong in it."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Final

from tests.faults.checks.model import Kind
from tests.faults.plants import copies, flags, offsets, outcomes, receipts
from tests.faults.plants.plot import Planter, Plot
from tests.faults.stories import UNREADABLE, Story, clean

PLANTERS: Final[Mapping[Kind, tuple[Planter, ...]]] = {
    Kind.LOST_WRITE: (
        Planter("letters", outcomes.record_gone),
        Planter("letters", outcomes.never_routed),
        Planter("letters", outcomes.copy_gone),
        Planter("letters", outcomes.never_taken),
        Planter(UNREADABLE, outcomes.poison_untold),
    ),
    Kind.DUPLICATE: (
        Planter("letters", outcomes.decided_twice),
        Planter("refused", outcomes.refusal_decided_twice),
        Planter("letters", outcomes.copied_twice),
        Planter("letters", copies.number_reused),
        Planter("letters", outcomes.taken_twice),
        Planter("letters", outcomes.written_twice),
        Planter("unknown", outcomes.unknown_written_twice),
        Planter("counted", outcomes.told_twice),
        Planter("refused", outcomes.quarantined_twice),
        Planter("repeat", outcomes.accepted_twice),
        Planter("letters", offsets.record_doubled),
    ),
    Kind.CONTRADICTION: (
        Planter("letters", outcomes.receipt_lies),
        Planter("refused", outcomes.quarantine_lies),
        Planter("counted", outcomes.refused_and_routed),
        Planter("repeat", outcomes.repeat_differs),
        Planter("letters", outcomes.repeat_of_nothing),
        Planter("repeat", outcomes.repeat_came_first),
        Planter("letters", outcomes.other_jws),
    ),
    Kind.UNEXPECTED_OUTCOME: (
        Planter("letters", outcomes.forgery_accepted),
        Planter("refused", outcomes.refused_wrongly),
        Planter("letters", outcomes.repeat_unseen),
    ),
    Kind.UNDRAINED: (Planter("letters", outcomes.undrained),),
    Kind.TORN: (
        Planter("letters", outcomes.receipt_gone),
        Planter("letters", outcomes.routed_gone),
        Planter("refused", outcomes.quarantine_gone),
        Planter("letters", outcomes.entry_gone),
        Planter("letters", outcomes.copy_alone),
        Planter("counted", outcomes.gap_gone),
        Planter("levels", outcomes.level_gone),
        Planter("repeat", outcomes.repeat_unanswered),
    ),
    Kind.PHANTOM: (
        Planter("letters", copies.forged_copy),
        Planter("letters", copies.forged_sender),
        Planter("letters", copies.forged_record),
        Planter("letters", copies.words_about_nothing),
        Planter("levels", copies.invented_level),
    ),
    Kind.PHANTOM_DELIVERY: (
        Planter("letters", copies.delivery_of_nothing),
        Planter("letters", copies.delivery_of_another),
    ),
    Kind.ALTERED_BYTES: (
        Planter("letters", copies.other_value),
        Planter("letters", copies.other_header),
        Planter("letters", copies.other_delivery),
    ),
    Kind.GAP: (Planter("counted", copies.gap_untold), Planter("letters", copies.copy_between_gone)),
    Kind.REORDER: (
        Planter("letters", copies.copies_swapped),
        Planter("letters", copies.deliveries_swapped),
        Planter("letters", copies.claim_after_copy),
        Planter("counted", copies.gap_told_late),
    ),
    Kind.FOREIGN_INBOX: (
        Planter("letters", copies.copy_elsewhere),
        Planter("letters", copies.receipt_elsewhere),
        Planter("counted", copies.notice_elsewhere),
        Planter("overdue", copies.flag_elsewhere),
    ),
    Kind.DOUBLE_RECEIPT: (
        Planter("letters", receipts.receipt_doubled),
        Planter("repeat", receipts.receipt_of_two_ids),
        Planter("counted", receipts.refusal_of_two_ids),
        Planter("letters", receipts.id_of_two_receipts),
        Planter("repeat", receipts.accepted_by_two),
    ),
    Kind.DOUBLE_LEVEL: (
        Planter("levels", receipts.level_doubled),
        Planter("levels", receipts.delivered_by_two_lists),
    ),
    Kind.LEVEL_OUT_OF_ORDER: (
        Planter("levels", receipts.levels_swapped),
        Planter("levels", receipts.never_delivered),
        Planter("levels", receipts.delivered_before_accepted),
        Planter("levels", receipts.list_before_receipt),
    ),
    Kind.MISSING_FLAG: (
        Planter("overdue", flags.never_raised),
        Planter("late", flags.late_answer_untold),
        Planter("lifted", flags.one_side_told),
    ),
    Kind.FALSE_FLAG: (
        Planter("met", flags.raised_in_time),
        Planter("lifted", flags.raised_in_time),
        Planter("late", flags.raised_too_early),
        Planter("overdue", flags.warned_too_late),
        Planter("lifted", flags.lifted_unraised),
        Planter("lifted", flags.called_late),
        Planter("overdue", flags.called_late_unanswered),
        Planter("lifted", flags.raised_long_after_the_stop),
        Planter("overdue", flags.raised_for_another_time),
        Planter("overdue", flags.raised_for_no_clock),
    ),
    Kind.DOUBLE_FLAG: (Planter("overdue", flags.raised_twice), Planter("lifted", flags.raised_under_two_ids)),
    Kind.INCONSISTENT_OFFSET: (Planter("letters", offsets.two_values), Planter("letters", offsets.two_acknowledged)),
    Kind.ABORTED_READ: (
        Planter("letters", offsets.read_uncommitted),
        Planter("letters", offsets.failed_and_written),
        Planter("refused", offsets.failed_and_refused),
        Planter("letters", offsets.failed_and_copied),
    ),
    Kind.SKIP: (Planter("letters", offsets.passed_over),),
    Kind.NONMONOTONIC: (Planter("letters", offsets.went_back), Planter("letters", offsets.read_again)),
    Kind.COUNTER_GAP: (Planter("letters", offsets.number_left_out),),
    Kind.COUNTER_FORK: (Planter("letters", offsets.number_forked),),
}
"""How each kind of anomaly comes into a history. A canary is planted into files instead."""


def planted(planter: Planter, seed: int) -> Story:
    """The clean story of a seed, and the planter's fault in it."""
    story = clean(seed, planter.needed)
    planter.plant(Plot(story, Random(f"{seed} {planter.plant.__name__}")))
    return story
