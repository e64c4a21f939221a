//! The roles in PostgreSQL: each process works with its own, and may do no more.

use analytics_db::connection;
use analytics_db::transactions::summarize::summarize;
use analytics_testkit::broker::Message;
use analytics_testkit::client::Client;
use analytics_testkit::database::{Database, Server, unique_name};
use analytics_testkit::roles::Roles;
use analytics_testkit::service::{PATIENCE, Service};
use analytics_testkit::wait;
use diesel::connection::SimpleConnection as _;
use serde_json::json;

/// Runs a statement as a role, in a transaction that may write. Returns the error, if there is one.
fn attempt(url: &str, statement: &str) -> Result<(), String> {
    let url = analytics_db::DatabaseUrl::parse(url).unwrap();
    let mut connection = connection::connect(&url, "test").unwrap();
    let done = connection.batch_execute(&format!("BEGIN READ WRITE; {statement}; ROLLBACK"));
    done.map_err(|error| error.to_string())
}

fn refused(url: &str, statement: &str) {
    let error = attempt(url, statement).expect_err(statement);
    // Views that join cannot be written by anybody.
    let refusals = ["permission denied", "must be owner", "cannot delete from view", "cannot insert into view"];
    assert!(refusals.iter().any(|refusal| error.contains(refusal)), "{statement}: {error}");
}

/// All tables of the service but partitions.
fn tables(database: &Database) -> Vec<String> {
    database.lines(
        "SELECT oid::regclass FROM pg_class WHERE relnamespace IN ('public'::regnamespace, 'bi'::regnamespace) \
         AND relkind IN ('r', 'p', 'v') AND NOT relispartition ORDER BY 1",
    )
}

#[test]
fn each_process_works_with_its_own_role_and_may_do_no_more() {
    let roles = Roles::new();
    let mut service = Service::on(Database::empty(), 1);
    let apply = ["roles", "--apply", "--prefix", roles.prefix()];
    let superuser = service.database.url.clone();
    service.done(&apply);
    let url = |service: &Service, role| roles.url(&service.database, role);
    service.set("DATABASE_URL", &url(&service, "owner"));
    service.done(&["migrate", "--actor", "ann"]);

    service.set("DATABASE_URL", &url(&service, "ingest"));
    let ingest = service.ingest();
    service.send(&[
        Message::json("product.viewed", json!({"productId":"tea","vendorId":"v-1"})),
        Message::json("product.viewed", "nonsense"),
        Message::json(
            "order.created",
            json!({"orderId":"o","items":[{"productId":"tea","vendorId":"v-1","price":"2.50","qty":2}]}),
        ),
    ]);
    service.wait_all_consumed();
    drop(ingest);
    let address = analytics_db::DatabaseUrl::parse(&url(&service, "ingest")).unwrap();
    summarize(&mut connection::connect(&address, "test").unwrap()).unwrap();

    service.set("DATABASE_URL", &url(&service, "owner"));
    for job in [&["partitions"][..], &["maintain"], &["metadata-index", "--path", "source"]] {
        service.done(job);
    }
    service.set("DATABASE_URL", &url(&service, "admin"));
    service.set("API_MODE", "read-write");
    for job in [
        &["verify", "--full"][..],
        &["rebuild"],
        &["dead-letters", "discard", "--all", "--actor", "bob"],
        &["audit-log"],
        &["offsets", "show"],
    ] {
        service.done(job);
    }
    let api = service.api();
    let upsert = json!({"type": "newsletters", "value": 7});
    assert_eq!(Client::admin(&api.address).post("/api/metrics/upsert", &upsert).0, 200);
    drop(api);
    service.set("DATABASE_URL", &url(&service, "reader"));
    service.set("API_MODE", "read-only");
    let api = service.api();
    let client = Client::admin(&api.address);
    for path in ["metrics/total_views", "proofs", "audit", "overview", "events", "freshness", "dead-letters"] {
        assert_eq!(client.answer(&format!("/api/{path}"), &[]).status(), 200, "{path}");
    }
    assert_eq!(client.post_csv("/api/sellers/v-1/reconcile", b"orderId,amount\no,5.00\n").status(), 200);

    let [ingest, admin, reader] = ["ingest", "admin", "reader"].map(|role| url(&service, role));
    let tables = tables(&service.database);
    assert!(tables.len() > 30, "{tables:?}");
    for table in &tables {
        attempt(&reader, &format!("SELECT FROM {table} LIMIT 1")).unwrap();
        for write in ["DELETE FROM {}", "INSERT INTO {} DEFAULT VALUES", "LOCK TABLE {} IN SHARE MODE"] {
            refused(&reader, &write.replace("{}", table));
        }
        for role in [&ingest, &admin, &reader] {
            for change in ["DROP TABLE {}", "ALTER TABLE {} RENAME TO other"] {
                let change = change.replace("{}", table);
                let is_view = table.starts_with("bi.") || table == "metric_rollups";
                refused(role, &if is_view { change.replace(" TABLE ", " VIEW ") } else { change });
            }
        }
    }
    for role in [&ingest, &admin, &reader] {
        for create in ["CREATE TABLE more (id int)", "CREATE SCHEMA more"] {
            refused(role, create);
        }
        for write in [
            "UPDATE service_settings SET base_currency = 'EUR'",
            "DELETE FROM __diesel_schema_migrations",
            "UPDATE audit_log SET actor = 'eve'",
            "DELETE FROM audit_log",
            "DELETE FROM event_logs",
            "UPDATE statements SET csv = ''",
            "DELETE FROM statements",
        ] {
            refused(role, write);
        }
    }
    for role in [&ingest, &reader] {
        refused(role, "CREATE TEMP TABLE more (id int)");
    }
    for write in ["UPDATE event_logs SET vendor_id = 'v'", "UPDATE order_lines SET amount = 1", "DELETE FROM proofs"] {
        refused(&ingest, write);
    }
    // The partitions of the log, also one that is created now.
    let newest = "SELECT max(inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = 'event_logs'::regclass \
         AND inhrelid <> 'event_logs_default'::regclass";
    let newest = service.database.lines(newest).remove(0);
    let later = newest.replace("event_logs", "order_lines");
    service.database.execute(&format!("DROP TABLE {newest}; DROP TABLE {later}"));
    service.set("DATABASE_URL", &url(&service, "owner"));
    let said = service.done(&["partitions"]);
    assert!(said.contains("created 2 partitions"), "{newest}: {said}");
    for partition in ["event_logs_default", &newest] {
        refused(&ingest, &format!("UPDATE {partition} SET vendor_id = 'v'"));
        refused(&ingest, &format!("LOCK TABLE {partition} IN SHARE MODE"));
        refused(&admin, &format!("DELETE FROM {partition}"));
    }
    refused(
        &ingest,
        "INSERT INTO statement_closings (month, as_of, last_batch, unseen_batches) VALUES (now(), 1, 1, '{}')",
    );
    refused(&ingest, "INSERT INTO audit_log (actor, action, subject) VALUES ('eve', 'a', 's')");
    // Once more, after the migrations: nothing changes.
    let privileges = "SELECT relname || coalesce(relacl::text, '') FROM pg_class ORDER BY 1";
    let before = service.database.lines(privileges);
    service.set("DATABASE_URL", &superuser);
    service.done(&apply);
    assert_eq!(service.database.lines(privileges), before);
}

#[test]
fn a_service_that_ran_with_one_role_gets_four() {
    let roles = Roles::new();
    let mut service = Service::new(1);
    let (superuser, single) = (service.database.url.clone(), format!("{}_single", roles.prefix()));
    // As if one ordinary role had created everything.
    service.database.execute(&format!(
        "CREATE ROLE {single} LOGIN; GRANT CREATE ON SCHEMA public TO {single}; DO $$ DECLARE command text; BEGIN \
         FOR command IN SELECT format('ALTER TABLE %s OWNER TO {single}', oid::regclass) FROM pg_class \
             WHERE relnamespace IN ('public'::regnamespace, 'bi'::regnamespace) AND relkind IN ('r', 'p', 'v') \
         LOOP EXECUTE command; END LOOP; ALTER SEQUENCE batch_ids OWNER TO {single}; END $$; \
         ALTER SCHEMA bi OWNER TO {single}; ALTER FUNCTION summarize_newest OWNER TO {single}"
    ));
    service.set("DATABASE_URL", &roles.url(&service.database, "single"));
    let mut ingest = service.ingest();
    ingest.wait_ready();
    service.set("DATABASE_URL", &superuser);
    service.done(&["roles", "--apply", "--prefix", roles.prefix()]);
    let foreign = format!(
        "SELECT relname FROM pg_class WHERE relnamespace IN ('public'::regnamespace, 'bi'::regnamespace) \
         AND relowner <> '{}_owner'::regrole",
        roles.prefix()
    );
    assert_eq!(service.database.lines(&foreign), Vec::<String>::new());
    // The process that runs with the former role goes on; others have their own.
    service.send(&[Message::json("product.viewed", json!({"productId":"tea"}))]);
    service.wait_all_consumed();
    drop(ingest);
    service.set("DATABASE_URL", &roles.url(&service.database, "owner"));
    service.done(&["migrate"]);
    service.done(&["maintain"]);
    service.set("DATABASE_URL", &roles.url(&service.database, "ingest"));
    let _ingest = service.ingest();
    service.send(&[Message::json("product.viewed", json!({"productId":"cup"}))]);
    service.wait_all_consumed();
    service.database.execute(&format!("DROP OWNED BY {single}; DROP ROLE {single}"));
}

#[test]
fn the_sql_is_printed_and_wrong_options_are_refused() {
    let service = Service::on(Database::empty(), 1);
    let roles = Roles::new();
    let script = service.done(&["roles", "--print", "--prefix", roles.prefix()]);
    assert!(!script.contains("PREFIX") && script.starts_with("BEGIN;\n") && script.ends_with("COMMIT;\n"), "{script}");
    service.database.execute(&script);
    let name = format!("{}_reader", roles.prefix());
    assert_eq!(service.database.lines(&format!("SELECT '{name}'::regrole")), [name]);
    for (arguments, says) in [
        (&["roles"][..], "--print|--apply"),
        (&["roles", "--apply", "--prefix", "a-b"], "must be 1 to 50 lowercase letters"),
        (&["roles", "--apply", "--password-file", "boss=x"], "must be one of owner, ingest, admin, reader"),
        (&["roles", "--apply", "--password-file", "owner=/no/such/file"], "/no/such/file"),
    ] {
        let (done, said) = service.job(arguments);
        assert!(!done && said.contains(says), "{arguments:?}: {said}");
    }
}

#[test]
fn a_password_in_a_file_can_be_replaced_while_processes_run() {
    let server = Server::start();
    server.require_passwords();
    let mut service = Service::on(Database::migrated_on(&server), 1);
    let superuser = service.database.url.clone();
    let file = std::env::temp_dir().join(format!("password-{}", unique_name()));
    let option = format!("reader={}", file.display());
    // The roles are gone with their server.
    let reader = superuser.replace("analytics@", "analytics_reader@");
    let set_password = |service: &mut Service, password: &str| {
        std::fs::write(&file, format!("{password}\n")).unwrap();
        service.set("DATABASE_URL", &superuser);
        service.done(&["roles", "--apply", "--password-file", &option]);
    };
    set_password(&mut service, "it's the first");
    service.set("DATABASE_URL", &reader);
    service.set("DATABASE_PASSWORD_FILE", file.to_str().unwrap());
    let api = service.api();
    let wrong = service.job(&["offsets", "show"]);
    assert!(wrong.0, "{}", wrong.1);

    set_password(&mut service, "and a second one");
    let sessions = "FROM pg_stat_activity WHERE usename = 'analytics_reader'";
    service.database.execute(&format!("SELECT pg_terminate_backend(pid) {sessions}"));
    wait::until("a new session", PATIENCE, || {
        (service.database.number(&format!("SELECT count(*) {sessions}")) > Some(0)).then_some(())
    });
    wait::until("readiness", PATIENCE, || api.is_ready().then_some(()));
    assert_eq!(Client::admin(&api.address).answer("/api/proofs", &[]).status(), 200);
    // Nobody gets in without the password.
    std::fs::write(&file, "wrong").unwrap();
    service.database.execute(&format!("SELECT pg_terminate_backend(pid) {sessions}"));
    wait::until("it not to be ready", PATIENCE, || (!api.is_ready()).then_some(()));
    assert!(!api.log().contains("second one"));
    std::fs::remove_file(&file).unwrap();
}
