//! Tokens that a gateway adds: where they are accepted, which one counts, and for which requests.

use actix_web::FromRequest as _;
use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::test::TestRequest;
use actix_web::web::Data;
use jsonwebtoken::Header;
use serde_json::json;
use shared_auth::{Denied, Gateway, Keys, Principal};

use crate::tokens::{SECRET, admin, sign};

/// What is answered: the user of the token that counted, or a denial.
#[derive(Debug, PartialEq)]
enum Answer {
    User(&'static str),
    Unauthorized,
    CrossSite,
}

/// A method, headers, and what is answered.
type Case<'a> = (Method, &'a [(&'a str, &'a str)], Answer);

use Answer::{CrossSite, Unauthorized, User};

fn gateway() -> Gateway {
    Gateway::default().header("X-Token").unwrap().cookie("session").unwrap()
}

/// Sends a request; `{a}` and so on in headers are tokens of users of these names, `{bad}` is none.
fn ask(gateway: Option<Gateway>, method: Method, headers: &[(&str, &str)]) -> Result<String, Denied> {
    let verifier = Keys::default().secret(SECRET).unwrap().verifier().unwrap();
    let mut request = TestRequest::default().method(method).app_data(Data::new(verifier));
    if let Some(gateway) = gateway {
        request = request.app_data(Data::new(gateway));
    }
    for (name, value) in headers {
        let mut value = (*value).replace("{bad}", "a.b.c");
        for user in ["a", "b", "c"] {
            let token = sign(&Header::default(), &admin(json!({ "userId": user })), None);
            value = value.replace(&format!("{{{user}}}"), &token);
        }
        request = request.append_header((*name, value));
    }
    Principal::from_request(&request.to_http_request(), &mut Payload::None)
        .into_inner()
        .map(|principal| principal.user.unwrap())
}

fn check(cases: &[Case<'_>], gateway: fn() -> Option<Gateway>) {
    for (method, headers, expected) in cases {
        let got = ask(gateway(), method.clone(), headers);
        let expected = match expected {
            User(user) => Ok((*user).to_owned()),
            Unauthorized => Err(Denied::Unauthorized),
            CrossSite => Err(Denied::CrossSite),
        };
        assert_eq!(got, expected, "{method} {headers:?}");
    }
}

#[test]
fn the_first_place_with_a_token_counts() {
    let cases: &[Case<'_>] = &[
        (Method::GET, &[("authorization", "Bearer {a}")], User("a")),
        (Method::GET, &[("x-token", "{b}")], User("b")),
        (Method::GET, &[("cookie", "session={c}")], User("c")),
        (Method::GET, &[("cookie", "other=1; session=\"{c}\"; last=2")], User("c")),
        (Method::GET, &[("cookie", "other=1"), ("cookie", "session={c}")], User("c")),
        (Method::GET, &[], Unauthorized),
        (Method::GET, &[("cookie", "Session={c}")], Unauthorized),
        (Method::GET, &[("cookie", "xsession={c}")], Unauthorized),
        // `Authorization` wins, also with an invalid token; another scheme in it is the gateway's.
        (Method::GET, &[("authorization", "Bearer {a}"), ("x-token", "{b}"), ("cookie", "session={c}")], User("a")),
        (Method::GET, &[("authorization", "Bearer {bad}"), ("x-token", "{b}")], Unauthorized),
        (Method::GET, &[("authorization", "Basic dTpw"), ("x-token", "{b}")], User("b")),
        // The header wins over the cookie, unless it is empty.
        (Method::GET, &[("x-token", "{b}"), ("cookie", "session={c}")], User("b")),
        (Method::GET, &[("x-token", "{bad}"), ("cookie", "session={c}")], Unauthorized),
        (Method::GET, &[("x-token", " "), ("cookie", "session={c}")], User("c")),
        // Of several, none counts: who added which is not known.
        (Method::GET, &[("x-token", "{a}"), ("x-token", "{b}")], Unauthorized),
        (Method::GET, &[("cookie", "session={a}; session={b}")], Unauthorized),
        (Method::GET, &[("cookie", "session={a}"), ("cookie", "session={a}")], Unauthorized),
        // An identity that is not signed is none.
        (Method::GET, &[("x-token", "a")], Unauthorized),
        (Method::GET, &[("x-forwarded-user", "a")], Unauthorized),
    ];
    check(cases, || Some(gateway()));
}

#[test]
fn without_a_gateway_only_authorization_counts() {
    let cases: &[Case<'_>] = &[
        (Method::GET, &[("authorization", "Bearer {a}"), ("cookie", "session={c}")], User("a")),
        (Method::GET, &[("x-token", "{b}"), ("cookie", "session={c}")], Unauthorized),
        (Method::POST, &[("cookie", "session={c}"), ("x-requested-with", "dashboard")], Unauthorized),
        (Method::POST, &[("authorization", "Bearer {a}"), ("sec-fetch-site", "cross-site")], User("a")),
    ];
    check(cases, || None);
    let of_header = || Some(Gateway::default().header("X-Token").unwrap());
    check(&[(Method::GET, &[("cookie", "session={c}")], Unauthorized)], of_header);
    let of_cookie = || Some(Gateway::default().cookie("session").unwrap());
    check(&[(Method::GET, &[("x-token", "{b}")], Unauthorized)], of_cookie);
}

#[test]
fn a_gateways_token_counts_only_for_requests_of_own_pages() {
    let (own, other) = (("origin", "https://analytics.example"), ("origin", "https://evil.example"));
    let host = ("host", "analytics.example");
    let asked = ("x-requested-with", "dashboard");
    let site = |site: &'static str| ("sec-fetch-site", site);
    for token in [("cookie", "session={a}"), ("x-token", "{a}")] {
        let cases: &[Case<'_>] = &[
            // What changes something needs the header and, where a browser says so, the own origin.
            (Method::POST, &[token, asked], User("a")),
            (Method::POST, &[token, asked, site("same-origin")], User("a")),
            (Method::POST, &[token, asked, site("same-origin"), own, ("host", "10.0.0.1:8080")], User("a")),
            (Method::POST, &[token, asked, own, host], User("a")),
            (Method::DELETE, &[token, asked, site("same-origin")], User("a")),
            (Method::POST, &[token], CrossSite),
            (Method::POST, &[token, site("same-origin")], CrossSite),
            (Method::POST, &[token, ("x-requested-with", "XMLHttpRequest")], CrossSite),
            (Method::POST, &[token, asked, site("same-site")], CrossSite),
            (Method::POST, &[token, asked, site("cross-site")], CrossSite),
            (Method::POST, &[token, asked, site("cross-site"), ("sec-fetch-mode", "navigate")], CrossSite),
            (Method::POST, &[token, asked, site("cross-site"), own, host], CrossSite),
            (Method::POST, &[token, asked, other, host], CrossSite),
            (Method::POST, &[token, asked, ("origin", "null"), host], CrossSite),
            (Method::POST, &[token, asked, own], CrossSite),
            (Method::DELETE, &[token, site("cross-site")], CrossSite),
            (Method::PUT, &[token], CrossSite),
            // Reads do not need the header; a link from elsewhere may lead to one.
            (Method::GET, &[token, site("same-origin")], User("a")),
            (Method::GET, &[token, site("none"), ("sec-fetch-mode", "navigate")], User("a")),
            (Method::GET, &[token, site("cross-site"), ("sec-fetch-mode", "navigate")], User("a")),
            (Method::GET, &[token, site("cross-site"), ("sec-fetch-mode", "no-cors")], CrossSite),
            (Method::GET, &[token, site("cross-site"), ("sec-fetch-mode", "cors"), other], CrossSite),
            (Method::GET, &[token, site("same-site")], CrossSite),
            (Method::HEAD, &[token, other, host], CrossSite),
            // A token of the page's own is a proof in itself.
            (Method::POST, &[token, ("authorization", "Bearer {b}"), site("cross-site")], User("b")),
        ];
        check(cases, || Some(gateway()));
    }
}

#[test]
fn names_of_headers_and_cookies_are_checked() {
    for name in ["Authorization", "cookie", "Host", "Origin", "a b", "", "a:b"] {
        assert!(Gateway::default().header(name).is_err(), "{name}");
    }
    for name in ["a=b", "a;b", "a b", "", "\u{fc}"] {
        assert!(Gateway::default().cookie(name).is_err(), "{name}");
    }
    assert!(Gateway::default().cookie("__Host-Session").is_ok());
    let request = [("cookie", "__Host-Session={a}")];
    assert_eq!(ask(Some(Gateway::default().cookie("__Host-Session").unwrap()), Method::GET, &request), Ok("a".into()));
}
