//! Reads and checks the CSV of a statement. Whatever the text is, the result is a statement or the line that is wrong.

use std::collections::BTreeMap;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, NaiveDate, SubsecRound as _, Utc};
use uuid::Uuid;

use super::cell::decoded;
use super::written::{COLUMNS, CONVERSION_COLUMNS, FORM, FORM_WITHOUT_RATES, LATE_COLUMNS, RATINGS_COLUMNS, digest};
use super::{Days, Digest, Figures, Late, PublicKey, Rates, Restatement, Statement};
use crate::ids::VendorId;
use crate::money::Currency;
use crate::month::Month;
use crate::ratios::{Fraction, Histogram};

/// What is wrong with a statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct Wrong {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

/// A statement whose sums, digest and signature are right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// What it says.
    pub statement: Statement,
    /// Its digest.
    pub digest: Digest,
    /// Its signature by [`Statement::key`]; `None` if it is not signed.
    pub signature: Option<[u8; 64]>,
    /// The lines of the digest, of the previous digest, and of the key.
    places: Places,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Places {
    key: usize,
    previous: usize,
}

/// Reads a statement and checks its sums, its digest, and its signature by the key that it names. Whether that key is
/// the marketplace's is for [`Checked::signed_by`].
///
/// # Errors
/// [`Wrong`], with the first line that is wrong.
pub fn check(text: &str) -> Result<Checked, Wrong> {
    let mut lines = Lines::of(text);
    let form: String = lines.value("statement")?;
    if form != FORM && form != FORM_WITHOUT_RATES {
        let why =
            format!("must be statement,{FORM_WITHOUT_RATES} or statement,{FORM}: this version reads no other form");
        return Err(lines.wrong(why));
    }
    let vendor =
        lines.parsed("vendor", |cell| VendorId::parse(&decoded(cell)?).ok().filter(|id| written_as(id, cell)))?;
    let month: Month = lines.value("month")?;
    let version = lines.parsed("version", |cell| number(cell).filter(|version| *version > 0))?;
    let timezone = lines.parsed("timezone", decoded)?;
    let closed_at = lines.parsed("closedAt", |cell| time(cell, 0))?;
    let as_of = lines.parsed("asOf", number)?;
    let rules_version = lines.parsed("rulesVersion", number)?;
    let proved_as_of = lines.parsed("provedAsOf", |cell| optional(cell, number))?;
    let open_dead_letters = lines.parsed("openDeadLetters", number)?;
    let mut gaps = Vec::new();
    while lines.is_next("gap") {
        gaps.push(lines.parsed("gap", decoded)?);
    }
    let key = lines.parsed("key", |cell| optional(cell, |cell| PublicKey::parse(cell).ok()))?;
    let mut places = Places { key: lines.line, ..Places::default() };
    let previous = lines.parsed("previousDigest", |cell| optional(cell, hexadecimal))?;
    places.previous = lines.line;
    let events = lines.parsed("eventsDigest", hexadecimal)?;
    lines.exactly("columns", COLUMNS)?;
    let currencies = currencies(&mut lines, month)?;
    let rates = if form == FORM { Some(rates(&mut lines)?) } else { None };
    let restatement = restatement(&mut lines, version)?;
    let statement = Statement {
        vendor,
        month,
        version,
        timezone,
        closed_at,
        as_of,
        rules_version,
        proved_as_of,
        open_dead_letters,
        gaps,
        key,
        previous,
        events,
        currencies,
        rates,
        restatement,
    };
    lines.written_as(&statement)?;
    let own = digest(&lines.read);
    let told = lines.parsed("digest", hexadecimal)?;
    if told != own {
        return Err(
            lines.wrong(format!("the digest of the lines before is {own}: one of them was changed, or this one"))
        );
    }
    let signature = lines.parsed("signature", |cell| optional(cell, signature))?;
    match (key, signature) {
        (Some(key), Some(signature)) if !key.verifies(&own, &signature) => {
            return Err(lines.wrong("is not the signature of this digest by the key of this statement".into()));
        }
        (Some(_), None) | (None, Some(_)) => {
            return Err(lines.wrong("there must be a key and a signature, or neither".into()));
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
    lines.end()?;
    Ok(Checked { statement, digest: own, signature, places })
}

impl Checked {
    /// Returns the key that signs it. The service makes no statement without a signature, without which anybody can make
    /// the rest of one consistent.
    ///
    /// # Errors
    /// [`Wrong`] if it is not signed.
    pub fn signer(&self) -> Result<PublicKey, Wrong> {
        self.statement.key.ok_or_else(|| self.wrong(self.places.key, "it is not signed".into()))
    }

    /// Checks that it is signed by one of these keys.
    ///
    /// # Errors
    /// [`Wrong`].
    pub fn signed_by(&self, keys: &[PublicKey]) -> Result<(), Wrong> {
        let own = self.signer()?;
        if keys.contains(&own) {
            return Ok(());
        }
        let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
        Err(self.wrong(self.places.key, format!("it is signed by the key {own}, not by {}", keys.join(" or "))))
    }

    /// Checks that it is the seller's next statement after another one.
    ///
    /// # Errors
    /// [`Wrong`].
    pub fn follows(&self, before: &Self) -> Result<(), Wrong> {
        let (own, other) = (&self.statement, &before.statement);
        if own.vendor != other.vendor {
            let why = format!("it is of {}, the statement before is of {}", own.vendor, other.vendor);
            return Err(self.wrong(2, why));
        }
        match own.previous {
            Some(previous) if previous == before.digest => Ok(()),
            _ => {
                Err(self.wrong(self.places.previous, format!("the statement before has the digest {}", before.digest)))
            }
        }
    }

    const fn wrong(&self, line: usize, why: String) -> Wrong {
        Wrong { line, why }
    }
}

/// The numbers by currency.
fn currencies(lines: &mut Lines<'_>, month: Month) -> Result<BTreeMap<Currency, Days>, Wrong> {
    let mut currencies: BTreeMap<Currency, Days> = BTreeMap::new();
    while lines.is_next("line") {
        let (currency, mut days) = (lines.currency()?, Days::new());
        while lines.is_next("line") && lines.currency()? == currency {
            let (day, figures) = lines.parsed("line", |cells| {
                let (_, rest) = cells.split_once(',')?;
                let (day, rest) = rest.split_once(',')?;
                Some((day.parse::<NaiveDate>().ok().filter(|own| own.to_string() == day)?, figures(rest)?))
            })?;
            let (figures, net) = figures;
            if Month::of(day) != Some(month) {
                return Err(lines.wrong(format!("{day} is not in {month}")));
            }
            if days.last_key_value().is_some_and(|(last, _)| *last >= day) {
                return Err(lines.wrong("must be later than the line before".into()));
            }
            lines.equal("the net", net, figures.net().ok())?;
            days.insert(day, figures);
        }
        let (told, net) =
            lines.parsed("sum", |cells| figures(cells.strip_prefix(currency.code())?.strip_prefix(",,")?))?;
        let sum = Figures::sum(days.values()).map_err(|error| lines.wrong(error.to_string()))?;
        for (what, told, sum) in [
            ("the sum of orders", told.orders, sum.orders),
            ("the sum of units", told.units, sum.units),
            ("the sum of gross", told.gross, sum.gross),
            ("the sum of refunds", told.refunds, sum.refunds),
            ("the sum of adjustments", told.adjustments, sum.adjustments),
        ] {
            lines.equal(what, told, Some(sum))?;
        }
        lines.equal("the net", net, sum.net().ok())?;
        if currencies.last_key_value().is_some_and(|(last, _)| *last >= currency) {
            return Err(lines.wrong("currencies must be in the order of their codes".into()));
        }
        currencies.insert(currency, days);
    }
    Ok(currencies)
}

/// Conversion and ratings.
fn rates(lines: &mut Lines<'_>) -> Result<Rates, Wrong> {
    lines.exactly("columns", CONVERSION_COLUMNS)?;
    let ([numerator, denominator], value) = lines.parsed("conversion", with_value)?;
    let mut rates = Rates { conversion: Fraction { numerator, denominator }, ..Rates::default() };
    lines.calculated(value, rates.conversion_value())?;
    lines.exactly("columns", RATINGS_COLUMNS)?;
    let ([count, sum, stars @ ..], value) = lines.parsed("ratings", |cells| {
        with_value::<7>(cells).filter(|(numbers, _)| numbers.iter().all(|number| RATINGS.contains(number)))
    })?;
    rates.ratings = Histogram(stars);
    lines.equal("the number of ratings", count, Some(rates.ratings.count()))?;
    lines.equal("the sum of the stars", sum, Some(rates.ratings.sum()))?;
    lines.calculated(value, rates.rating_value())?;
    Ok(rates)
}

/// Numbers of ratings, and sums of their stars: within these bounds, no sum leaves its range.
const RATINGS: std::ops::RangeInclusive<i64> = 0..=1 << 56;

/// Some numbers, and the value that is calculated from them, which may be empty.
fn with_value<const N: usize>(cells: &str) -> Option<([i64; N], Option<i64>)> {
    let (numbers, value) = cells.rsplit_once(',')?;
    let numbers: Vec<i64> = numbers.split(',').map(number).collect::<Option<_>>()?;
    Some((numbers.try_into().ok()?, optional(value, number)?))
}

/// What the statement restates.
fn restatement(lines: &mut Lines<'_>, version: u32) -> Result<Option<Restatement>, Wrong> {
    if version == 1 {
        return Ok(None);
    }
    let of = lines.parsed("restates", |cell| number(cell).filter(|of: &u32| of.checked_add(1) == Some(version)))?;
    lines.exactly("columns", LATE_COLUMNS)?;
    let mut late = Vec::new();
    while lines.is_next("late") {
        late.push(lines.parsed("late", |cells| {
            let mut cells = cells.split(',');
            let event = optional(cells.next()?, |cell| Uuid::parse_str(cell).ok().filter(|id| id.to_string() == cell))?;
            let event_type = decoded(cells.next()?)?;
            let occurred_at = time(cells.next()?, 3)?;
            let (currency, delta) = (currency(cells.next()?)?, number(cells.next()?)?);
            cells.next().is_none().then_some(Late { event, event_type, occurred_at, currency, delta })
        })?);
    }
    Ok(Some(Restatement { of, late }))
}

fn figures(cells: &str) -> Option<(Figures, i64)> {
    let numbers: Vec<i64> = cells.split(',').map(number).collect::<Option<_>>()?;
    let [orders, units, gross, refunds, adjustments, net] = numbers.try_into().ok()?;
    Some((Figures { orders, units, gross, refunds, adjustments }, net))
}

/// Numbers are written in one way only, as everything else.
fn number<T: FromStr + ToString>(cell: &str) -> Option<T> {
    cell.parse().ok().filter(|number: &T| number.to_string() == cell)
}

fn currency(cell: &str) -> Option<Currency> {
    Currency::parse(cell).filter(|currency| currency.code() == cell)
}

fn time(cell: &str, digits: u16) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(cell).ok()?.to_utc();
    (time.trunc_subsecs(digits) == time).then_some(time)
}

fn hexadecimal(cell: &str) -> Option<Digest> {
    let digest = Digest(hex::decode(cell).ok()?.try_into().ok()?);
    (digest.to_string() == cell).then_some(digest)
}

fn signature(cell: &str) -> Option<[u8; 64]> {
    BASE64_STANDARD.decode(cell).ok()?.try_into().ok()
}

/// An empty cell, or what `read` makes of it.
#[expect(clippy::option_option, reason = "a cell that cannot be read, and an empty one")]
fn optional<T>(cell: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<Option<T>> {
    if cell.is_empty() { Some(None) } else { read(cell).map(Some) }
}

fn written_as(vendor: &VendorId, cell: &str) -> bool {
    decoded(cell).is_some_and(|text| text == vendor.as_str())
}

/// The lines of the text, of which one after the other is read.
struct Lines<'a> {
    rest: std::iter::Peekable<std::str::Split<'a, char>>,
    read: Vec<&'a str>,
    /// The number of the line that was read last, from 1.
    line: usize,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        Self { rest: text.split('\n').peekable(), read: Vec::new(), line: 0 }
    }

    fn wrong(&self, why: String) -> Wrong {
        Wrong { line: self.line, why }
    }

    /// Returns the cells of the next line, if its first cell has this name.
    fn cells(&mut self, name: &str) -> Option<&'a str> {
        let line = self.rest.peek()?.trim_end_matches('\r');
        line.strip_prefix(name)?.strip_prefix(',')
    }

    fn is_next(&mut self, name: &str) -> bool {
        self.cells(name).is_some()
    }

    /// Returns the currency of the next line, which is one of a day.
    fn currency(&mut self) -> Result<Currency, Wrong> {
        let cells = self.cells("line").unwrap_or_default();
        let code = cells.split(',').next().unwrap_or_default();
        let why = || Wrong { line: self.line.saturating_add(1), why: "must begin with line and a currency".into() };
        currency(code).ok_or_else(why)
    }

    /// Reads the next line, whose first cell must have this name.
    fn parsed<T>(&mut self, name: &str, read: impl FnOnce(&'a str) -> Option<T>) -> Result<T, Wrong> {
        let cells = self.cells(name);
        let line = self.rest.next().map(|line| line.trim_end_matches('\r'));
        self.line = self.line.saturating_add(1);
        self.read.extend(line);
        let Some(cells) = cells else {
            let found = if line.is_none() { "the statement ends here" } else { "this is another line" };
            return Err(self.wrong(format!("must begin with {name}, but {found}")));
        };
        read(cells).ok_or_else(|| self.wrong(format!("{name} cannot be read")))
    }

    fn value<T: FromStr + ToString>(&mut self, name: &str) -> Result<T, Wrong> {
        self.parsed(name, number)
    }

    fn exactly(&mut self, name: &str, cells: &str) -> Result<(), Wrong> {
        self.parsed(name, |found| (found == cells).then_some(()))
    }

    /// Checks a number of the line that was read last.
    fn equal(&self, what: &str, told: i64, expected: Option<i64>) -> Result<(), Wrong> {
        match expected {
            Some(expected) if expected == told => Ok(()),
            Some(expected) => Err(self.wrong(format!("{what} is {told}, but it must be {expected}"))),
            None => Err(self.wrong(format!("{what} is past the range of 64 bits"))),
        }
    }

    /// Checks the value of the line that was read last.
    fn calculated(&self, told: Option<i64>, expected: Option<i64>) -> Result<(), Wrong> {
        if told == expected {
            return Ok(());
        }
        let shown = |value: Option<i64>| value.map_or_else(|| "empty".to_owned(), |value| value.to_string());
        Err(self.wrong(format!("the value is {}, but it must be {}", shown(told), shown(expected))))
    }

    /// Checks that the lines that were read are those that the statement is written as.
    fn written_as(&self, statement: &Statement) -> Result<(), Wrong> {
        let lines = statement.lines().map_err(|error| self.wrong(error.to_string()))?;
        for (at, (found, expected)) in self.read.iter().zip(&lines).enumerate() {
            if found != expected {
                return Err(Wrong { line: at.saturating_add(1), why: format!("must be {expected}") });
            }
        }
        Ok(())
    }

    /// Checks that only an empty line is left.
    fn end(&mut self) -> Result<(), Wrong> {
        for line in self.rest.by_ref() {
            self.line = self.line.saturating_add(1);
            if !line.trim_end_matches('\r').is_empty() {
                return Err(Wrong { line: self.line, why: "must not follow the signature".into() });
            }
        }
        Ok(())
    }
}
