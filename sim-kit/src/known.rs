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
        self.keep(key.to_owned(), changes, value.clone());
        Ok(value)
    }

    /// The value that is kept of `key`, if nothing was written since it was read.
    pub fn kept<Q>(&self, db: &Db, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let changes = (self.changes)(db)?;
        self.values.get(key).filter(|(at, _)| *at == changes).map(|(_, value)| value)
    }

    /// Keeps a value that was read when there had been so many changes: see [`Db::changes`].
    pub fn keep(&self, key: K, changes: u64, value: V) {
        self.values.insert(key, (changes, value));
    }
}

#[cfg(test)]
mod tests {
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
