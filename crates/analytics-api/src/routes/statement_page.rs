//! `GET /api/sellers/{vendor}/statements/{month}/page`: a statement as a page that prints well.

use std::fmt::Write as _;

use actix_web::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use analytics_core::money::Currency;
use analytics_core::statement::{Checked, Figures, PastRange, Rates};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::SecondsFormat;
use sha2::{Digest as _, Sha256};
use shared_auth::Principal;

use super::statements::find;
use crate::as_of::AS_OF;
use crate::dashboard::escaped;
use crate::database::Database;
use crate::problem::{Failures, NotFound, Problem, Unchanged};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;color:#111;max-width:52rem;margin:2rem auto;padding:0 1rem}\
    table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}caption{text-align:left;font-weight:600;margin:1rem 0 .25rem}\
    th,td{padding:.2rem .5rem;text-align:right;border-bottom:1px solid #ddd}th:first-child,td:first-child{text-align:left}\
    tfoot td{font-weight:600;border-top:2px solid #111}dt{color:#555}dd{margin:0 0 .4rem;overflow-wrap:anywhere}\
    thead{display:table-header-group}tr{break-inside:avoid}@media print{body{margin:0;max-width:none}}";

/// Get the statement of a seller's month as a page
///
/// An HTML page that prints well, with the numbers of the JSON and of the CSV.
#[utoipa::path(
    get, path = "/api/sellers/{vendor}/statements/{month}/page", operation_id = "getStatementPage", tag = "statements",
    security(("bearer" = [])),
    params(
        ("vendor" = String, Path, description = "The seller's id, URL-encoded"),
        ("month" = String, Path, description = "Such as `2026-10`"),
        ("version" = Option<i32>, Query, description = "The version; default the latest", minimum = 1),
    ),
    responses((status = 200, description = "The page", content_type = "text/html", body = String), Unchanged, Failures, NotFound)
)]
pub(crate) async fn show(
    principal: Principal,
    path: Path<(String, String)>,
    request: HttpRequest,
    database: Data<Database>,
) -> Result<HttpResponse, Problem> {
    let (_, checked) = find(&principal, &path, &request, &database).await?;
    let page = page(&checked).map_err(|_| Problem::internal_error())?;
    let style = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!("default-src 'none'; style-src 'sha256-{style}'; frame-ancestors 'none'");
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((CONTENT_SECURITY_POLICY, policy))
        .insert_header((AS_OF, checked.statement.as_of.to_string()))
        .body(page))
}

fn page(checked: &Checked) -> Result<String, PastRange> {
    let own = &checked.statement;
    let (vendor, month, version) = (escaped(own.vendor.as_str()), own.month, own.version);
    let time = |time: chrono::DateTime<chrono::Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Statement {month} of {vendor}</title>\
         <style>{STYLE}</style><h1>Statement of {month}</h1><p>Seller {vendor}, version {version}, closed {}, days in {}.</p>\
         <p>Net is gross less refunds, with adjustments. It is not a payout: commission, tax and shipping are not in it.</p>",
        time(own.closed_at),
        escaped(&own.timezone)
    );
    let mut add = |text: String| page.push_str(&text);
    for (currency, days) in &own.currencies {
        add(format!("<table data-currency=\"{currency}\"><caption>{currency}</caption><thead><tr>"));
        for column in ["Day", "Orders", "Units", "Gross", "Refunds", "Adjustments", "Net"] {
            add(format!("<th scope=\"col\">{column}"));
        }
        add("<tbody>".into());
        for (day, figures) in days {
            add(format!("<tr><td>{day}{}", cells(*currency, *figures)?));
        }
        add(format!("<tfoot><tr><td>Sum{}</table>", cells(*currency, Figures::sum(days.values())?)?));
    }
    if let Some(restatement) = &own.restatement {
        add(format!(
            "<table><caption>What arrived after version {} was closed</caption><thead><tr><th scope=\"col\">Event\
             <th scope=\"col\">Type<th scope=\"col\">Happened<th scope=\"col\">Change of net<tbody>",
            restatement.of
        ));
        for late in &restatement.late {
            let id = late.event.map_or_else(|| "-".to_owned(), |id| id.to_string());
            let (kind, at, amount) =
                (escaped(&late.event_type), time(late.occurred_at), money(late.currency, late.delta));
            add(format!("<tr><td>{id}<td>{kind}<td>{at}<td>{amount} {}", late.currency));
        }
        add("</table>".into());
    }
    if let Some(rates) = &own.rates {
        add("<h2>Conversion and ratings</h2><dl>".into());
        for (name, value) in besides_money(rates) {
            add(format!("<dt>{name}<dd>{value}"));
        }
        add("</dl>".into());
    }
    add("<h2>How sure it is</h2><dl>".into());
    let proof = own.proved_as_of.map_or_else(|| "none".to_owned(), |number| format!("up to batch {number}"));
    let mut entries = vec![
        ("Includes everything up to batch", own.as_of.to_string()),
        ("Proved", proof),
        ("Open dead letters of the month", own.open_dead_letters.to_string()),
    ];
    entries.extend(own.gaps.iter().map(|gap| ("Gap", gap.clone())));
    entries.push(("Digest", checked.digest.to_string()));
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
    entries.push(("Digest of the statement before", or_none(own.previous.map(|digest| digest.to_string()))));
    entries.push(("Signature", or_none(checked.signature.map(|bytes| BASE64_STANDARD.encode(bytes)))));
    entries.push(("By the key", or_none(own.key.map(|key| key.to_string()))));
    for (name, value) in entries {
        add(format!("<dt>{name}<dd>{}", escaped(&value)));
    }
    add("</dl></html>".into());
    Ok(page)
}

/// Conversion and ratings: what each is called, and its HTML.
fn besides_money(rates: &Rates) -> Vec<(String, String)> {
    // Both values are hundredths, of a percent and of a star.
    let hundredths = |value: Option<i64>| value.map_or_else(|| "none".to_owned(), |value| decimal(value, 2));
    let (orders, views) = (rates.conversion.numerator, rates.conversion.denominator);
    let (count, sum) = (rates.ratings.count(), rates.ratings.sum());
    let number = |number: i64| format!("<data value=\"{number}\">{number}</data>");
    let mut entries = vec![
        ("Conversion, in percent".to_owned(), hundredths(rates.conversion_value())),
        ("Orders".to_owned(), number(orders)),
        ("Views".to_owned(), number(views)),
        ("Average of the ratings received, in stars".to_owned(), hundredths(rates.rating_value())),
        ("Ratings received".to_owned(), number(count)),
        ("Sum of their stars".to_owned(), number(sum)),
    ];
    let of_stars = (1_u8..=5).zip(rates.ratings.0).rev();
    entries.extend(of_stars.map(|(stars, ratings)| (format!("Ratings of {stars} stars"), number(ratings))));
    entries
}

fn cells(currency: Currency, figures: Figures) -> Result<String, PastRange> {
    let net = figures.net()?;
    let Figures { orders, units, gross, refunds, adjustments } = figures;
    let mut cells = format!("<td>{orders}<td>{units}");
    for amount in [gross, refunds, adjustments, net] {
        // Writing to a String does not fail.
        let _written = write!(cells, "<td>{}", money(currency, amount));
    }
    Ok(cells)
}

/// Writes an amount in major units. Its `value` is in minor units.
fn money(currency: Currency, amount: i64) -> String {
    decimal(amount, usize::try_from(currency.minor_digits()).unwrap_or(0))
}

/// Writes a whole number with its last digits after a point. Its `value` is the whole number.
fn decimal(number: i64, digits: usize) -> String {
    let (sign, minor) =
        (if number < 0 { "-" } else { "" }, format!("{:0>width$}", number.unsigned_abs(), width = digits + 1));
    let (major, rest) = minor.split_at(minor.len() - digits);
    let point = if digits == 0 { "" } else { "." };
    format!("<data value=\"{number}\">{sign}{major}{point}{rest}</data>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_digits_of_their_currency() {
        for (code, amount, shown) in [
            ("USD", 5, "0.05"),
            ("USD", -12_345, "-123.45"),
            ("JPY", 70, "70"),
            ("KWD", 1_000, "1.000"),
            ("USD", 0, "0.00"),
        ] {
            let money = money(Currency::parse(code).unwrap(), amount);
            assert_eq!(money, format!("<data value=\"{amount}\">{shown}</data>"));
        }
    }
}
