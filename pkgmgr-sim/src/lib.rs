//! A simulator of Posit Package Manager.
