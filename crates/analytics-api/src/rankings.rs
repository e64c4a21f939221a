//! Rankings, kept for some seconds: reading one means summing the numbers of all products.
//!
//! All rankings of the same days are made of what [`counted`] reads. A request is answered from what
//! is kept, which is read again in the background before it is a minute old. What is read quickly is
//! kept for less.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::rt::time::sleep;
use actix_web::web::block;
use analytics_core::calendar::Calendar;
use analytics_core::ids::VendorId;
use analytics_db::read::rankings::{By, Counted, Question, Ranked, Ranking, by_ratings, counted, of_vendor};
use analytics_process::probes::Readiness;

use crate::database::Database;
use crate::kept::{Answer, Cache, FRESH, OLD, Paged, fresh, lock};
use crate::problem::Problem;
use crate::range::Range;
use crate::settings::ApiSettings;

/// The periods whose rankings are kept ready: the default one, and those that are read quickly.
const WARM: [&str; 4] = ["30d", "7d", "today", "yesterday"];
/// How often they are read, which takes a second in a large marketplace.
const WARM_EVERY: Duration = Duration::from_secs(40);
/// How often to look whether a database that is away is there again.
const AWAY: Duration = Duration::from_secs(1);
/// The most rankings that are kept, and the most reads that they are made of, which are larger.
const MOST_RANKINGS: usize = 32;
const MOST_COUNTED: usize = 8;
/// From how many seconds on the ranking of a vendor's products is an expensive read: 92 days.
const LONG: i64 = 92 * 24 * 3_600;
/// The most ranks that are kept for later pages, of about 100 bytes each.
const MOST_PAGED: usize = 1_000_000;

/// The rankings of this process. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Rankings(Arc<Kept>);

#[derive(Default)]
struct Kept {
    /// Those of the periods that are kept ready.
    warm: Mutex<Cache<RankingQuestion, Ranking>>,
    counted: Mutex<Cache<Question, Counted>>,
    rankings: Arc<Mutex<Cache<RankingQuestion, Ranking>>>,
    /// Those whose later pages may be asked for.
    paged: Mutex<Paged<RankingQuestion, Ranking>>,
}

/// What is ranked by what, and when.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RankingQuestion {
    pub(crate) of: Question,
    pub(crate) by: By,
    /// Only products of this vendor.
    pub(crate) vendor: Option<Narrowed>,
}

/// The vendor whose products are ranked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Narrowed {
    pub(crate) vendor: VendorId,
    /// Whether its own sales may be seen. Others see how popular its products are, as in the ranking of all products.
    pub(crate) own_sales: bool,
}

impl RankingQuestion {
    pub(crate) fn new(of: Question, by: By, vendor: Option<Narrowed>) -> Self {
        // Current ratings belong to no days and to no currency.
        let of = if by == By::Rating { Question::of_all_time(of.ranked) } else { of };
        Self { of, by, vendor }
    }
}

impl Rankings {
    /// Returns a ranking that is less than a minute old.
    pub(crate) async fn fresh(
        &self,
        question: &RankingQuestion,
        database: &Database,
        calendar: Calendar,
    ) -> Result<Arc<Ranking>, Problem> {
        if let Some(warm) = lock(&self.0.warm).find(question, |kept| kept.is_within(OLD)) {
            return Ok(warm.answer);
        }
        let (own, asked, database) = (self.clone(), question.clone(), database.clone());
        let read = || async move { own.read(&asked, &database, calendar).await };
        fresh(&self.0.rankings, question.clone(), MOST_RANKINGS, read).await
    }

    async fn read(
        &self,
        question: &RankingQuestion,
        database: &Database,
        calendar: Calendar,
    ) -> Result<Answer<Ranking>, Problem> {
        let (of, by, began) = (question.of.clone(), question.by, Instant::now());
        let (ranking, of_counted) = match &question.vendor {
            Some(narrowed) => {
                let Narrowed { vendor, own_sales } = narrowed.clone();
                let read = move |connection: &mut _| of_vendor(connection, &of, by, &vendor, own_sales, calendar);
                // Panels have such rankings, and wait for nothing expensive. The ratings of a vendor's products are
                // compared with those of all.
                let is_expensive = by == By::Rating || question.of.days.1 - question.of.days.0 > LONG;
                let read = if is_expensive { database.read_expensive(read).await } else { database.read(read).await };
                (read?, None)
            }
            None if by == By::Rating => {
                let slot = database.slot().await?;
                // Another request may have read it meanwhile.
                if let Some(kept) = lock(&self.0.rankings).find(question, |kept| kept.is_within(FRESH)) {
                    return Ok(kept);
                }
                (database.read_in(slot, move |connection| by_ratings(connection, of.ranked)).await?, None)
            }
            None => {
                let counted = self.counted(&of, database, calendar).await?;
                let answer = counted.answer;
                // Sorting all products takes some time.
                let ranking = block(move || answer.ranking(by)).await.ok().flatten();
                (ranking.ok_or_else(Problem::internal_error)?, Some((counted.at, counted.took)))
            }
        };
        let (at, took) = of_counted.unwrap_or((began, began.elapsed()));
        Ok(Answer { at, took, answer: Arc::new(ranking) })
    }

    /// Returns what was counted, at most [`FRESH`] ago.
    async fn counted(
        &self,
        question: &Question,
        database: &Database,
        calendar: Calendar,
    ) -> Result<Answer<Counted>, Problem> {
        let kept = || lock(&self.0.counted).find(question, |kept| kept.is_within(FRESH));
        if let Some(kept) = kept() {
            return Ok(kept);
        }
        let slot = database.slot().await?;
        // Another request may have read it meanwhile.
        if let Some(kept) = kept() {
            return Ok(kept);
        }
        let of = question.clone();
        let read = Answer::read(database.read_in(slot, move |connection| counted(connection, &of, calendar))).await?;
        lock(&self.0.counted).keep(question.clone(), read.clone(), MOST_COUNTED);
        Ok(read)
    }

    /// Keeps a ranking of which a page was given that is not the last one.
    pub(crate) fn keep_paged(&self, question: &RankingQuestion, ranking: &Arc<Ranking>) {
        lock(&self.0.paged).keep(question, ranking, |ranking| ranking.ranks.len(), MOST_PAGED);
    }

    /// Returns the ranking as of a batch, if it is still kept: the later pages of a list are those of
    /// the first one.
    pub(crate) fn as_of(&self, question: &RankingQuestion, as_of: i64) -> Option<Arc<Ranking>> {
        if let Some(paged) = lock(&self.0.paged).find(question, |ranking| ranking.as_of == as_of) {
            return Some(paged);
        }
        let find =
            |rankings: &Mutex<Cache<_, Ranking>>| lock(rankings).find(question, |kept| kept.answer.as_of == as_of);
        if let Some(kept) = find(&self.0.rankings).or_else(|| find(&self.0.warm)) {
            return Some(kept.answer);
        }
        if question.vendor.is_some() {
            return None;
        }
        let counted = lock(&self.0.counted).find(&question.of, |kept| kept.answer.as_of == as_of)?.answer;
        counted.ranking(question.by).map(Arc::new)
    }

    /// Reads the rankings of some periods again and again, so that no request waits for them.
    pub(crate) async fn keep_warm(&self, database: &Database, settings: &ApiSettings) {
        loop {
            // Nothing is read from a database that is away; a round ends with the first failure, which was
            // logged.
            if database.ready().is_ok() {
                drop(self.warm_up(database, settings.business.calendar).await);
                sleep(WARM_EVERY).await;
            } else {
                sleep(AWAY).await;
            }
        }
    }

    async fn warm_up(&self, database: &Database, calendar: Calendar) -> Result<(), Problem> {
        let (now, mut done) = (database.now(), HashSet::new());
        for range in WARM.iter().filter_map(|name| Range::named(name, now, calendar)) {
            for ranked in [Ranked::Products, Ranked::Sellers] {
                let of = range.question(ranked, None, calendar);
                for (_, by) in By::ALL {
                    let question = RankingQuestion::new(of.clone(), by, None);
                    if done.insert(question.clone()) {
                        let read = self.read(&question, database, calendar).await?;
                        lock(&self.0.warm).keep(question, read, usize::MAX);
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ranking_with_later_pages_is_kept_however_often_it_is_read_again() {
        let rankings = Rankings::default();
        let question = RankingQuestion::new(Question::of_all_time(Ranked::Products), By::Views, None);
        let read_again = |as_of| {
            let answer = Arc::new(Ranking { as_of, ranks: Vec::new() });
            let answer = Answer { at: Instant::now(), took: Duration::from_secs(1), answer };
            lock(&rankings.0.warm).keep(question.clone(), answer.clone(), usize::MAX);
            answer.answer
        };
        let first = read_again(1);
        rankings.keep_paged(&question, &first);
        (2..9).for_each(|as_of| drop(read_again(as_of)));
        assert!(rankings.as_of(&question, 1).is_some_and(|kept| Arc::ptr_eq(&kept, &first)));
        // No page of this one was given.
        assert!(rankings.as_of(&question, 2).is_none());
    }
}
