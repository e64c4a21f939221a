//! The dashboard: serves its pages and their files, which are embedded in the program.
//!
//! All pages are one template; the script in it shows what the path names, and reads the numbers from
//! the API with the user's token. So pages themselves are public, and hold nothing secret.

mod files;
pub(crate) mod settings;

use std::io;
use std::sync::Arc;

use actix_web::http::header::{
    ACCEPT_ENCODING, AcceptEncoding, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, Encoding, Header,
    HeaderName, HeaderValue, REFERRER_POLICY, VARY,
};
use actix_web::middleware::from_fn;
use actix_web::web::{Bytes, Data, Path, ServiceConfig, redirect, resource};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use analytics_process::probes::read;
use chrono::Weekday;
use serde::Serialize;

use crate::middleware::conditional;
use crate::problem::Problem;
use crate::routes::only;
use crate::settings::{ApiSettings, Mode};
use files::Files;

/// The paths of pages, below the base path.
const PAGES: [&str; 9] = [
    "/",
    "/sellers/{vendor}",
    "/sellers/{vendor}/reconcile",
    "/sellers/{vendor}/statements",
    "/sellers/{vendor}/statements/{month}",
    "/months",
    "/events",
    "/dead-letters",
    "/proofs",
];
/// The paths of pages for other sites, below the base path.
const EMBEDDED: [&str; 2] = ["/embed/seller", "/embed/widget/{name}"];

/// What pages may do, except who may embed them: nothing but what this server serves.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
                      connect-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors";
/// What devices pages may use: none.
const PERMISSIONS: &str = "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), \
                           magnetometer=(), microphone=(), midi=(), payment=(), usb=()";

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The dashboard, as this process serves it. Clones share it.
#[derive(Clone)]
pub(crate) struct Dashboard(Arc<Inner>);

struct Inner {
    page: Bytes,
    /// The policy of pages that no other site may embed, and that of pages for `EMBED_ORIGINS`.
    policies: [String; 2],
    files: Files,
}

/// What the script must know of the settings. Everybody can read it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PageConfig<'a> {
    /// Where the token comes from: `token` (the page sends it) or `gateway`.
    auth: &'static str,
    timezone: &'static str,
    currency: &'static str,
    week_start: &'static str,
    /// Whether admins can use the writing routes.
    writable: bool,
    /// The origins with which embedded pages exchange messages.
    embed_origins: &'a [String],
    version: &'static str,
}

impl Dashboard {
    /// Builds the pages, if they are to be served.
    ///
    /// # Errors
    /// If the files cannot be compressed, which does not happen.
    pub(crate) fn new(settings: &ApiSettings) -> io::Result<Option<Self>> {
        let ApiSettings { dashboard, business, .. } = settings;
        if !dashboard.is_served {
            return Ok(None);
        }
        let files = Files::embedded()?;
        let config = PageConfig {
            auth: if dashboard.gateway.is_some() { "gateway" } else { "token" },
            timezone: business.calendar.name(),
            currency: business.base_currency.code(),
            week_start: match settings.week_start {
                Weekday::Sun => "sunday",
                Weekday::Sat => "saturday",
                _ => "monday",
            },
            writable: settings.mode == Mode::ReadWrite,
            embed_origins: &dashboard.embed_origins,
            version: env!("CARGO_PKG_VERSION"),
        };
        let config = serde_json::to_string(&config).map_err(io::Error::other)?;
        let page = files::index()
            .replace("{{base}}", &escaped(&settings.base_path))
            .replace("{{assets}}", &format!("assets/{}", files.hash))
            .replace("{{config}}", &escaped(&config));
        let ancestors = match dashboard.embed_origins.as_slice() {
            [] => "'none'".to_owned(),
            origins => origins.join(" "),
        };
        let policies = [format!("{POLICY} 'none'"), format!("{POLICY} {ancestors}")];
        Ok(Some(Self(Arc::new(Inner { page: Bytes::from(page), policies, files }))))
    }

    /// Answers with the page. Its compression, if any, is left to the application's middleware: it is
    /// small.
    fn page(&self, is_embedded: bool) -> HttpResponse {
        let [own, embedded] = &self.0.policies;
        let mut answer = HttpResponse::Ok();
        answer
            .content_type("text/html; charset=utf-8")
            .insert_header((CACHE_CONTROL, "no-cache"))
            .insert_header((REFERRER_POLICY, "no-referrer"))
            .insert_header((PERMISSIONS_POLICY, PERMISSIONS))
            .insert_header((CONTENT_SECURITY_POLICY, if is_embedded { embedded.as_str() } else { own.as_str() }));
        if !is_embedded {
            answer.insert_header((OPENER_POLICY, "same-origin")).insert_header((RESOURCE_POLICY, "same-origin"));
        }
        answer.body(self.0.page.clone())
    }

    /// Answers with a file, compressed at the start of the process. An address with the hash of
    /// another version is not found, and that is not remembered: another process may have it.
    fn file(&self, request: &HttpRequest, hash: &str, name: &str) -> HttpResponse {
        let found = self.0.files.get(name).filter(|_| hash == self.0.files.hash);
        let Some(file) = found else {
            let mut answer = Problem::route_not_found().error_response();
            answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            return answer;
        };
        let mut answer = HttpResponse::Ok();
        answer
            .content_type(file.content_type)
            .insert_header((REFERRER_POLICY, "no-referrer"))
            .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"))
            .insert_header((CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"))
            .insert_header((RESOURCE_POLICY, "same-origin"))
            .insert_header((VARY, ACCEPT_ENCODING.as_str()));
        match &file.gzip {
            Some(gzip) if accepts_gzip(request) => answer.insert_header((CONTENT_ENCODING, "gzip")).body(gzip.clone()),
            _ => answer.body(file.plain.clone()),
        }
    }
}

fn accepts_gzip(request: &HttpRequest) -> bool {
    let offered = [Encoding::gzip(), Encoding::identity()];
    let accepted = AcceptEncoding::parse(request).ok().and_then(|accepted| accepted.negotiate(offered.iter()));
    accepted == Some(Encoding::gzip())
}

/// Escapes text for HTML, also for the value of an attribute.
pub(crate) fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#39;")
}

/// Adds the pages and their files to the application, or without a dashboard the redirects from `/`
/// and the base path to the documentation. With a gateway, the API accepts its tokens in any case.
pub(crate) fn serve(config: &mut ServiceConfig, dashboard: Option<&Dashboard>, settings: &ApiSettings) {
    if let Some(gateway) = &settings.dashboard.gateway {
        config.app_data(Data::new(gateway.clone()));
    }
    let base = settings.base_path.as_str();
    let Some(dashboard) = dashboard else {
        let docs = format!("{base}/api/docs/");
        config.service(redirect("/", docs.clone()));
        if !base.is_empty() {
            config.service(redirect(base.to_owned(), docs.clone())).service(redirect(format!("{base}/"), docs));
        }
        return;
    };
    let mut page = |path: &str, is_embedded: bool| {
        let dashboard = dashboard.clone();
        let answer = move || std::future::ready(dashboard.page(is_embedded));
        config.service(only("GET, HEAD".into(), resource(path)).route(read().to(answer)).wrap(from_fn(conditional)));
    };
    PAGES.iter().for_each(|path| page(&format!("{base}{path}"), false));
    EMBEDDED.iter().for_each(|path| page(&format!("{base}{path}"), true));
    if !base.is_empty() {
        page(base, false);
        config.service(redirect("/", format!("{base}/")));
    }
    let files = resource(format!("{base}/assets/{{hash}}/{{name:.*}}")).app_data(Data::new(dashboard.clone()));
    config.service(only("GET, HEAD".into(), files).route(read().to(file)));
}

async fn file(request: HttpRequest, path: Path<(String, String)>, dashboard: Data<Dashboard>) -> HttpResponse {
    let (hash, name) = path.into_inner();
    dashboard.file(&request, &hash, &name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_for_attributes() {
        assert_eq!(escaped(r#"{"a":"<&'>"}"#), "{&quot;a&quot;:&quot;&lt;&amp;&#39;&gt;&quot;}");
    }
}
