//! Visits and audit entries, written behind the requests that they tell of, and yet before their answers.
//!
//! Each is appended to a file of this server's when it happens, which the death of the process does not undo, and
//! gathered in memory; several at a time are then written to the database, so that a visit does not wait for that.
//! Whoever reads them has what was gathered written first.
//!
//! A file is one batch: it is deleted when the transaction that holds its rows is committed. The same transaction notes
//! the file's number, so that a server which dies between the two does not write the rows again when it comes back.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex as AsyncMutex, Notify};

use crate::app::App;
use crate::error::Result;
use crate::store;
use crate::store::audit::Entry;
use crate::store::hits::Hit;
use crate::webhooks;

/// The most that is gathered; more is left out.
const MOST: usize = 100_000;

/// How long events are gathered before they are written.
const GATHERING: Duration = Duration::from_millis(100);

/// What happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Event {
    Hit(Hit),
    Entry(Entry),
}

struct Batch {
    number: u64,
    /// Made with the first event.
    file: Option<File>,
    events: Vec<Event>,
}

/// What was gathered and not written.
pub struct Recorder {
    folder: PathBuf,
    batch: Mutex<Batch>,
    /// One writes at a time, so that a reader waits for what another took.
    writing: AsyncMutex<()>,
    bell: Notify,
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number}.jsonl"))
}

impl Recorder {
    /// One that keeps its files in `folder`, which belongs to this server alone.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        let batch = Batch { number: 0, file: None, events: Vec::new() };
        Self { folder, batch: Mutex::new(batch), writing: AsyncMutex::default(), bell: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Batch> {
        self.batch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, event: Event) {
        let mut batch = self.lock();
        if batch.events.len() < MOST {
            if let Err(error) = self.append(&mut batch, &event) {
                tracing::error!(%error, "an event is in memory only until it is written to the database");
            }
            batch.events.push(event);
        }
        drop(batch);
        self.bell.notify_one();
    }

    /// To the page cache, which outlives this process; short, so that it is done at once.
    fn append(&self, batch: &mut Batch, event: &Event) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        if batch.file.is_none() {
            let options = File::options().create(true).append(true).clone();
            batch.file = Some(options.open(path(&self.folder, batch.number))?);
        }
        match &mut batch.file {
            Some(file) => file.write_all(&line),
            None => Ok(()),
        }
    }

    /// Notes a visit.
    pub fn hit(&self, hit: Hit) {
        self.note(Event::Hit(hit));
    }

    /// Notes a change.
    pub fn entry(&self, entry: Entry) {
        self.note(Event::Entry(entry));
    }

    /// Writes what was gathered.
    ///
    /// # Errors
    /// When the database fails; what was gathered is kept for the next time.
    pub async fn flush(&self, app: &App) -> Result<()> {
        let _alone = self.writing.lock().await;
        let (number, events) = {
            let mut batch = self.lock();
            if batch.events.is_empty() {
                return Ok(());
            }
            batch.file = None;
            batch.number += 1;
            (batch.number - 1, std::mem::take(&mut batch.events))
        };
        match self.write(app, number, &events).await {
            Ok(()) => Ok(()),
            Err(error) => {
                // Under the next number: the files of both go when that is written.
                self.lock().events.splice(0..0, events);
                Err(error)
            }
        }
    }

    async fn write(&self, app: &App, number: u64, events: &[Event]) -> Result<()> {
        let mut tx = app.write().await?.routine();
        let (mut hits, mut entries) = (Vec::new(), Vec::new());
        for event in events {
            match event {
                Event::Hit(hit) => hits.push(hit),
                Event::Entry(entry) => entries.push(entry),
            }
        }
        store::hits::insert(&mut tx, &hits).await?;
        store::audit::insert(&mut tx, &entries).await?;
        let tell = webhooks::enqueue(app, &mut tx, &entries).await?;
        store::set_meta(&mut tx, &key(&self.name()?), &number.to_string()).await?;
        tx.commit().await?;
        if tell {
            app.ring_for_deliveries();
        }
        self.forget(number)?;
        Ok(())
    }

    /// The name of this server among those that may share its database; it outlives restarts. [`start`] makes it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn name(&self) -> std::io::Result<String> {
        std::fs::read_to_string(self.folder.join("name"))
    }

    /// The files that are there, by number.
    fn files(&self) -> std::io::Result<Vec<u64>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".jsonl")).and_then(|name| name.parse().ok());
            files.extend(number.into_iter().collect::<Vec<u64>>());
        }
        files.sort_unstable();
        Ok(files)
    }

    /// Deletes the files up to `number`.
    fn forget(&self, number: u64) -> std::io::Result<()> {
        for file in self.files()?.into_iter().filter(|file| *file <= number) {
            std::fs::remove_file(path(&self.folder, file))?;
        }
        Ok(())
    }

    /// Takes up what a server that died has left.
    async fn recover(&self, app: &App) -> Result<()> {
        let place = self.folder.join("name");
        if !place.exists() {
            std::fs::write(&place, app.world().ids().secret(16))?;
        }
        let written = store::meta(&mut *app.read().await?, &key(&self.name()?)).await?;
        let written: Option<u64> = written.and_then(|text| text.parse().ok());
        if let Some(written) = written {
            self.forget(written)?;
        }
        let files = self.files()?;
        let mut batch = self.lock();
        batch.number = files.last().copied().max(written).map_or(0, |last| last + 1);
        for number in files {
            for line in BufReader::new(File::open(path(&self.folder, number))?).lines() {
                // The last line of a file may have been cut; its visit was not answered.
                if let Ok(event) = serde_json::from_str(&line?) {
                    batch.events.push(event);
                }
            }
        }
        Ok(())
    }
}

fn key(name: &str) -> String {
    format!("recorded {name}")
}

/// Writes what is gathered, for as long as the server runs.
///
/// # Errors
/// When what a server that died has left cannot be read.
pub async fn start(app: &App) -> Result<()> {
    app.recorder().recover(app).await?;
    app.recorder().flush(app).await?;
    let app = app.clone();
    let world = app.world().clone();
    world.spawn(async move {
        loop {
            app.recorder().bell.notified().await;
            // A busy server writes many at a time; nobody waits for this, since whoever reads them writes them first.
            tokio::time::sleep(GATHERING).await;
            if let Err(error) = app.recorder().flush(&app).await {
                tracing::error!(%error, "visits and audit entries wait to be written");
            }
        }
    });
    Ok(())
}
