//! What was read from the database, kept until something is written to it.

use std::hash::Hash;

use quick_cache::Equivalent;
use quick_cache::sync::Cache;

use crate::db::Db;

/// Values by key. Nothing is kept where other processes write to the database too, see [`Db::changes`].
pub struct Known<K, V> {
    values: Cache<K, (u64, V)>,
    /// How many changes there were.
    changes: fn(&Db) -> Option<u64>,
}

impl<K: Hash + Eq, V: Clone> Known<K, V> {
    /// Keeps about `most` values.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { values: Cache::new(most), changes: Db::changes }
    }

    /// Keeps about `most` values that no transaction of [`Tx::routine`](crate::db::Tx::routine) touches.
    #[must_use]
    pub fn of_rare(most: usize) -> Self {
        Self { values: Cache::new(most), changes: Db::rare_changes }
    }

    /// Keeps about `most` values whose keys name the state of the database that they are of, so that they hold for ever.
    #[must_use]
    pub fn of_states(most: usize) -> Self {
        Self { values: Cache::new(most), changes: |_| Some(0) }
    }

    /// The value of `key`: the kept one when nothing was written since it was read, or else what `read` gives.
    ///
    /// # Errors
    /// Those of `read`; they are not kept.
    pub async fn get<Q, E>(&self, db: &Db, key: &Q, read: impl AsyncFnOnce() -> Result<V, E>) -> Result<V, E>
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized,
    {
        // Asked for before the value is read: a change in between makes the value look older than it is, never newer.
        let Some(changes) = (self.changes)(db) else { return read().await };
        if let Some(value) = self.kept(db, key) {
            return Ok(value);
        }
        let value = read().await?;
        self.values.insert(key.to_owned(), (changes, value.clone()));
        Ok(value)
    }

    /// As [`Known::get`], for what takes long: those who want the same value at once wait for the one who reads it. None where nothing
    /// is kept; then `read` was not called.
    ///
    /// # Errors
    /// Those of `read`; they are not kept, and who waited reads for itself.
    pub async fn get_once<Q, E, Reading>(&self, db: &Db, key: &Q, read: impl Fn() -> Reading) -> Result<Option<V>, E>
    where
        Q: Hash + Equivalent<K> + ToOwned<Owned = K> + ?Sized,
        Reading: Future<Output = Result<V, E>>,
    {
        let Some(wanted) = (self.changes)(db) else { return Ok(None) };
        loop {
            self.values.remove_if(key, |(at, _)| *at < wanted);
            let now = (self.changes)(db).unwrap_or_default();
            let reading = async { Ok((now, read().await?)) };
            let (at, value) = self.values.get_or_insert_async(key, reading).await?;
            // Or who reads it has begun before the last change that this caller may know of.
            if at >= wanted {
                return Ok(Some(value));
            }
        }
    }

    /// The value that is kept of `key`, if nothing was written since it was read.
    pub fn kept<Q>(&self, db: &Db, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let changes = (self.changes)(db)?;
        self.values.get(key).filter(|(at, _)| *at == changes).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn values_are_kept_until_the_next_change() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::sqlite(&folder.path().join("db"), &[]).await.unwrap();
        let known = Known::<String, i64>::new(10);
        let get = async |value: Result<i64, &'static str>| known.get(&db, "a", async || value).await;
        assert_eq!(get(Err("away")).await, Err("away"));
        assert_eq!(get(Ok(1)).await, Ok(1));
        assert_eq!(get(Ok(2)).await, Ok(1));
        drop(db.write().await.unwrap());
        assert_eq!(get(Ok(3)).await, Ok(1), "what was rolled back is no change");
        db.write().await.unwrap().commit().await.unwrap();
        assert_eq!(get(Ok(4)).await, Ok(4));
    }

    #[tokio::test]
    async fn what_routine_does_not_touch_outlasts_it() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::sqlite(&folder.path().join("db"), &[]).await.unwrap();
        let (all, rare) = (Known::<String, i64>::new(10), Known::<String, i64>::of_rare(10));
        let get = async |value| {
            let read = async || Ok::<_, ()>(value);
            (all.get(&db, "a", read).await.unwrap(), rare.get(&db, "a", read).await.unwrap())
        };
        assert_eq!(get(1).await, (1, 1));
        db.write().await.unwrap().routine().commit().await.unwrap();
        assert_eq!(get(2).await, (2, 1));
        db.write().await.unwrap().commit().await.unwrap();
        assert_eq!(get(3).await, (3, 3));
    }

    #[tokio::test]
    async fn what_takes_long_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::sqlite(&folder.path().join("db"), &[]).await.unwrap();
        let (known, reads, gate) = (Known::<String, u64>::new(1), AtomicU64::new(0), Semaphore::new(0));
        let read = || async {
            let number = reads.fetch_add(1, Ordering::SeqCst) + 1;
            gate.acquire().await.unwrap().forget();
            Ok::<_, ()>(number)
        };
        let get = async || known.get_once(&db, "a", read).await.unwrap().unwrap();
        let (one, two, ()) = tokio::join!(get(), get(), async { gate.add_permits(1) });
        assert_eq!((one, two), (1, 1));
        assert_eq!(get().await, 1);
        // What is being read when something changes is not for who comes after.
        db.write().await.unwrap().commit().await.unwrap();
        let late = async {
            db.write().await.unwrap().commit().await.unwrap();
            gate.add_permits(2);
            get().await
        };
        assert_eq!(tokio::join!(get(), late), (2, 3));
    }

    #[tokio::test]
    async fn what_is_read_while_something_changes_is_not_taken_for_new() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::sqlite(&folder.path().join("db"), &[]).await.unwrap();
        let known = Known::<String, i64>::new(10);
        let read = async || {
            db.write().await.unwrap().commit().await.unwrap();
            Ok::<_, ()>(1)
        };
        assert_eq!(known.get(&db, "a", read).await, Ok(1));
        assert_eq!(known.get(&db, "a", async || Ok::<_, ()>(2)).await, Ok(2));
    }
}
