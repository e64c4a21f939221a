//! `verify` finds statements that were changed by hand.

use analytics_core::statement::{Sealed, SigningKey, check};
use analytics_testkit::service::{STATEMENT_KEY as KEY, Service};

use crate::proofs::listed;
use crate::statements::{PUBLIC, csv, order, send, service};

const CLOSE: [&str; 5] = ["statements", "close", "--month", "2026-10", "--accept-gaps"];

/// Two versions of the statement of `v`, and the statement of `w`.
fn closed(service: &Service) {
    send(service, &[order("o-1", &[("v", "10.00", "USD")], 1), order("o-2", &[("w", "5.00", "USD")], 2)]);
    service.done(&CLOSE);
    send(service, &[order("o-3", &[("v", "7.00", "USD")], 31)]);
    let said = service.done(&CLOSE);
    assert!(said.contains("0 statements closed, 1 restated, 1 unchanged"), "{said}");
}

/// Returns SQL that replaces the first statement of a seller by another one, which is right by itself and signed by
/// somebody else.
fn forged(service: &Service, vendor: &str) -> String {
    let mut statement = check(&csv(service, vendor, 1)).unwrap().statement;
    statement.open_dead_letters += 1;
    let key = SigningKey::parse(&KEY.replace("\\n", "\n").replace("cH\n", "cI\n")).unwrap();
    let Sealed { csv, digest, .. } = statement.seal(Some(&key)).unwrap();
    format!(
        "UPDATE statements SET csv = '{csv}', digest = decode('{digest}', 'hex'), key = decode('{}', 'base64') \
         WHERE vendor_id = '{vendor}' AND version = 1",
        key.public()
    )
}

#[test]
fn a_damaged_statement_keeps_no_other_seller_from_being_closed() {
    let (service, _ingest) = service();
    closed(&service);
    let change = "ALTER TABLE statements DISABLE TRIGGER ALL; \
                  UPDATE statements SET csv = replace(csv, '1700', '1701') WHERE vendor_id = 'v' AND version = 2";
    service.database.execute(change);
    let late = [("o-4", "a"), ("o-5", "v"), ("o-6", "w")].map(|(id, vendor)| order(id, &[(vendor, "3.00", "USD")], 30));
    send(&service, &late);
    let (well, said) = service.job(&CLOSE);
    assert!(
        !well && said.contains("the last statements of 1 sellers cannot be read, the first is that of \"v\""),
        "{said}"
    );
    let stated = "SELECT vendor_id || version FROM statements ORDER BY 1";
    assert_eq!(service.database.lines(stated), ["a1", "v1", "v2", "w1", "w2"], "{said}");
}

#[test]
fn verify_names_each_statement_that_was_changed_by_hand() {
    let (service, _ingest) = service();
    closed(&service);
    service.done(&["verify", "--full"]);
    service
        .database
        .execute("ALTER TABLE statements DISABLE TRIGGER ALL; CREATE TABLE kept AS SELECT * FROM statements");
    let [forged, forged_last] = ["v", "w"].map(|vendor| forged(&service, vendor));
    let first = |change: &str| format!("UPDATE statements SET {change} WHERE vendor_id = 'v' AND version = 1");
    let of_other = "csv = (SELECT csv FROM statements WHERE vendor_id = 'w')";
    let last_closing = "closing_id = (SELECT max(id) FROM statement_closings)";
    let digit = "csv = replace(csv, 'line,USD,2026-10-01,1,2,1000', 'line,USD,2026-10-01,1,2,1001')";
    for (change, version, problem) in [
        (first(digit), 1, "the net is 1000, but it must be 1001"),
        (first(of_other), 1, "its CSV has another seller than its row"),
        (first("month = '2026-09-01'"), 1, "its CSV has another month than its row"),
        (first("version = 3"), 3, "its CSV has another version than its row"),
        (first("closed_at = closed_at + interval '1 s'"), 1, "its CSV has another time of closing than its row"),
        (first(last_closing), 1, "its CSV has another batch than its row"),
        (first("digest = sha256('')"), 1, "its CSV has another digest than its row"),
        (first("key = sha256('')"), 1, "its CSV has another key than its row"),
        (forged, 2, "it names another statement as the one that was closed before it"),
        (
            "DELETE FROM statements WHERE vendor_id = 'v' AND version = 1".into(),
            2,
            "its seller's statement that was closed before it is missing",
        ),
    ] {
        service.database.execute(&change);
        let (well, said) = service.job(&["verify", "--full"]);
        let (key, problem) =
            (format!("version {version}: found it"), format!("{problem}, should be the statement that"));
        assert!(!well && said.contains(&key) && said.contains(&problem), "{change}: {said}");
        assert_eq!(listed(&service).len(), 1, "{change}: {said}");
        service.database.execute("DELETE FROM statements; INSERT INTO statements SELECT * FROM kept");
    }
    // Nothing follows the last statement of a seller: only who knows the key finds it.
    service.database.execute(&forged_last);
    service.done(&["verify", "--full"]);
    let (well, said) = service.job(&["verify", "--full", "--public-key", PUBLIC]);
    assert!(!well && said.contains("statement w 2026-10 version 1: found it is signed by the key"), "{said}");
    service.database.execute("DELETE FROM statements; INSERT INTO statements SELECT * FROM kept");
    service.done(&["verify", "--full", "--public-key", PUBLIC]);

    service.database.execute(&format!("UPDATE statements SET {digit}"));
    let said = service.done(&["rebuild"]);
    assert!(said.contains("cannot be corrected from the event log: statement v 2026-10 version 2"), "{said}");
    // Neither is it the ground of a later version.
    send(&service, &[order("o-4", &[("v", "1.00", "USD")], 30)]);
    let (well, said) = service.job(&CLOSE);
    assert!(!well && said.contains("the statement of \"v\" that was closed last cannot be read: its CSV"), "{said}");
    service.database.execute("DELETE FROM statements; INSERT INTO statements SELECT * FROM kept");
    service.done(&["verify", "--full"]);
}
