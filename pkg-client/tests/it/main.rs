//! Against an index served in the same process, over a real socket.

mod against_uv;
mod download;
mod python;
mod r;
mod random;
mod served;
