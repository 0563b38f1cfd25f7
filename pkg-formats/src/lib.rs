//! Package formats of R and Python, pure and deterministic: no I/O, no async.
