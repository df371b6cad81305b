//! The notices that are on their way, in the same database.

use bailiwick_run::Time;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Store, StoreError, millis};
use crate::clock;
use crate::notice::Notice;

pub(super) const TABLES: &str = "
    CREATE TABLE notice (
        place  INTEGER PRIMARY KEY AUTOINCREMENT,  -- their order
        sink   TEXT NOT NULL,
        id     TEXT NOT NULL,
        queued INTEGER NOT NULL,
        notice TEXT NOT NULL,                      -- JSON
        UNIQUE (sink, id)
    ) STRICT;
    CREATE INDEX notice_of_sink ON notice (sink, place);
";

impl Store {
    /// Puts a notice into the queues of these sinks. Durable when this returns.
    pub(crate) async fn queue(&self, sinks: Vec<String>, notice: Notice) -> Result<(), StoreError> {
        self.job(move |connection| {
            let transaction = connection.transaction()?;
            put(&transaction, &sinks, &notice)?;
            transaction.commit()?;
            Ok(())
        })
        .await
    }
}

/// Those of a sink's notices that are to be dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Old {
    /// How many.
    pub(crate) count: u64,
    /// The record that the first of them is about, or its own name.
    pub(crate) first: String,
    /// The place of the last.
    pub(crate) last: i64,
}

impl Store {
    /// The next notice of a sink, and its place; nothing in it where it cannot be read.
    pub(crate) async fn next_notice(
        &self,
        sink: String,
    ) -> Result<Option<(i64, Option<Notice>)>, StoreError> {
        self.job(move |connection| {
            let mut next = connection.prepare_cached(
                "SELECT place, notice FROM notice WHERE sink = ?1 ORDER BY place LIMIT 1",
            )?;
            let next = next.query_row([sink], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
            });
            let next = next.optional()?;
            Ok(next.map(|(place, json)| (place, serde_json::from_str(&json).ok())))
        })
        .await
    }

    /// The sinks that notices wait for.
    pub(crate) async fn waiting_sinks(&self) -> Result<Vec<String>, StoreError> {
        self.job(|connection| {
            let mut sinks = connection.prepare("SELECT DISTINCT sink FROM notice")?;
            let sinks = sinks.query_map([], |row| row.get(0))?;
            Ok(sinks.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// A notice was delivered.
    pub(crate) async fn delivered(&self, place: i64) -> Result<(), StoreError> {
        self.job(move |connection| {
            connection.execute("DELETE FROM notice WHERE place = ?1", [place])?;
            Ok(())
        })
        .await
    }

    /// Those of a sink that were put before a moment, and the oldest of what is more than `keep`.
    pub(crate) async fn old_notices(
        &self,
        sink: String,
        before: Time,
        keep: u32,
    ) -> Result<Option<Old>, StoreError> {
        self.job(move |connection| {
            // Their order is that of their places, as far as the clock was not set.
            let last: Option<i64> = connection.query_row(
                "SELECT max(place) FROM (
                     SELECT max(place) AS place FROM notice WHERE sink = ?1 AND queued < ?2
                     UNION ALL
                     SELECT place FROM (SELECT place FROM notice WHERE sink = ?1
                                        ORDER BY place DESC LIMIT 1 OFFSET ?3)
                 )",
                params![sink, millis(before), keep],
                |row| row.get(0),
            )?;
            let Some(last) = last else { return Ok(None) };
            let (count, first): (i64, String) = connection.query_row(
                "SELECT count(*), (SELECT coalesce(json_extract(notice, '$.record'), id) FROM notice
                                   WHERE sink = ?1 ORDER BY place LIMIT 1)
                 FROM notice WHERE sink = ?1 AND place <= ?2",
                params![sink, last],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            Ok(Some(Old {
                count: count.unsigned_abs(),
                first,
                last,
            }))
        })
        .await
    }

    /// Drops a sink's notices up to this place.
    pub(crate) async fn drop_notices(&self, sink: String, last: i64) -> Result<(), StoreError> {
        self.job(move |connection| {
            connection.execute(
                "DELETE FROM notice WHERE sink = ?1 AND place <= ?2",
                params![sink, last],
            )?;
            Ok(())
        })
        .await
    }
}

pub(super) fn put(
    connection: &Connection,
    sinks: &[String],
    notice: &Notice,
) -> Result<(), StoreError> {
    let json = serde_json::to_string(notice)
        .map_err(|error| StoreError::Malformed(format!("{}: {error}", notice.id)))?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO notice (sink, id, queued, notice) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (sink, id) DO NOTHING",
    )?;
    for sink in sinks {
        insert.execute(params![sink, notice.id, millis(clock::now()), json])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::NoticeKind;

    #[tokio::test]
    async fn notices_wait_in_their_order_each_once_and_the_oldest_go_first() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("state.sqlite")).unwrap();
        let now = clock::now();
        let notice = |id: &str| Notice::new(id.into(), NoticeKind::CallHeld, now, "t".into());
        let both = || vec!["a".to_owned(), "b".to_owned()];
        for id in ["1", "2", "1", "3"] {
            store.queue(both(), notice(id)).await.unwrap();
        }
        let next = async |sink: &str| {
            let next = store.next_notice(sink.into()).await.unwrap();
            next.map(|(place, notice)| (place, notice.unwrap().id))
        };
        let (place, first) = next("a").await.unwrap();
        assert_eq!(first, "1");
        store.delivered(place).await.unwrap();
        assert_eq!(next("a").await.unwrap().1, "2");
        assert_eq!(next("b").await.unwrap().1, "1");
        assert_eq!(store.waiting_sinks().await.unwrap(), ["a", "b"]);

        let old = async |before: u64, keep| {
            let before = Time::from_millis(before);
            store.old_notices("b".into(), before, keep).await.unwrap()
        };
        assert_eq!(old(0, 3).await, None);
        let one = old(0, 2).await.unwrap();
        assert_eq!((one.count, &*one.first), (1, "1"));
        assert_eq!(old(now.millis() + 60_000, 9).await.unwrap().count, 3);
        store.drop_notices("b".into(), one.last).await.unwrap();
        assert_eq!(next("b").await.unwrap().1, "2");
        assert_eq!(next("a").await.unwrap().1, "2");
    }
}
