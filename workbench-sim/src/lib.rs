//! A simulator of Posit Workbench.
