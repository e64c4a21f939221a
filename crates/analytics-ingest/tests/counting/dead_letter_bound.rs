//! A flood of records that cannot be counted does not fill the disk: rejections for which there is
//! no room are counted and reported, and their records can be read again.

use analytics_testkit::broker::Message;
use analytics_testkit::service::Service;
use analytics_testkit::tally::Tally;

/// Room for about sixty dead letters of about 1,500 bytes.
const ROOM: i64 = 100_000;
/// How many records of a wave cannot be counted.
const WAVE: i64 = 2_000;

fn wave(service: &Service, tally: &mut Tally, seed: u64) {
    let flood: Vec<Message> =
        (0..WAVE).map(|n| Message::json("product.viewed", format!("{seed} {n} {}", "x".repeat(1_000)))).collect();
    service.send(&flood[..flood.len() / 2]);
    service.send_traffic(tally, seed, 500);
    service.send(&flood[flood.len() / 2..]);
    service.wait_all_consumed();
}

fn number(service: &Service, query: &str) -> i64 {
    service.database.number(query).unwrap()
}

/// Returns how many dead letters are kept, which must be within the bound, and how many are only
/// counted.
fn kept_and_counted(service: &Service) -> (i64, i64) {
    let bytes = number(service, "SELECT coalesce(sum(kept_bytes), 0) FROM dead_letters");
    assert!(bytes <= ROOM, "{bytes}");
    assert_eq!(number(service, "SELECT bytes FROM dead_letter_usage"), bytes);
    let counted = number(service, "SELECT coalesce(sum(letters), 0) FROM dead_letter_overflow");
    (number(service, "SELECT count(*) FROM dead_letters"), counted)
}

/// Returns all numbers as lines, except dead letters.
fn events(service: &Service) -> Vec<String> {
    service.numbers().into_iter().filter(|line| !line.starts_with("letter ")).collect()
}

#[test]
fn a_flood_of_bad_records_is_bounded_counted_and_reported() {
    let mut service = Service::new(1);
    service.set("DEAD_LETTER_MAX_TOTAL_BYTES", &ROOM.to_string());
    let mut tally = Tally::default();
    let mut ingest = service.ingest();
    wave(&service, &mut tally, 1);
    let (kept, counted) = kept_and_counted(&service);
    assert_eq!(kept + counted, WAVE);
    assert!((50..=70).contains(&kept), "{kept}");
    wave(&service, &mut tally, 2);
    // The table is full, and does not change.
    assert_eq!(kept_and_counted(&service), (kept, WAVE * 2 - kept));
    assert!(number(&service, "SELECT pg_total_relation_size('dead_letters')") < 1_000_000);

    // All of them are reported: in the overflow table, the metrics, the offsets and the log.
    let stretches =
        "SELECT min(first_offset) || ' ' || max(last_offset) || ' ' || min(reason) FROM dead_letter_overflow";
    let last = number(&service, "SELECT next_offset - 1 FROM ingest_offsets WHERE topic LIKE '%product.viewed'");
    let told = service.database.lines(stretches).remove(0);
    assert_eq!(told, format!("{kept} {last} not_json"), "from the first record that was not kept to the last one");
    let metric = |name: &str| format!("{}", ingest.metric(&format!("analytics_ingest_{name}")));
    assert_eq!(metric("dead_letters_not_kept_total"), (WAVE * 2 - kept).to_string());
    assert_eq!(metric("rejected_total"), (WAVE * 2).to_string());
    assert_eq!(number(&service, "SELECT sum(rejected)::bigint FROM ingest_offsets"), WAVE * 2);
    let log = ingest.log();
    let of_log = |line: &str| line.split_once(" dead letters were not kept").map(|(before, _)| before.to_owned());
    let logged: i64 =
        log.lines().filter_map(of_log).map(|b| b.rsplit(' ').next().unwrap().parse::<i64>().unwrap()).sum();
    assert_eq!(logged, WAVE * 2 - kept, "{log}");
    assert!(log.contains("ERROR") && log.contains("DEAD_LETTER_MAX_TOTAL_BYTES"), "{log}");
    service.done(&["verify", "--full"]);

    // With more room they can be read again; good records do not change.
    assert!(ingest.stop().success());
    let before = events(&service);
    service.done(&["offsets", "set", "--topic", &format!("{}product.viewed", service.prefix), "--offset", "0"]);
    service.set("DEAD_LETTER_MAX_TOTAL_BYTES", "100000000");
    let _more = service.ingest();
    let again = last + 1;
    service.wait_consumed(service.held() + again);
    assert_eq!(number(&service, "SELECT count(*) FROM dead_letters"), WAVE * 2);
    assert_eq!(events(&service), before);
    service.database.execute("TRUNCATE dead_letters CASCADE");
    assert_eq!(number(&service, "SELECT bytes FROM dead_letter_usage"), 0, "there is room again");
    tally.assert_counted(&service);
}

#[test]
fn dead_letters_that_are_kept_are_not_reported_as_lost_when_their_records_are_read_again() {
    let mut service = Service::new(1);
    service.set("DEAD_LETTER_MAX_TOTAL_BYTES", &ROOM.to_string());
    let mut ingest = service.ingest();
    // They fit once, but not twice.
    service.send(&vec![Message::json("product.viewed", "x".repeat(1_000)); 50]);
    service.wait_consumed(50);
    assert_eq!(kept_and_counted(&service), (50, 0));
    assert!(ingest.stop().success());
    service.database.execute("UPDATE ingest_offsets SET next_offset = 0");
    let again = service.ingest();
    service.wait_consumed(100);
    assert_eq!(kept_and_counted(&service), (50, 0), "{}", again.log());
    assert_eq!(again.metric("analytics_ingest_dead_letters_not_kept_total"), 0.0);
}

#[test]
fn no_room_at_all_keeps_no_letter_and_loses_no_event() {
    let mut service = Service::new(1);
    service.set("DEAD_LETTER_MAX_TOTAL_BYTES", "0");
    let mut tally = Tally::default();
    let _ingest = service.ingest();
    service.send(&vec![Message::json("order.created", "{}"); 5]);
    service.send_traffic(&mut tally, 1, 300);
    service.wait_all_consumed();
    assert_eq!(kept_and_counted(&service), (0, 5));
    tally.assert_counted(&service);
}
