"""What a person may stop, and let go on: everything, what is real, a rule, or a channel."""

from __future__ import annotations

from lifecycle.engine.installation import Installation
from lifecycle.errors import UNCHANGED, Problem
from lifecycle.intake.values import did_you_mean
from lifecycle.store import instance, pauses, sending
from lifecycle.store.database import Database
from lifecycle.store.pauses import ALL, CHANNEL, MARKETING, REAL, RULE, Paused
from lifecycle.store.sql import Tx

AT_ONCE = 1000  # messages in one transaction
SCOPES = "all, real, rule:<name>, channel:<name> or marketing:<channel>"


def paused(db: Database) -> list[Paused]:
    """What is paused, by scope."""
    with db.read() as tx:
        return [one for one in pauses.read(tx) if not one.scope.startswith(pauses.ALLOWED)]


def pause(inst: Installation, scope: str, *, by: str, why: str) -> bool:
    """Nothing of that scope is claimed any more once this returns. False: it was paused already.

    What is on its way goes on its way. Raises Problem for a scope that is none.
    """

    def unit(tx: Tx) -> bool:
        _refuse_unknown(inst, tx, scope)
        pauses.wait_for_claims(tx)
        return pauses.add(tx, Paused(scope=scope, by=by, why=why, since=inst.now(tx)))

    return inst.db.run(unit)


def resume(inst: Installation, scope: str, *, by: str, why: str) -> bool:
    """Sent again from now on. False: it was not paused. Raises as `pause` does.

    A rule that had paused itself does not do so again for what was queued until now. What had been put off
    is let go on in portions; run again after a crash, it does the rest.
    """

    def unit(tx: Tx) -> bool:
        _refuse_unknown(inst, tx, scope)
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
        if known and tx.dialect == "postgresql":
            return False
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


def _refuse_unknown(inst: Installation, tx: Tx, scope: str) -> None:
    if scope in {ALL, REAL}:
        return
    # A rule that a newer policy has dropped may have messages that wait.
    rules = [rule for version in inst.timeline(tx).versions for rule in version.policy.outreach]
    names = tuple(
        dict.fromkeys(
            (
                *(f"{RULE}{rule.name}" for rule in rules),
                *(f"{CHANNEL}{name}" for rule in rules for name in rule.channels),
                *(f"{MARKETING}{name}" for rule in rules for name in rule.channels),
            )
        )
    )
    if scope not in names:
        raise Problem(
            "unknown_scope",
            f"there is nothing to pause that is called {scope!r}; {UNCHANGED}",
            pointer="SCOPE",
            got=scope,
            expected=SCOPES,
            hint=did_you_mean(scope, names),
        )
