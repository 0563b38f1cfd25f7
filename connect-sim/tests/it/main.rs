//! Connect from outside: its routes, its builds, its stores, and real clients.
#![allow(clippy::unwrap_used, reason = "in a test, what cannot be unwrapped is a failure")]

mod app;
mod index;
mod site;

mod auth;
mod browser;
mod build;
mod bundles;
mod callers;
mod clients;
mod content;
mod dashboard;
mod documents;
mod git;
mod hostile;
mod identity;
mod license;
mod mail;
mod mcp;
mod notices;
mod oauth;
mod oauth_server;
mod openapi;
mod people;
mod pins;
mod posit_sdk;
mod process;
mod processes;
mod publisher;
mod r_client;
mod recordings;
mod search;
mod security;
mod serving;
mod settings;
mod sign_in;
mod store;
mod system;
mod traffic;
mod versions;
