"""Which colours has a state? The same in the picture of a policy and in the charts of reports."""

from __future__ import annotations

from lifecycle.policy.diagram.meaning import Meaning

# For each meaning: line, fill and text of a state; by day, by night.
DAY = {
    Meaning.START: ("#64748b", "#f1f5f9", "#1e293b"),
    Meaning.NEAR: ("#0284c7", "#e0f2fe", "#0c4a6e"),
    Meaning.GOOD: ("#0d9488", "#ccfbf1", "#134e4a"),
    Meaning.BEST: ("#16a34a", "#dcfce7", "#14532d"),
    Meaning.QUIET: ("#d97706", "#fef3c7", "#78350f"),
    Meaning.LOST: ("#dc2626", "#fee2e2", "#7f1d1d"),
    Meaning.BACK: ("#7c3aed", "#ede9fe", "#4c1d95"),
    Meaning.END: ("#57534e", "#f5f5f4", "#292524"),
}
NIGHT = {
    Meaning.START: ("#94a3b8", "#1e293b", "#e2e8f0"),
    Meaning.NEAR: ("#38bdf8", "#0c2d42", "#e0f2fe"),
    Meaning.GOOD: ("#2dd4bf", "#0f302e", "#ccfbf1"),
    Meaning.BEST: ("#4ade80", "#12321f", "#dcfce7"),
    Meaning.QUIET: ("#fbbf24", "#3a2a0c", "#fef3c7"),
    Meaning.LOST: ("#f87171", "#3f1a1c", "#fee2e2"),
    Meaning.BACK: ("#a78bfa", "#2a2150", "#ede9fe"),
    Meaning.END: ("#a8a29e", "#292524", "#e7e5e4"),
}
