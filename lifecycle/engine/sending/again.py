"""How are messages sent after all whose text was broken, once somebody has mended it?"""

from __future__ import annotations

from lifecycle.engine.installation import Installation
from lifecycle.engine.sending.known import refuse_unknown_rule
from lifecycle.store import customers, sending
from lifecycle.store.sql import Tx

BROKEN = "template_error"  # how the reasons of such messages begin
AT_ONCE = 500


def send_again(inst: Installation, rule: str) -> int:
    """Messages of a rule that had no text wait again, unless their time has passed; how many these were.

    None of them had left. Raises Problem for a rule that no policy has. Run twice, the second finds none.
    """
    inst.db.run(lambda tx: refuse_unknown_rule(inst, tx, rule, "RULE"))
    done = 0
    while found := inst.db.run(lambda tx: _again(inst, tx, rule)):
        done += found
    return done


def _again(inst: Installation, tx: Tx, rule: str) -> int:
    now = inst.now(tx)
    rows = sending.failed(tx, rule, BROKEN, now, AT_ONCE)
    locked = set(customers.lock(tx, dict.fromkeys(row.customer_id for row in rows)))
    return sending.try_again(tx, [row.row_id for row in rows if row.customer_id in locked], now)
