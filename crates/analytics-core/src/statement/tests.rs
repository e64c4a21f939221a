use chrono::TimeZone as _;
use openssl::pkey::PKey;
use proptest::prelude::*;

use super::*;
use crate::ratios::{Fraction, Histogram};

fn key() -> SigningKey {
    let key = PKey::private_key_from_raw_bytes(&[7; 32], openssl::pkey::Id::ED25519).unwrap();
    SigningKey::parse(&String::from_utf8(key.private_key_to_pem_pkcs8().unwrap()).unwrap()).unwrap()
}

fn day(day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 10, day).unwrap()
}

fn currency(code: &str) -> Currency {
    Currency::parse(code).unwrap()
}

fn account() -> Account {
    let (eur, usd) = (currency("EUR"), currency("USD"));
    let mut account = Account::default();
    let id = Uuid::from_u128;
    account.sold(day(1), (id(1), 1), eur, 2, 1_000).unwrap();
    account.sold(day(1), (id(1), 2), eur, 1, 500).unwrap();
    account.sold(day(1), (id(2), 1), eur, 1, 250).unwrap();
    account.sold(day(1), (id(2), 2), usd, 3, 300).unwrap();
    account.refunded(day(4), (id(3), 1), eur, 400).unwrap();
    account.adjusted(day(9), id(4), Column::Revenue, eur, -50).unwrap();
    account.adjusted(day(9), id(5), Column::Refunds, eur, 20).unwrap();
    account.adjusted(day(9), id(6), Column::Orders, eur, 1).unwrap();
    account
}

fn statement() -> Statement {
    let account = account();
    Statement {
        vendor: VendorId::parse("=v,1").unwrap(),
        month: "2026-10".parse().unwrap(),
        version: 1,
        timezone: "Europe/Berlin".into(),
        closed_at: Utc.with_ymd_and_hms(2026, 11, 4, 1, 2, 3).unwrap(),
        as_of: 77,
        rules_version: 2,
        proved_as_of: Some(70),
        open_dead_letters: 0,
        gaps: Vec::new(),
        key: None,
        previous: None,
        events: account.digest(),
        currencies: account.currencies().clone(),
        rates: Some(Rates {
            conversion: Fraction { numerator: account.orders().unwrap(), denominator: 30 },
            ratings: Histogram([1, 0, 0, 2, 4]),
        }),
        restatement: None,
    }
}

fn restated() -> Statement {
    let late = |event, currency, delta| Late {
        event,
        event_type: if event.is_some() { "order.refunded" } else { CORRECTION }.into(),
        occurred_at: Utc.with_ymd_and_hms(2026, 10, 5, 1, 2, 3).unwrap(),
        currency,
        delta,
    };
    let late = vec![late(Some(Uuid::from_u128(9)), currency("EUR"), -5), late(None, currency("USD"), 1)];
    Statement {
        version: 3,
        previous: Some(Digest([3; 32])),
        gaps: vec!["orders/0, offsets 5 to 9: deleted".into(), "=1+1".into()],
        restatement: Some(Restatement { of: 2, late }),
        ..statement()
    }
}

#[test]
fn a_statement_is_written_with_stable_columns() {
    let rates = "columns,orders,views,value\nconversion,3,30,1000\n\
        columns,count,sum,1,2,3,4,5,value\nratings,7,29,1,0,0,2,4,414\n";
    assert_written(&statement(), "2", rates);
    let none = Rates::default();
    let rates =
        "columns,orders,views,value\nconversion,0,0,\ncolumns,count,sum,1,2,3,4,5,value\nratings,0,0,0,0,0,0,0,\n";
    assert_written(&Statement { rates: Some(none), ..statement() }, "2", rates);
    // As before statements had conversion and ratings.
    assert_written(&Statement { rates: None, ..statement() }, "1", "");
}

fn assert_written(statement: &Statement, form: &str, rates: &str) {
    let sealed = statement.clone().seal(None).unwrap();
    let expected = "statement,FORM\nvendor,%3Dv%2C1\nmonth,2026-10\nversion,1\ntimezone,Europe/Berlin\n\
        closedAt,2026-11-04T01:02:03Z\nasOf,77\nrulesVersion,2\nprovedAsOf,70\nopenDeadLetters,0\nkey,\npreviousDigest,\n\
        eventsDigest,EVENTS\ncolumns,currency,day,orders,units,gross,refunds,adjustments,net\n\
        line,EUR,2026-10-01,2,4,1750,0,0,1750\nline,EUR,2026-10-04,0,0,0,400,0,-400\n\
        line,EUR,2026-10-09,1,0,0,0,-70,-70\nsum,EUR,,3,4,1750,400,-70,1280\n\
        line,USD,2026-10-01,1,3,300,0,0,300\nsum,USD,,1,3,300,0,0,300\nRATESdigest,DIGEST\nsignature,\n";
    let events = account().digest().to_string();
    let expected = expected.replace("FORM", form).replace("RATES", rates);
    assert_eq!(sealed.csv, expected.replace("EVENTS", &events).replace("DIGEST", &sealed.digest.to_string()));
    assert_eq!(check(&sealed.csv).unwrap().statement, *statement);
    // The digest is what any other tool makes of the lines.
    let before = sealed.csv.split("digest,").collect::<Vec<_>>();
    assert_eq!(before.len(), 2);
    let digest = <sha2::Sha256 as sha2::Digest>::digest(before[0].as_bytes());
    assert_eq!(hex::encode(digest), sealed.digest.to_string());
}

#[test]
fn what_is_written_is_read_and_the_signature_holds() {
    let key = key();
    let first_form = Statement { rates: None, ..restated() };
    for statement in [statement(), restated(), first_form] {
        for key in [None, Some(&key)] {
            let sealed = statement.clone().seal(key).unwrap();
            let checked = check(&sealed.csv).unwrap();
            let expected = Statement { key: key.map(SigningKey::public), ..statement.clone() };
            assert_eq!((&checked.statement, checked.digest), (&expected, sealed.digest));
            assert_eq!(checked.signature, sealed.signature);
            // A tool that writes other ends of lines changes nothing.
            assert_eq!(check(&sealed.csv.replace('\n', "\r\n")).unwrap(), checked);
            let (own, other) = (self::key().public(), PublicKey([1; 32]));
            assert_eq!(checked.signed_by(&[own]).is_ok(), key.is_some());
            assert_eq!(checked.signed_by(&[other, own]).is_ok(), key.is_some());
            assert!(checked.signed_by(&[other]).is_err());
        }
    }
}

#[test]
fn a_statement_follows_the_one_whose_digest_it_names() {
    let first = check(&statement().seal(None).unwrap().csv).unwrap();
    let next = |previous, vendor: &str| {
        let vendor = VendorId::parse(vendor).unwrap();
        check(&Statement { previous, vendor, ..statement() }.seal(None).unwrap().csv).unwrap()
    };
    assert_eq!(next(Some(first.digest), "=v,1").follows(&first), Ok(()));
    assert_eq!(next(None, "=v,1").follows(&first).unwrap_err().line, 12);
    assert_eq!(next(Some(Digest([1; 32])), "=v,1").follows(&first).unwrap_err().line, 12);
    assert_eq!(next(Some(first.digest), "w").follows(&first).unwrap_err().line, 2);
}

#[test]
fn a_changed_line_is_named() {
    let csv = restated().seal(Some(&key())).unwrap().csv;
    let line_of = |text: &str| 1 + csv.lines().position(|line| line.starts_with(text)).unwrap();
    let digest = line_of("digest,");
    for (from, to, line, why) in [
        ("line,EUR,2026-10-01,2,4,1750,", "line,EUR,2026-10-01,2,4,1751,", line_of("line,EUR"), "the net is 1750"),
        ("line,EUR,2026-10-01,2,", "line,EUR,2026-10-01,3,", line_of("sum,EUR"), "the sum of orders is 3"),
        ("sum,EUR,,3,4,1750,", "sum,EUR,,3,4,1749,", line_of("sum,EUR"), "the sum of gross is 1749"),
        (",1280\n", ",1281\n", line_of("sum,EUR"), "the net is 1281"),
        ("asOf,77", "asOf,78", digest, "was changed"),
        ("version,3", "version,4", line_of("restates"), "cannot be read"),
        ("version,3", "version,1", line_of("restates"), "must begin with digest"),
        ("2026-10-04,", "2026-11-04,", line_of("line,EUR,2026-10-04"), "is not in 2026-10"),
        ("2026-10-04,", "2026-10-01,", line_of("line,EUR,2026-10-04"), "later"),
        ("asOf,77", "asOf,077", line_of("asOf"), "cannot be read"),
        ("closedAt,2026-11-04T01:02:03Z", "closedAt,2026-11-04T01:02:03.0Z", line_of("closedAt"), "must be closedAt"),
        ("2026-10-05T01:02:03.000Z,EUR,-5", "2026-10-05T01:02:03.000Z,EUR,-6", digest, "was changed"),
        ("statement,2", "statement,3", 1, "no other form"),
        ("statement,2", "statement,1", line_of("columns,orders"), "must begin with restates"),
        (
            "conversion,3,30,1000",
            "conversion,3,31,1000",
            line_of("conversion"),
            "the value is 1000, but it must be 968",
        ),
        ("conversion,3,30,1000", "conversion,3,0,1000", line_of("conversion"), "but it must be empty"),
        ("conversion,3,30,1000", "conversion,6,60,1000", digest, "was changed"),
        ("conversion,3,30,1000", "conversion,3,30", line_of("conversion"), "cannot be read"),
        ("ratings,7,", "ratings,8,", line_of("ratings"), "the number of ratings is 8, but it must be 7"),
        ("ratings,7,29,", "ratings,7,30,", line_of("ratings"), "the sum of the stars is 30, but it must be 29"),
        (",2,4,414", ",2,4,415", line_of("ratings"), "the value is 415, but it must be 414"),
        ("29,1,0,0,2,4,", "29,-1,0,0,2,4,", line_of("ratings"), "cannot be read"),
        ("29,1,", "29,9223372036854775807,", line_of("ratings"), "cannot be read"),
        ("vendor,%3Dv", "vendor,=v", 2, "cannot be read"),
        ("signature,", "signature,A", digest + 1, "cannot be read"),
        ("\nsignature,", "\nmore,", digest + 1, "must begin with signature"),
    ] {
        let changed = csv.replacen(from, to, 1);
        assert_ne!(changed, csv, "{from}");
        let wrong = check(&changed).unwrap_err();
        assert!(wrong.line == line && wrong.why.contains(why), "{from} -> {to}: {wrong}, expected line {line}");
    }
    // A digest of changed lines is not one that was signed.
    let other = Statement { as_of: 78, ..restated() }.seal(Some(&key())).unwrap();
    let own = check(&csv).unwrap();
    let (_, signature) = csv.rsplit_once("signature,").unwrap();
    let forged = format!("{}signature,{signature}", other.csv.rsplit_once("signature,").unwrap().0);
    assert_eq!(check(&forged).unwrap_err().line, digest + 1);
    assert!(own.signature.is_some());
    assert_eq!(check(&format!("{csv}more\n")).unwrap_err().line, digest + 2);
}

#[test]
fn every_changed_character_is_found() {
    let csv = restated().seal(Some(&key())).unwrap().csv;
    for (at, character) in csv.char_indices().filter(|(_, character)| character.is_ascii_digit()) {
        let other = if character == '9' { "0" } else { "9" };
        let mut changed = csv.clone();
        changed.replace_range(at..=at, other);
        assert!(check(&changed).is_err(), "{}", &csv[at..]);
    }
}

#[test]
fn the_digest_of_events_depends_on_each_of_them_and_on_their_order() {
    let usd = currency("USD");
    let of = |events: &[(u128, i64)]| {
        let mut account = Account::default();
        for (id, amount) in events {
            account.sold(day(1), (Uuid::from_u128(*id), 1), usd, 1, *amount).unwrap();
        }
        account.digest()
    };
    let digests = [of(&[]), of(&[(1, 5)]), of(&[(1, 5), (2, 6)]), of(&[(2, 6), (1, 5)]), of(&[(1, 6), (2, 5)])];
    for (at, digest) in digests.iter().enumerate() {
        assert!(digests[..at].iter().all(|other| other != digest));
    }
}

#[test]
fn an_account_compares_with_the_metrics() {
    let (eur, usd) = (currency("EUR"), currency("USD"));
    let comparable = account().comparable().unwrap();
    assert_eq!(comparable.orders, [(day(1), 2), (day(9), 1)].into(), "an order in two currencies is one");
    assert_eq!(account().orders(), Ok(3));
    assert_eq!(comparable.units, [(day(1), 7)].into());
    assert_eq!(comparable.revenue, [((eur, day(1)), 1_750), ((usd, day(1)), 300), ((eur, day(9)), -50)].into());
    assert_eq!(comparable.refunds, [((eur, day(4)), 400), ((eur, day(9)), 20)].into());
}

#[test]
fn sums_past_the_range_are_refused() {
    let usd = currency("USD");
    let mut account = account();
    account.adjusted(day(1), Uuid::nil(), Column::Revenue, usd, i64::MAX).unwrap();
    assert_eq!(account.adjusted(day(1), Uuid::nil(), Column::Revenue, usd, 1), Err(PastRange));
    let statement = Statement { currencies: account.currencies().clone(), ..statement() };
    assert_eq!(statement.seal(None), Err(CannotSeal::PastRange(PastRange)));
}

proptest! {
    /// Whatever the text is, there is an answer.
    #[test]
    fn hostile_text_is_wrong_and_nothing_else(text in "\\PC{0,200}") {
        prop_assert!(check(&text).is_err());
    }

    /// Also text that begins as a statement does.
    #[test]
    fn a_damaged_statement_is_wrong(at in any::<prop::sample::Index>(), length in 0..60_usize, other in "[\\PC\n\r,]{0,20}") {
        let csv = restated().seal(None).unwrap().csv;
        let starts: Vec<usize> = csv.char_indices().map(|(at, _)| at).collect();
        let from = *at.get(&starts);
        let to = csv.ceil_char_boundary((from + length).min(csv.len()));
        let damaged = format!("{}{other}{}", &csv[..from], &csv[to..]);
        let lines = |text: &str| text.lines().map(|line| line.trim_end_matches('\r').to_owned()).collect::<Vec<_>>();
        let is_same = lines(damaged.trim_end()) == lines(csv.trim_end());
        prop_assert!(is_same || check(&damaged).is_err(), "{damaged}");
    }

    /// Any figures are read as they were written.
    #[test]
    fn any_figures_are_read_back(
        figures in prop::collection::btree_map(1..32_u32, prop::array::uniform5(-1_000_000_000_000..1_000_000_000_000_i64), 1..31),
        vendor in "[\\PC]{1,20}",
        (numerator, denominator) in any::<(i64, i64)>(),
        stars in prop::array::uniform5(0..1_000_000_000_000_i64),
    ) {
        let Ok(vendor) = VendorId::parse(&vendor) else { return Ok(()) };
        let days = figures.into_iter().map(|(at, [orders, units, gross, refunds, adjustments])| {
            (day(at), Figures { orders, units, gross, refunds, adjustments })
        });
        let rates = Some(Rates { conversion: Fraction { numerator, denominator }, ratings: Histogram(stars) });
        let statement = Statement { currencies: [(currency("KWD"), days.collect())].into(), vendor, rates, ..statement() };
        let sealed = statement.clone().seal(None).unwrap();
        prop_assert_eq!(check(&sealed.csv).unwrap().statement, statement);
    }
}
