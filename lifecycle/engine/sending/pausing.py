"""What a person may stop, and let go on: everything, what is real, a rule, or a channel."""

from __future__ import annotations

from lifecycle.engine.installation import Installation
from lifecycle.engine.sending.known import refuse_unknown_scope
from lifecycle.store import instance, pauses, sending
from lifecycle.store.database import Database
from lifecycle.store.pauses import ALL, MARKETING, RULE, Paused
from lifecycle.store.sql import Tx

AT_ONCE = 1000  # messages in one transaction


def paused(db: Database) -> list[Paused]:
    """What is paused, by scope."""
    with db.read() as tx:
        return [one for one in pauses.read(tx) if not one.scope.startswith(pauses.ALLOWED)]


def pause(inst: Installation, scope: str, *, by: str, why: str) -> bool:
    """Nothing of that scope is claimed any more once this returns. False: it was paused already.

    What is on its way goes on its way. Raises Problem for a scope that is none.
    """

    def unit(tx: Tx) -> bool:
        refuse_unknown_scope(inst, tx, scope)
        pauses.wait_for_claims(tx)
        return pauses.add(tx, Paused(scope=scope, by=by, why=why, since=inst.now(tx)))

    return inst.db.run(unit)


def resume(inst: Installation, scope: str, *, by: str, why: str) -> bool:
    """Sent again from now on. False: it was not paused. Raises as `pause` does.

    A rule that had paused itself does not do so again for what was queued until now. What had been put off
    is let go on in portions; run again after a crash, it does the rest.
    """

    def unit(tx: Tx) -> bool:
        refuse_unknown_scope(inst, tx, scope)
        pauses.wait_for_claims(tx)
        now = inst.now(tx)
        was = pauses.remove(tx, scope)
        if was and scope.startswith((RULE, MARKETING)):
            pauses.allow(tx, scope.removeprefix(RULE), by=by, why=why, since=now)
        return was

    was = inst.db.run(unit)
    while inst.db.run(lambda tx: sending.release_paused(tx, inst.now(tx), AT_ONCE)) == AT_ONCE:
        pass
    return was


def hold_if_restored(inst: Installation) -> bool:
    """Pause everything where this database is a copy, or was restored: what it says is not sent may be.

    Whether it was; of one that was never asked before, it is not. Run twice, the second finds nothing.
    """

    def unit(tx: Tx) -> bool:
        known = instance.is_as_recorded(tx)
        instance.record(tx)
        if known is not False:
            return False
        instance.skip_numbers(tx)
        why = (
            "this database was restored or copied: compare what was sent since with what your providers"
            " know, then resume"
        )
        pauses.add(tx, Paused(scope=ALL, by="lifecycle", why=why, since=inst.now(tx)))
        return True

    return inst.db.run(unit)


def tell_from_backups(inst: Installation) -> None:
    """What has left until now has left: a backup of before, copied back, is recognised by `hold_if_restored`.

    Of PostgreSQL there is no place beside the database to note it.
    """
    if inst.db.dialect == "sqlite":
        inst.db.run(instance.record)
