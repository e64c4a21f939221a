//! Tests of the dashboard as browsers and proxies receive it: pages, their files, and the headers
//! that protect them.

use analytics_testkit::service::Service;
use serde_json::{Value, json};

use crate::http::{Answer, ask, send};

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.clone()).unwrap()
}

/// Returns the addresses of files in a page, relative to the base path.
fn files(page: &str) -> Vec<String> {
    let quoted = page.split('"').filter(|text| text.starts_with("assets/"));
    quoted.map(str::to_owned).collect()
}

/// Returns what a page says about the settings.
fn config(page: &str) -> Value {
    let (_, rest) = page.split_once("-config\" content=\"").unwrap();
    let escaped = rest.split_once('"').unwrap().0;
    serde_json::from_str(&escaped.replace("&quot;", "\"").replace("&amp;", "&")).unwrap()
}

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
                      connect-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors ";

#[test]
fn every_page_is_served_at_its_path_below_the_base_path() {
    for base in ["", "/analytics"] {
        let mut service = Service::new(1);
        service.set("API_BASE_PATH", base);
        let api = service.api();
        let get = |path: &str| send(&api.address, "GET", path, "", "");
        let first = get(&format!("{base}/"));
        assert_eq!(first.status, "200 OK");
        let page = text(&first);
        assert!(page.contains(&format!("<base href=\"{base}/\">")), "{page}");
        assert!(!page.contains("{{"), "{page}");
        for path in [
            "/sellers/v-1",
            "/sellers/a%2Fb",
            "/sellers/a%2Fb/reconcile",
            "/sellers/a%2Fb/statements",
            "/sellers/a%2Fb/statements/2026-10",
            "/months",
            "/events",
            "/dead-letters",
            "/proofs",
            "/embed/seller",
            "/embed/widget/kpi",
        ] {
            let answer = get(&format!("{base}{path}?period=7d"));
            assert_eq!((answer.status.as_str(), text(&answer)), ("200 OK", page.clone()), "{base}{path}");
        }
        let files = files(&page);
        assert!(files.len() >= 2, "{page}");
        for file in files {
            assert_eq!(get(&format!("{base}/{file}")).status, "200 OK", "{file}");
        }
        for path in ["/sellers", "/sellers/", "/sellers/a/b", "/embed", "/embed/widget", "/assets", "/index.html", "/x"]
        {
            let answer = get(&format!("{base}{path}"));
            assert_eq!(answer.status, "404 Not Found", "{base}{path}");
            assert_eq!(answer.headers["content-type"], "application/problem+json", "{base}{path}");
        }
        let post = send(&api.address, "POST", &format!("{base}/events"), "", "{}");
        assert_eq!((post.status.as_str(), post.headers["allow"].as_str()), ("405 Method Not Allowed", "GET, HEAD"));
        assert_eq!(get(&format!("{base}/api/docs/")).status, "200 OK");
        if !base.is_empty() {
            assert_eq!(text(&get(base)), page);
            let root = get("/");
            assert_eq!((&root.status[..3], root.headers["location"].as_str()), ("307", "/analytics/"));
            assert_eq!(get("/events").status, "404 Not Found");
        }
    }
}

#[test]
fn pages_are_revalidated_and_files_kept_for_a_year() {
    let service = Service::new(1);
    let api = service.api();
    let page = ask(&api.address, "GET", "/", "");
    assert_eq!(page.headers["cache-control"], "no-cache");
    let known = format!("If-None-Match: {}\r\n", page.headers["etag"]);
    let again = ask(&api.address, "GET", "/", &known);
    assert_eq!((again.status.as_str(), again.body.len()), ("304 Not Modified", 0));
    assert_eq!(again.headers["content-security-policy"], page.headers["content-security-policy"]);
    let script = files(&text(&page)).into_iter().find(|file| file.ends_with("main.js")).unwrap();
    let plain = ask(&api.address, "GET", &format!("/{script}"), "");
    assert_eq!(plain.headers["cache-control"], "public, max-age=31536000, immutable");
    assert_eq!(plain.headers["content-type"], "text/javascript; charset=utf-8");
    assert!(!plain.headers.contains_key("content-encoding"));
    let gzip = "Accept-Encoding: gzip, deflate, br, zstd\r\n";
    let compressed = ask(&api.address, "GET", &format!("/{script}"), gzip);
    assert_eq!(compressed.headers["content-encoding"], "gzip");
    assert_eq!(compressed.headers["vary"].to_lowercase(), "accept-encoding");
    assert!(compressed.body.starts_with(&[0x1f, 0x8b]) && compressed.body.len() < plain.body.len());
    let head = ask(&api.address, "HEAD", &format!("/{script}"), gzip);
    assert_eq!((head.body.len(), &head.headers["content-length"]), (0, &compressed.body.len().to_string()));
    for encoding in ["gzip;q=0", "identity", "deflate"] {
        let answer = ask(&api.address, "GET", &format!("/{script}"), &format!("Accept-Encoding: {encoding}\r\n"));
        let sent = answer.headers.get("content-encoding").map(String::as_str);
        assert!(answer.status == "200 OK" && sent != Some("gzip"), "{encoding}: {sent:?}");
    }
    // A file of another version may be that of another process: its absence is not remembered.
    let name = script.rsplit_once('/').unwrap().1;
    for path in [
        format!("/assets/0000000000000000/{name}"),
        format!("/{script}x"),
        format!("/{script}/../../../../Cargo.toml"),
        script.replace(name, "..%2f..%2findex.html").replace("assets", "/assets"),
        script.replace(name, "%2e%2e/%2e%2e/index.html").replace("assets", "/assets"),
        script.replace(name, "/etc/passwd").replace("assets", "/assets"),
    ] {
        let answer = ask(&api.address, "GET", &path, "");
        assert_eq!(answer.status, "404 Not Found", "{path}");
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{path}");
        if path.starts_with("/assets/") && !path.contains("/../") {
            assert_eq!(answer.headers["cache-control"], "no-store", "{path}");
        }
    }
}

#[test]
fn pages_may_do_nothing_but_what_they_need() {
    let mut service = Service::new(1);
    for (origins, ancestors) in [
        ("", "'none'"),
        ("https://Portal.example.com, http://localhost:3000", "https://portal.example.com http://localhost:3000"),
    ] {
        service.set("EMBED_ORIGINS", origins);
        let api = service.api();
        for path in ["/", "/sellers/v-1", "/embed/seller", "/embed/widget/kpi"] {
            let answer = ask(&api.address, "GET", path, "");
            let is_embedded = path.starts_with("/embed/");
            let policy = format!("{POLICY}{}", if is_embedded { ancestors } else { "'none'" });
            assert_eq!(answer.headers["content-security-policy"], policy, "{path}");
            assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
            assert_eq!(answer.headers["referrer-policy"], "no-referrer", "{path}");
            assert!(answer.headers["permissions-policy"].contains("camera=()"), "{path}");
            // A page in a frame of another site must not be kept apart from it.
            assert_eq!(answer.headers.contains_key("cross-origin-opener-policy"), !is_embedded, "{path}");
            assert_eq!(answer.headers.contains_key("cross-origin-resource-policy"), !is_embedded, "{path}");
        }
        for file in files(&text(&ask(&api.address, "GET", "/", ""))) {
            let answer = ask(&api.address, "GET", &format!("/{file}"), "");
            assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{file}");
            assert_eq!(answer.headers["cross-origin-resource-policy"], "same-origin", "{file}");
        }
        assert_eq!(ask(&api.address, "GET", "/api/me", "").headers["x-content-type-options"], "nosniff");
    }
}

#[test]
fn pages_know_the_settings_that_they_need_and_no_others() {
    let mut service = Service::on(analytics_testkit::database::Database::empty(), 1);
    for (name, value) in [
        ("BUSINESS_TIMEZONE", "Europe/Berlin"),
        ("BASE_CURRENCY", "EUR"),
        ("WEEK_START", "Sunday"),
        ("API_MODE", "read-write"),
        ("DASHBOARD_AUTH", "gateway"),
        ("EMBED_ORIGINS", "https://portal.example.com"),
    ] {
        service.set(name, value);
    }
    service.done(&["migrate"]);
    let api = service.api();
    let page = text(&ask(&api.address, "GET", "/", ""));
    let expected = json!({
        "auth": "gateway", "timezone": "Europe/Berlin", "currency": "EUR", "weekStart": "sunday", "writable": true,
        "embedOrigins": ["https://portal.example.com"], "version": env!("CARGO_PKG_VERSION"),
    });
    assert_eq!(config(&page), expected);
}
