//! Rankings, kept for some seconds: reading one means summing the numbers of all products.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use analytics_core::calendar::Calendar;
use analytics_db::Connection;
use analytics_db::read::rankings::{Question, Ranking, ranking};

use crate::database::Database;
use crate::problem::Problem;

/// How old a ranking may be that begins a list.
const FRESH: Duration = Duration::from_secs(20);
/// How long a ranking is kept for the later pages of a list.
const KEPT: Duration = Duration::from_secs(300);
/// The most rankings that are kept.
const MOST: usize = 64;

/// A ranking, and when it was read.
type Kept = (Instant, Arc<Ranking>);

/// The rankings of this process.
#[derive(Default)]
pub(crate) struct Rankings {
    kept: Mutex<HashMap<Question, Vec<Kept>>>,
}

impl Rankings {
    /// Returns a ranking that is at most [`FRESH`] old.
    pub(crate) async fn fresh(
        &self,
        question: &Question,
        database: &Database,
        calendar: Calendar,
    ) -> Result<Arc<Ranking>, Problem> {
        if let Some(kept) = self.kept(question, |read, _| read.elapsed() < FRESH) {
            return Ok(kept);
        }
        let asked = question.clone();
        let read = move |connection: &mut Connection| ranking(connection, &asked, calendar);
        let read = if question.is_of_one_vendor() {
            database.read(read).await?
        } else {
            let slot = database.slot().await?;
            // Another request may have read it meanwhile.
            if let Some(kept) = self.kept(question, |read, _| read.elapsed() < FRESH) {
                return Ok(kept);
            }
            database.read_in(slot, read).await?
        };
        let read = Arc::new(read);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, rankings| {
            rankings.retain(|(read, _)| read.elapsed() < KEPT);
            !rankings.is_empty()
        });
        if kept.len() >= MOST {
            kept.clear();
        }
        kept.entry(question.clone()).or_default().push((Instant::now(), Arc::clone(&read)));
        Ok(read)
    }

    /// Returns the ranking as of a batch, if it is still kept: the later pages of a list are those of
    /// the first one.
    pub(crate) fn as_of(&self, question: &Question, as_of: i64) -> Option<Arc<Ranking>> {
        self.kept(question, |_, ranking| ranking.as_of == as_of)
    }

    fn kept(&self, question: &Question, wanted: impl Fn(&Instant, &Ranking) -> bool) -> Option<Arc<Ranking>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let rankings = kept.get(question)?;
        rankings.iter().rev().find(|(read, ranking)| wanted(read, ranking)).map(|(_, ranking)| Arc::clone(ranking))
    }
}
