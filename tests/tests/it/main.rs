//! Real clients and whole scenarios against a whole team.
#![allow(clippy::unwrap_used)]

mod days;
mod faults;
mod fidelity;
mod identity;
mod install_python;
mod install_r;
mod layering;
mod mirror;
mod openapi;
mod packse;
mod publish;
mod real_packages;
mod scenarios;
mod vip;
