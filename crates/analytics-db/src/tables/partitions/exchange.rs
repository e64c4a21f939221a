//! Puts new partitions in the place of others without standing still: copies the rows while they are read and
//! written, and exchanges the tables once nothing is missing.
//!
//! 1. From the start on, a trigger notes the keys of rows that change.
//! 2. The rows are copied, piece by piece.
//! 3. Those whose keys were noted are copied again, until no key is left.
//! 4. All transactions that began before that end. They would find the new tables, but not see the rows in them.
//! 5. One transaction with short locks exchanges the tables, if no row changed since. Otherwise from 3.
//!
//! A crash leaves the old partitions in place, and new tables that the next run drops.

use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use uuid::Uuid;

use super::{Made, Partitioned, Range, definition, indexes, is_true, name_of_default, with_short_locks};
use crate::sql::{row, statement};
use crate::transactions::run;
use crate::{Connection, DbError};

/// How many rows one transaction copies.
const PIECE: i64 = 200_000;
/// How many noted keys one transaction copies again.
const NOTED: i64 = 10_000;
/// How often rows may change between the last copy and the exchange.
const ATTEMPTS: u32 = 10;
/// On a standby, no transaction of a request is older: `API_STATEMENT_TIMEOUT_MS` is ten minutes at most.
const STANDBYS: Duration = Duration::from_secs(610);

/// The constraint that saves reading the whole new table while it is locked to be attached.
const IN_RANGE: &str = "in_range";
/// The comment on a new table until it is attached.
const UNFINISHED: &str = "Being filled by analytics-jobs partitions. The next run drops it if this one is interrupted.";

/// New partitions in the place of old ones. Together they cover the same ids.
pub(super) struct Exchange<'a> {
    pub(super) table: &'a Partitioned,
    /// The names of the old ones.
    pub(super) old: Vec<String>,
    /// The new ones: `None` is the default partition, which takes the rows outside the ranges of the others.
    pub(super) new: Vec<(String, Option<Range>)>,
    /// When to give up, between two attempts to exchange them.
    pub(super) until: Instant,
}

impl Exchange<'_> {
    /// Copies and exchanges. `tell` is called with what is done next.
    ///
    /// # Errors
    /// [`DbError`]; then nothing is exchanged.
    pub(super) fn run(&self, connection: &mut Connection, tell: &impl Fn(&str)) -> Result<Made, DbError> {
        if !clear(connection)? {
            return Ok(Made::Postponed);
        }
        let mut notes = None;
        let made = self.copy_and_exchange(connection, tell, &mut notes);
        // What another run has begun meanwhile, because this one had lost its lock, is left to that.
        let cleared = if notes_of(connection)? == notes { clear(connection) } else { Ok(false) };
        made.and_then(|made| cleared.map(|_| made))
    }

    /// `notes` becomes the table of noted keys.
    fn copy_and_exchange(
        &self,
        connection: &mut Connection,
        tell: &impl Fn(&str),
        notes: &mut Option<i64>,
    ) -> Result<Made, DbError> {
        for (name, _) in &self.new {
            if is_true(connection, &format!("to_regclass('{name}') IS NOT NULL"))? {
                log::warn!(
                    "{name} exists and is not a partition: it is left unchanged, and nothing is exchanged for it"
                );
                return Ok(Made::LeftInDefault);
            }
        }
        self.create(connection)?;
        if with_short_locks(connection, &self.name(), &self.note_changes())? != Made::Attached {
            return Ok(Made::Postponed);
        }
        *notes = notes_of(connection)?;
        let columns = columns(connection, self.table)?;
        for (name, range) in &self.new {
            tell(&format!("copying events to {name}"));
            for old in &self.old {
                self.copy(connection, &columns, old, name, *range)?;
            }
            if range.is_some() {
                let tell = |index: &str| tell(&format!("creating the index {index}"));
                indexes::complete_metadata(connection, self.table, name, &tell)?;
                indexes::complete(connection, self.table, name, &tell)?;
            } else {
                // For the filters of ranges of pages, and for the planner.
                connection.batch_execute(&format!("VACUUM (ANALYZE) {name}"))?;
            }
        }
        tell(&format!("exchanging {} for {}", self.old.join(", "), self.name()));
        for attempt in 0..ATTEMPTS {
            if attempt > 0 && Instant::now() > self.until {
                break;
            }
            while self.copy_noted(connection, &columns)? == NOTED {}
            wait_for_older_transactions(connection, tell)?;
            if !is_true(connection, &self.is_noted(*notes))? {
                return Err(DbError::Unusable(format!(
                    "another run exchanges partitions, or the trigger note_exchange_change was dropped: {} is not attached",
                    self.name()
                )));
            }
            match with_short_locks(connection, &self.name(), &self.exchange(*notes))? {
                Made::LeftInDefault => {}
                made => return Ok(made),
            }
        }
        log::warn!("{} is not exchanged yet, because its events change all the time", self.name());
        Ok(Made::Postponed)
    }

    /// Creates the new tables, marked until they are attached.
    fn create(&self, connection: &mut Connection) -> Result<(), DbError> {
        let key = self.table.key;
        for (name, range) in &self.new {
            let mut sql = definition(self.table, name, "INCLUDING INDEXES");
            sql += &format!("COMMENT ON TABLE {name} IS '{UNFINISHED}';");
            if let Some(range) = range {
                let within = within(key, *range);
                sql += &format!("ALTER TABLE {name} ADD CONSTRAINT {IN_RANGE} CHECK ({key} IS NOT NULL AND {within});");
            }
            connection.batch_execute(&sql)?;
        }
        Ok(())
    }

    /// Returns SQL that notes the keys of changed rows from its commit on: creating a trigger waits for writers. Noting
    /// needs no privilege of the role that changes them.
    fn note_changes(&self) -> String {
        let key = self.table.key;
        let triggers = self.old.iter().map(|old| {
            format!(
                "CREATE TRIGGER note_exchange_change AFTER INSERT OR UPDATE OR DELETE ON {old} \
                 FOR EACH ROW EXECUTE FUNCTION note_exchange_change(); \
                 ALTER TABLE {old} ENABLE ALWAYS TRIGGER note_exchange_change;"
            )
        });
        format!(
            "CREATE TABLE exchange_changes (key uuid NOT NULL); \
             CREATE FUNCTION note_exchange_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$ \
             BEGIN \
                 IF TG_OP <> 'INSERT' THEN INSERT INTO public.exchange_changes VALUES (OLD.{key}); END IF; \
                 IF TG_OP <> 'DELETE' THEN INSERT INTO public.exchange_changes VALUES (NEW.{key}); END IF; \
                 RETURN NULL; END $$; \
             {}",
            triggers.collect::<String>()
        )
    }

    fn copy(
        &self,
        connection: &mut Connection,
        columns: &str,
        old: &str,
        new: &str,
        range: Option<Range>,
    ) -> Result<(), DbError> {
        row! {
            struct Row {
                key: Uuid,
            }
        }
        let (key, belongs) = (self.table.key, self.belongs(range));
        let mut from = Uuid::nil();
        loop {
            let next: Vec<Row> = statement(format!(
                "SELECT {key} AS key FROM {old} WHERE {key} >= $1 AND {belongs} ORDER BY {key} OFFSET $2 LIMIT 1"
            ))
            .value(from)
            .value(PIECE)
            .load(connection)?;
            let next = next.first().map(|row| row.key);
            let before = if next.is_some() { format!("AND {key} < $2") } else { String::new() };
            run(connection, "partitions", |connection| {
                let piece = statement(format!(
                    "INSERT INTO {new} ({columns}) SELECT {columns} FROM {old} \
                     WHERE {key} >= $1 {before} AND {belongs} ORDER BY {key}"
                ))
                .value(from);
                match next {
                    Some(next) => piece.value(next).execute(connection),
                    None => piece.execute(connection),
                }
                .map_err(DbError::from)
            })?;
            let Some(next) = next else { return Ok(()) };
            from = next;
        }
    }

    /// Copies rows again whose keys were noted. Returns how many keys.
    fn copy_noted(&self, connection: &mut Connection, columns: &str) -> Result<i64, DbError> {
        row! {
            struct Noted {
                key: Uuid,
            }
        }
        let key = self.table.key;
        run(connection, "partitions", |connection| {
            let noted: Vec<Noted> = statement(
                "DELETE FROM exchange_changes WHERE ctid = ANY (ARRAY(SELECT ctid FROM exchange_changes LIMIT $1)) RETURNING key",
            )
            .value(NOTED)
            .load(connection)?;
            let count = i64::try_from(noted.len()).unwrap_or(i64::MAX);
            let mut keys: Vec<Uuid> = noted.into_iter().map(|noted| noted.key).collect();
            keys.sort_unstable();
            keys.dedup();
            for (name, range) in &self.new {
                statement(format!("DELETE FROM {name} WHERE {key} = ANY ($1)"))
                    .column(keys.iter().copied())
                    .execute(connection)?;
                for old in &self.old {
                    statement(format!(
                        "INSERT INTO {name} ({columns}) SELECT {columns} FROM {old} WHERE {key} = ANY ($1) AND {}",
                        self.belongs(*range)
                    ))
                    .column(keys.iter().copied())
                    .execute(connection)?;
                }
            }
            Ok::<_, DbError>(count)
        })
    }

    /// Returns the condition that changes of the old partitions are noted in the table that this run made.
    fn is_noted(&self, notes: Option<i64>) -> String {
        let old: Vec<String> = self.old.iter().map(|old| format!("'{old}'::regclass")).collect();
        format!(
            "(coalesce(to_regclass('exchange_changes')::oid::bigint = {}, false) AND {} = (SELECT count(*) FROM pg_trigger \
                 WHERE tgname = 'note_exchange_change' AND tgenabled = 'A' AND tgrelid IN ({})))",
            notes.unwrap_or_default(),
            old.len(),
            old.join(", ")
        )
    }

    /// Returns SQL that exchanges the partitions, unless a row changed since it was copied, or these are not the tables that
    /// this run made and follows: another run drops them if this one has lost its lock.
    fn exchange(&self, notes: Option<i64>) -> String {
        let table = self.table.name;
        let new: Vec<&str> = self.new.iter().map(|(name, _)| name.as_str()).collect();
        let (new, old) = (new.join(", "), self.old.join(", "));
        let mut sql = format!(
            "LOCK TABLE {new} IN ACCESS EXCLUSIVE MODE; LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE; \
             LOCK TABLE {old} IN ACCESS EXCLUSIVE MODE; \
             DO $$ BEGIN \
                 IF NOT {} THEN RAISE 'another run has begun'; END IF; \
                 IF EXISTS (SELECT FROM exchange_changes) THEN \
                     RAISE 'rows have changed' USING ERRCODE = 'check_violation'; END IF; END $$; ",
            self.is_noted(notes)
        );
        for old in &self.old {
            sql += &format!("ALTER TABLE {table} DETACH PARTITION {old}; DROP TABLE {old}; ");
        }
        for (name, range) in &self.new {
            sql += &format!("COMMENT ON TABLE {name} IS NULL; ");
            sql += &match range {
                Some(range) => format!(
                    "ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES {}; \
                     ALTER TABLE {name} DROP CONSTRAINT {IN_RANGE}; ",
                    range.bounds()
                ),
                None => {
                    let default = name_of_default(self.table);
                    format!(
                        "ALTER TABLE {name} RENAME TO {default}; ALTER TABLE {table} ATTACH PARTITION {default} DEFAULT; "
                    )
                }
            };
        }
        sql
    }

    /// Returns the condition on rows of a new partition.
    fn belongs(&self, range: Option<Range>) -> String {
        let key = self.table.key;
        let others = || self.new.iter().filter_map(|(_, range)| *range);
        range.map_or_else(
            || others().map(|range| format!("NOT ({})", within(key, range))).collect::<Vec<_>>().join(" AND "),
            |range| within(key, range),
        )
    }

    /// Returns a name for messages.
    fn name(&self) -> String {
        self.new.first().map(|(name, _)| name.clone()).unwrap_or_default()
    }
}

/// Drops what is left of an exchange, finished or not. Returns whether it could: triggers are dropped with short locks.
pub(super) fn clear(connection: &mut Connection) -> Result<bool, DbError> {
    let unfinished = format!(
        "SELECT c.oid::regclass AS name FROM pg_class c WHERE c.relkind = 'r' AND NOT c.relispartition \
         AND obj_description(c.oid, 'pg_class') = '{UNFINISHED}'"
    );
    let is_left = format!("(to_regclass('exchange_changes') IS NOT NULL OR EXISTS ({unfinished}))");
    if !is_true(connection, &is_left)? {
        return Ok(true);
    }
    let drop = format!(
        "DROP FUNCTION IF EXISTS note_exchange_change() CASCADE; DROP TABLE IF EXISTS exchange_changes; \
         DO $$ DECLARE unfinished record; BEGIN \
             FOR unfinished IN {unfinished} LOOP EXECUTE format('DROP TABLE %s', unfinished.name); END LOOP; END $$"
    );
    Ok(with_short_locks(connection, "exchange_changes", &drop)? == Made::Attached)
}

/// Waits until every transaction ended whose snapshot is older than this call, as creating an index does in the end. On
/// standbys that is not known, so there it is waited for as long as requests may take.
fn wait_for_older_transactions(connection: &mut Connection, tell: &impl Fn(&str)) -> Result<(), DbError> {
    connection.batch_execute("CREATE INDEX CONCURRENTLY exchange_changes_key ON exchange_changes (key)")?;
    connection.batch_execute("DROP INDEX CONCURRENTLY exchange_changes_key")?;
    if is_true(connection, "EXISTS (SELECT FROM pg_stat_replication)")? {
        tell("waiting for ten minutes, as long as a request to a standby may take");
        thread::sleep(STANDBYS);
    }
    Ok(())
}

/// Returns the names of the columns of a table. Its partitions may have them in another order.
fn columns(connection: &mut Connection, table: &Partitioned) -> Result<String, DbError> {
    row! {
        struct Row {
            names: String,
        }
    }
    let row: Row = statement(
        "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS names FROM pg_attribute \
         WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped",
    )
    .value(table.name)
    .get_result(connection)?;
    Ok(row.names)
}

/// Returns the table of noted keys, if there is one.
fn notes_of(connection: &mut Connection) -> Result<Option<i64>, DbError> {
    row! {
        struct Row {
            id: Option<i64>,
        }
    }
    let row: Row = statement("SELECT to_regclass('exchange_changes')::oid::bigint AS id").get_result(connection)?;
    Ok(row.id)
}

/// Returns the condition on keys in a range.
fn within(key: &str, Range { from, to }: Range) -> String {
    format!("{key} >= '{from}' AND {key} < '{to}'")
}
