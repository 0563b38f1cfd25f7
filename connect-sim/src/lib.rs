//! A simulator of Posit Connect.
