# SPDX-License-Identifier: GPL-2.0-or-later
# The sites of the ledger as its source would have them: reports look their lines up here.
cdef void ledger_get():
    ev(b"get", b"page", 0, 0, 0, b"ledger_get:first")

cdef void ledger_put():
    violation(CHECK_C1, b"ledger_put:unheld")
    ev(b"put", b"page", 0, 0, 0, b"ledger_put:last")

cdef void ledger_read():
    violation(CHECK_C3, b"ledger_read:edge")
    violation(CHECK_C3, b"ledger_read:deep")

cdef void ledger_close():
    violation(CHECK_C2, b"ledger_close:held")
