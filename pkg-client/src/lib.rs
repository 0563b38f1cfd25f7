//! The client side of package repositories: read indexes, resolve, download with hash checks.
//!
//! It does over HTTP what `pip install` and `install.packages` do, up to the point where they would unpack files:
//!
//! 1. [`python::resolve`] and [`r::resolve`] find the files that a set of requirements leads to;
//! 2. [`download`](download()) fetches them and checks their hashes.
//!
//! ```no_run
//! use pkg_client::python::{Requirements, Target};
//! use pkg_client::r::{Repository, Wanted};
//! use pkg_client::{Client, Download, Error, Event, Limits};
//! use sim_kit::http_client::Link;
//!
//! /// Restores a bundle's packages from Package Manager at `base`, with the lines of a build log.
//! async fn restore(link: Link, base: &str, requirements: &[u8], shiny: &str) -> Result<(), Error> {
//!     let client = Client::new(link.clone(), "pip/24.0", Limits::default());
//!     let target = Target::linux("3.11.4", "x86_64")?;
//!     let requirements = Requirements::parse(requirements)?;
//!     let index = format!("{base}/pypi/latest/simple");
//!     let resolution = pkg_client::python::resolve(&client, &index, &target, &requirements).await?;
//!     let files: Vec<Download> = resolution.packages.iter().map(Download::from).collect();
//!     pkg_client::download(&client, &files, |event| match event {
//!         Event::Started(file) => println!("Collecting {file}"),
//!         Event::Chunk(_, _bytes) => {}
//!         Event::Finished(file, received) => println!("  {} bytes of {}", received.size, file.url),
//!     })
//!     .await?;
//!
//!     let r = "4.4.2".parse().expect("it is a version");
//!     let client = Client::new(link, &pkg_client::r::user_agent(&r, "x86_64"), Limits::default());
//!     let cran = Repository::open(&client, &format!("{base}/cran/__linux__/jammy/latest")).await?;
//!     let shiny = Wanted { name: "shiny".to_owned(), version: shiny.parse().ok(), ..Wanted::default() };
//!     let files: Vec<Download> = pkg_client::r::resolve(&[cran], &r, &[shiny])?.iter().map(Download::from).collect();
//!     pkg_client::download(&client, &files, |event| {
//!         if let Event::Finished(file, _) = event {
//!             println!("Installing {} ({}) ...", file.package, file.version);
//!         }
//!     })
//!     .await?;
//!     Ok(())
//! }
//! ```
//!
//! Requests go over one [`Link`](sim_kit::http_client::Link), so they are journaled and fault rules can cut them. Every
//! answer is bounded by [`Limits`]. Results depend on the index alone, not on the order in which answers arrive.

mod download;
mod error;
mod http;
pub mod python;
pub mod r;

pub use download::{Digest, Download, Event, Received, download};
pub use error::Error;
pub use http::{Client, Limits};
