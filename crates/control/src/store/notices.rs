//! The notices that are on their way, in the same database.

use bailiwick_run::Time;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Store, StoreError, millis, time};
use crate::clock;
use crate::notice::Notice;

pub(super) const TABLES: &str = "
    CREATE TABLE notice (
        place   INTEGER PRIMARY KEY AUTOINCREMENT,  -- their order
        sink    TEXT NOT NULL,
        id      TEXT NOT NULL,
        queued  INTEGER NOT NULL,
        notice  TEXT NOT NULL,                      -- JSON
        refused INTEGER,                            -- when the sink said that it never takes it
        UNIQUE (sink, id)
    ) STRICT;
    CREATE INDEX notice_waiting ON notice (sink, place) WHERE refused IS NULL;
    CREATE INDEX notice_refused ON notice (sink, place) WHERE refused IS NOT NULL;
";

/// What version 2 of the tables did not have.
pub(super) const SINCE_3: &str = "
    ALTER TABLE notice ADD COLUMN refused INTEGER;
    DROP INDEX notice_of_sink;
    CREATE INDEX notice_waiting ON notice (sink, place) WHERE refused IS NULL;
    CREATE INDEX notice_refused ON notice (sink, place) WHERE refused IS NOT NULL;
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

/// A notice that waits for a sink.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    /// Its place in the order of all.
    pub(crate) place: i64,
    /// Nothing where it cannot be read.
    pub(crate) notice: Option<Notice>,
}

/// How things stand with a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Its name.
    pub(crate) sink: String,
    /// How many wait for it.
    pub(crate) waiting: u64,
    /// When the one was put that it is told next.
    pub(crate) oldest: Option<Time>,
    /// How many it has refused that are kept.
    pub(crate) refused: u64,
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
    /// The next notice of a sink, behind this place.
    pub(crate) async fn next_notice(
        &self,
        sink: String,
        behind: i64,
    ) -> Result<Option<Waiting>, StoreError> {
        self.job(move |connection| {
            let mut next = connection.prepare_cached(
                "SELECT place, notice FROM notice
                 WHERE sink = ?1 AND refused IS NULL AND place > ?2 ORDER BY place LIMIT 1",
            )?;
            let next = next.query_row(params![sink, behind], |row| {
                Ok(Waiting {
                    place: row.get(0)?,
                    notice: serde_json::from_str(&row.get::<_, String>(1)?).ok(),
                })
            });
            Ok(next.optional()?)
        })
        .await
    }

    /// The sinks that notices are kept for.
    pub(crate) async fn waiting_sinks(&self) -> Result<Vec<String>, StoreError> {
        self.job(|connection| {
            let mut sinks = connection.prepare("SELECT DISTINCT sink FROM notice")?;
            let sinks = sinks.query_map([], |row| row.get(0))?;
            Ok(sinks.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// How things stand with these sinks.
    pub(crate) async fn notices_standing(
        &self,
        sinks: Vec<String>,
    ) -> Result<Vec<Standing>, StoreError> {
        self.job(move |connection| {
            let mut standing = connection.prepare_cached(
                "SELECT (SELECT count(*) FROM notice WHERE sink = ?1 AND refused IS NULL),
                        (SELECT queued FROM notice WHERE sink = ?1 AND refused IS NULL
                         ORDER BY place LIMIT 1),
                        (SELECT count(*) FROM notice WHERE sink = ?1 AND refused IS NOT NULL)",
            )?;
            let of = sinks.into_iter().map(|sink| {
                standing.query_row([&sink], |row| {
                    Ok(Standing {
                        waiting: row.get::<_, i64>(0)?.unsigned_abs(),
                        oldest: row.get::<_, Option<i64>>(1)?.map(time),
                        refused: row.get::<_, i64>(2)?.unsigned_abs(),
                        sink: sink.clone(),
                    })
                })
            });
            Ok(of.collect::<Result<_, _>>()?)
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

    /// A notice was refused for good: it is kept, and does not wait any more.
    pub(crate) async fn refused(&self, place: i64) -> Result<(), StoreError> {
        self.job(move |connection| {
            connection.execute(
                "UPDATE notice SET refused = ?2 WHERE place = ?1",
                params![place, millis(clock::now())],
            )?;
            Ok(())
        })
        .await
    }

    /// Puts those that were refused back to their places.
    pub(crate) async fn offer_again(&self) -> Result<(), StoreError> {
        self.job(|connection| {
            connection.execute(
                "UPDATE notice SET refused = NULL WHERE refused IS NOT NULL",
                [],
            )?;
            Ok(())
        })
        .await
    }

    /// Forgets those that a sink refused before a moment, and the oldest of what is more than `keep`.
    pub(crate) async fn forget_refused(
        &self,
        sink: String,
        before: Time,
        keep: u32,
    ) -> Result<(), StoreError> {
        self.job(move |connection| {
            connection.execute(
                "DELETE FROM notice WHERE sink = ?1 AND refused IS NOT NULL AND (refused < ?2 OR place <= (
                     SELECT place FROM notice WHERE sink = ?1 AND refused IS NOT NULL
                     ORDER BY place DESC LIMIT 1 OFFSET ?3))",
                params![sink, millis(before), keep],
            )?;
            Ok(())
        })
        .await
    }

    /// Those that wait for a sink and were put before a moment, and the oldest of what is more than `keep`.
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
                     SELECT max(place) AS place FROM notice WHERE sink = ?1 AND refused IS NULL AND queued < ?2
                     UNION ALL
                     SELECT place FROM (SELECT place FROM notice WHERE sink = ?1 AND refused IS NULL
                                        ORDER BY place DESC LIMIT 1 OFFSET ?3)
                 )",
                params![sink, millis(before), keep],
                |row| row.get(0),
            )?;
            let Some(last) = last else { return Ok(None) };
            let (count, first): (i64, String) = connection.query_row(
                "SELECT count(*), (SELECT coalesce(json_extract(notice, '$.record'), id) FROM notice
                                   WHERE sink = ?1 AND refused IS NULL ORDER BY place LIMIT 1)
                 FROM notice WHERE sink = ?1 AND refused IS NULL AND place <= ?2",
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

    /// Drops what waits for a sink, up to this place.
    pub(crate) async fn drop_notices(&self, sink: String, last: i64) -> Result<(), StoreError> {
        self.job(move |connection| {
            connection.execute(
                "DELETE FROM notice WHERE sink = ?1 AND refused IS NULL AND place <= ?2",
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
        let next = async |sink: &str, behind| {
            let next = store.next_notice(sink.into(), behind).await.unwrap();
            next.map(|next| (next.place, next.notice.unwrap().id))
        };
        let (place, first) = next("a", 0).await.unwrap();
        assert_eq!(first, "1");
        let (second, id) = next("a", place).await.unwrap();
        assert_eq!(id, "2");
        assert_eq!(next("a", second).await.unwrap().1, "3");
        store.delivered(place).await.unwrap();
        assert_eq!(next("a", 0).await.unwrap().1, "2");
        assert_eq!(next("b", 0).await.unwrap().1, "1");
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
        assert_eq!(next("b", 0).await.unwrap().1, "2");
        assert_eq!(next("a", 0).await.unwrap().1, "2");
    }
    #[tokio::test]
    async fn what_was_refused_is_kept_and_stands_in_nobodys_way() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("state.sqlite")).unwrap();
        let now = clock::now();
        for id in ["1", "2", "3"] {
            let notice = Notice::new(id.into(), NoticeKind::CallHeld, now, "t".into());
            store.queue(vec!["a".into()], notice).await.unwrap();
        }
        let standing = async || {
            let sinks = vec!["a".to_owned(), "b".to_owned()];
            let of = store.notices_standing(sinks).await.unwrap();
            assert_eq!(
                (of[1].waiting, of[1].oldest, of[1].refused),
                (0, None, 0),
                "nothing is kept for b"
            );
            (of[0].waiting, of[0].oldest.is_some(), of[0].refused)
        };
        let next = async |behind| {
            let next = store.next_notice("a".into(), behind).await.unwrap();
            next.map(|next| next.place)
        };
        assert_eq!(standing().await, (3, true, 0));
        for place in 1..=2 {
            assert_eq!(next(0).await, Some(place));
            store.refused(place).await.unwrap();
        }
        assert_eq!(next(0).await, Some(3));
        assert_eq!(standing().await, (1, true, 2));
        // What is too old for those that wait does not count for these, nor the other way round.
        let later = now.after(std::time::Duration::from_secs(60));
        let old = store.old_notices("a".into(), later, 9).await.unwrap();
        assert_eq!(old.map(|old| (old.count, old.last)), Some((1, 3)));
        store.forget_refused("a".into(), now, 1).await.unwrap();
        assert_eq!(standing().await, (1, true, 1));
        store.drop_notices("a".into(), 3).await.unwrap();
        assert_eq!(standing().await, (0, false, 1));
        store.offer_again().await.unwrap();
        assert_eq!((standing().await, next(0).await), ((1, true, 0), Some(2)));
        store.refused(2).await.unwrap();
        store.forget_refused("a".into(), later, 9).await.unwrap();
        assert_eq!(standing().await, (0, false, 0));
    }

    /// As a gateway of before has left it.
    #[tokio::test]
    async fn notices_of_an_older_version_wait_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.sqlite");
        let notice = Notice::new("1".into(), NoticeKind::CallHeld, clock::now(), "t".into());
        let store = Store::open(&path).unwrap();
        store.queue(vec!["a".into()], notice.clone()).await.unwrap();
        drop(store);
        let older = Connection::open(&path).unwrap();
        older
            .execute_batch(
                "DROP INDEX notice_waiting; DROP INDEX notice_refused;
                 ALTER TABLE notice DROP COLUMN refused;
                 CREATE INDEX notice_of_sink ON notice (sink, place);
                 ALTER TABLE run DROP COLUMN ended_by;
                 PRAGMA user_version = 2",
            )
            .unwrap();
        drop(older);
        let store = Store::open(&path).unwrap();
        let next = store.next_notice("a".into(), 0).await.unwrap().unwrap();
        assert_eq!(next.notice, Some(notice));
        store.refused(next.place).await.unwrap();
    }
}
