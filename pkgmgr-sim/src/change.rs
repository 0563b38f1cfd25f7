//! Changes by administrators: each is one transaction with a number, a time and a line for people.
//!
//! A change happens at an instant of its own, later than every change before, even while the clock stands still. The state that
//! it brings about is that of the instant right after, so no date that could be asked for before shows it.

use sim_kit::Tx;

use crate::app::App;
use crate::error::Error;
use crate::store::transactions::{self, Transaction};
use crate::store::{take_instant, take_numbers};

/// A change under way. Dropped, nothing has happened.
pub(crate) struct Change {
    pub(crate) tx: Tx,
    /// The number of the transaction.
    pub(crate) id: i64,
    /// When it happens, in microseconds since 1970.
    pub(crate) at: i64,
    began: i64,
}

impl App {
    /// Begins a change; others wait until it ends.
    pub(crate) async fn begin(&self) -> Result<Change, Error> {
        let began = self.world().clock().now_micros();
        let mut tx = self.world().db().write().await?;
        let id = take_numbers(&mut tx, "transactions", 1).await?;
        let at = take_instant(&mut tx, began).await?;
        Ok(Change { tx, id, at, began })
    }

    /// Notes the change as `done` says, and makes it durable and seen.
    pub(crate) async fn conclude(&self, mut change: Change, done: Transaction) -> Result<i64, Error> {
        let transaction = Transaction {
            id: change.id,
            created_at: change.began,
            completed_at: self.world().clock().now_micros().max(change.began),
            ..done
        };
        transactions::insert(&mut change.tx, &transaction).await?;
        change.tx.commit().await?;
        self.refresh().await?;
        Ok(transaction.id)
    }
}

impl Change {
    /// The time whose state a change of a source brings about.
    pub(crate) fn as_of(&self) -> Option<i64> {
        Some(self.at + 1)
    }
}
