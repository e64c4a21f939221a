//! `format=csv`, or `Accept: text/csv`: the items or buckets of an answer, or the numbers of a panel, as
//! CSV (RFC 4180). For `format=ndjson`, or `Accept: application/x-ndjson`, see [`lines`](crate::lines).
//!
//! The rows are made of the JSON that the route answers, so both say the same. Objects become
//! columns such as `counts.order.created`; payloads and arrays stay JSON, in one cell. Cells that a
//! spreadsheet would run as a formula begin with an apostrophe.

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{Accept, CONTENT_DISPOSITION, CONTENT_TYPE, Header, HeaderValue, LINK, Quality};
use actix_web::http::uri::PathAndQuery;
use actix_web::http::{Method, StatusCode, Uri};
use actix_web::middleware::Next;
use actix_web::mime::Mime;
use actix_web::{Error, HttpMessage, ResponseError};
use indexmap::{IndexMap, IndexSet};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use utoipa::openapi::path::{ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{ContentBuilder, OpenApi, RefOr};

use super::whole;
use crate::lines::{AsLines, NDJSON};
use crate::problem::Problem;

/// The media type of CSV.
const CSV: &str = "text/csv";
/// The values of `format`.
const FORMATS: [&str; 3] = ["json", "csv", "ndjson"];

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Csv,
    Lines,
}

/// Whether a request asks for CSV, for routes that have a CSV of their own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AsCsv;

/// A row of an answer, with its fields in the order of the answer.
type Row = IndexMap<String, Box<RawValue>>;

/// An answer that is a list.
#[derive(Deserialize)]
struct List {
    #[serde(alias = "buckets")]
    items: Vec<Row>,
}

/// An answer that is a panel: numbers by name, and lists beside them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Panel {
    metrics: IndexMap<String, Row>,
    revenue_by_currency: Row,
    #[serde(default)]
    top_products: Vec<Row>,
}

impl Panel {
    /// Returns a row for each number and each product, with the part of the panel that has it.
    fn rows(self) -> serde_json::Result<Vec<Row>> {
        let row = |section: &str, name: Option<&str>, fields: Row| {
            let mut row = Row::from([("section".to_owned(), to_raw_value(section)?)]);
            if let Some(name) = name {
                row.insert("name".to_owned(), to_raw_value(name)?);
            }
            row.extend(fields);
            Ok(row)
        };
        let metrics = self.metrics.into_iter().map(|(name, number)| row("metrics", Some(&name), number));
        let currencies = self
            .revenue_by_currency
            .into_iter()
            .map(|(code, value)| row("revenueByCurrency", Some(&code), Row::from([("value".to_owned(), value)])));
        let products = self.top_products.into_iter().map(|product| row("topProducts", None, product));
        metrics.chain(currencies).chain(products).collect()
    }
}

/// Returns the rows of an answer; `None` if it is neither a list nor a panel.
fn rows(body: &[u8]) -> Option<Vec<Row>> {
    let list = serde_json::from_slice(body).map(|list: List| list.items);
    list.or_else(|_| serde_json::from_slice::<Panel>(body)?.rows()).ok()
}

pub(crate) async fn spreadsheet<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let asked = if is_read { take_format(&mut request)? } else { None };
    let accepted = if is_read && asked.is_none() { accepted(&request) } else { Vec::new() };
    let format = asked.or_else(|| accepted.first().copied()).unwrap_or(Format::Json);
    // Then a route without such rows answers what it has.
    let is_json_accepted = accepted.contains(&Format::Json);
    if format == Format::Lines {
        request.extensions_mut().insert(AsLines);
    }
    if format == Format::Csv {
        request.extensions_mut().insert(AsCsv);
    }
    let answer = next.call(request).await?;
    let made = answer.headers().get(CONTENT_TYPE).and_then(|made| made.to_str().ok()).unwrap_or_default();
    let is_made = format == Format::Csv && made.starts_with(CSV);
    if format == Format::Json || is_made || answer.status() != StatusCode::OK {
        return Ok(answer.map_into_boxed_body());
    }
    if format == Format::Lines {
        let is_made = answer.headers().get(CONTENT_TYPE).is_some_and(|made| made == NDJSON);
        let why = "must be json or csv: this answer is not available as NDJSON";
        return if is_made || is_json_accepted {
            Ok(answer.map_into_boxed_body())
        } else {
            Ok(answer.into_response(Problem::invalid_parameter("format", why).error_response()))
        };
    }
    if answer.response().body().size() == BodySize::Stream {
        if is_json_accepted {
            return Ok(answer.map_into_boxed_body());
        }
        return Err(Problem::invalid_parameter("format", "must not be given: this answer is a stream").into());
    }
    let (request, answer) = answer.into_parts();
    let (mut head, body) = answer.into_parts();
    let body = whole(body).await?;
    let rows = match rows(&body) {
        Some(rows) => rows,
        None if is_json_accepted => return Ok(ServiceResponse::new(request, head.set_body(BoxBody::new(body)))),
        None => return Err(Problem::invalid_parameter("format", "must be json: this answer is not a list").into()),
    };
    let csv = written(&rows).map_err(|_| Problem::internal_error())?;
    let headers = head.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8; header=present"));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"analytics.csv\""));
    let link =
        headers.get(LINK).and_then(|link| link.to_str().ok()).map(|link| link.replacen("<?", "<?format=csv&", 1));
    if let Some(link) = link.and_then(|link| HeaderValue::from_str(&link).ok()) {
        headers.insert(LINK, link);
    }
    Ok(ServiceResponse::new(request, head.set_body(BoxBody::new(csv))))
}

/// Returns the forms that the header `Accept` names, the preferred one first. Other media types are
/// passed over, and so is a header that is not valid: such requests get JSON.
fn accepted(request: &ServiceRequest) -> Vec<Format> {
    let Ok(Accept(mut ranges)) = Accept::parse(request) else { return Vec::new() };
    ranges.retain(|range| range.quality > Quality::ZERO);
    let form = |range: &Mime| match range.essence_str() {
        CSV => Some(Format::Csv),
        NDJSON => Some(Format::Lines),
        "application/json" | "application/*" | "*/*" => Some(Format::Json),
        _ => None,
    };
    Accept(ranges).ranked().iter().filter_map(form).collect()
}

/// Takes `format` out of the query, so that routes need not know it.
fn take_format(request: &mut ServiceRequest) -> Result<Option<Format>, Problem> {
    let query = request.query_string();
    let (given, kept): (Vec<&str>, Vec<&str>) =
        query.split('&').partition(|pair| *pair == "format" || pair.starts_with("format="));
    let format = match given.as_slice() {
        [] => return Ok(None),
        ["format=json"] => Format::Json,
        ["format=csv"] => Format::Csv,
        ["format=ndjson"] => Format::Lines,
        _ => return Err(Problem::invalid_parameter("format", "must be json, csv or ndjson, and given only once")),
    };
    let path = match kept.join("&") {
        rest if rest.is_empty() => request.path().to_owned(),
        rest => format!("{}?{rest}", request.uri().path()),
    };
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = path.parse::<PathAndQuery>().ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        request.head_mut().uri = uri;
    }
    Ok(Some(format))
}

/// Writes rows. The columns are those of all rows, in the order in which they first occur.
fn written(rows: &[Row]) -> Result<Vec<u8>, csv::Error> {
    let rows: Vec<IndexMap<String, String>> = rows.iter().map(cells).collect();
    let columns: IndexSet<&str> = rows.iter().flat_map(|row| row.keys().map(String::as_str)).collect();
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    if !columns.is_empty() {
        writer.write_record(&columns)?;
    }
    for row in &rows {
        writer.write_record(columns.iter().map(|column| row.get(*column).map_or("", String::as_str)))?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

/// Returns the cells of a row by their columns.
fn cells(row: &Row) -> IndexMap<String, String> {
    let mut cells = IndexMap::new();
    for (name, value) in row {
        add(&mut cells, name, value);
    }
    cells
}

fn add(cells: &mut IndexMap<String, String>, name: &str, value: &RawValue) {
    // The payload of an event, and what was set by hand, can be anything.
    let fields = if name == "metadata" { None } else { serde_json::from_str::<Row>(value.get()).ok() };
    match fields {
        Some(fields) => fields.iter().for_each(|(field, value)| add(cells, &format!("{name}.{field}"), value)),
        None => drop(cells.insert(name.to_owned(), cell(value.get()))),
    }
}

/// Returns the cell of a JSON value: text without its quotes, nothing for null, else the JSON.
fn cell(json: &str) -> String {
    match serde_json::from_str::<Option<String>>(json) {
        Ok(None) => String::new(),
        Ok(Some(text)) => shown(text),
        Err(_) => json.to_owned(),
    }
}

/// Returns text as a cell: with an apostrophe if a spreadsheet would run it as a formula.
pub(crate) fn shown(text: String) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text }
}

/// Adds the parameter `format` and the media type of CSV to the routes of a document that answer
/// lists, which are objects with items or buckets, or panels, which have numbers by name.
pub(crate) fn describe_csv(document: &mut OpenApi) {
    let schemas = document.components.as_ref().map(|components| components.schemas.clone()).unwrap_or_default();
    for item in document.paths.paths.values_mut() {
        let Some(operation) = item.get.as_mut() else { continue };
        let Some(RefOr::T(answer)) = operation.responses.responses.get_mut("200") else { continue };
        let Some(RefOr::T(json)) = answer.content.get("application/json") else { continue };
        let Some(RefOr::Ref(named)) = &json.schema else { continue };
        let name = named.ref_location.rsplit('/').next().unwrap_or_default();
        if !schemas.get(name).is_some_and(has_rows) {
            continue;
        }
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let csv = ContentBuilder::new().schema(Some(text())).build();
        let has_lines = answer.content.contains_key(NDJSON);
        answer.content.insert(CSV.to_owned(), RefOr::T(csv));
        let format = ParameterBuilder::new()
            .name("format")
            .parameter_in(ParameterIn::Query)
            .description(Some(if has_lines {
                "`json` (the default), `csv` for the items of a page, or `ndjson` for all items, one per line"
            } else {
                "`json` (the default), or `csv` for the items, the buckets or the numbers of a panel alone"
            }))
            .schema(Some(
                text().enum_values(Some(FORMATS.into_iter().filter(|format| has_lines || *format != "ndjson"))),
            ))
            .build();
        operation.parameters.get_or_insert_default().push(RefOr::T(format));
    }
}

fn has_rows(schema: &RefOr<Schema>) -> bool {
    match schema {
        RefOr::T(Schema::Object(object)) => {
            let has = |name| object.properties.contains_key(name);
            has("items") || has("buckets") || (has("metrics") && has("revenueByCurrency"))
        }
        RefOr::T(Schema::AllOf(all)) => all.items.iter().any(has_rows),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn csv(json: &str) -> String {
        String::from_utf8(written(&rows(json.as_bytes()).unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn the_preferred_form_is_that_of_the_header() {
        use Format::{Csv, Json, Lines};
        for (header, expected) in [
            ("text/csv", &[Csv][..]),
            ("Text/CSV; charset=utf-8", &[Csv]),
            ("text/csv, */*;q=0.1", &[Csv, Json]),
            ("application/json, text/csv;q=0.5", &[Json, Csv]),
            ("text/csv;q=0.5, application/json", &[Json, Csv]),
            ("*/*, text/csv", &[Csv, Json]),
            ("text/csv;q=0, application/json", &[Json]),
            ("application/x-ndjson;q=0.9, text/csv;q=0.8", &[Lines, Csv]),
            ("text/html, application/xhtml+xml, */*;q=0.8", &[Json]),
            ("text/html", &[]),
            ("", &[]),
        ] {
            let request = TestRequest::default().insert_header(("accept", header)).to_srv_request();
            assert_eq!(accepted(&request), expected, "{header}");
        }
    }

    #[test]
    fn panels_become_rows_of_their_numbers_and_products() {
        let panel = r#"{"period":"7d","metrics":{"views":{"value":2,"series":[1,1]},"ratings":{"count":0}},
            "revenueByCurrency":{"EUR":5},"topProducts":[{"rank":1,"id":"p","name":"=x","value":5,"series":[]}]}"#;
        let expected = "section,name,value,series,count,rank,id\r\nmetrics,views,2,\"[1,1]\",,,\r\nmetrics,ratings,,,0,,\r\n\
                        revenueByCurrency,EUR,5,,,,\r\ntopProducts,'=x,5,[],,1,p\r\n";
        assert_eq!(csv(panel), expected);
        // What an order added to metrics is no panel.
        assert!(rows(br#"{"metrics":{"total_orders":1}}"#).is_none());
    }

    #[test]
    fn lists_become_rows() {
        for (json, expected) in [
            (r#"{"items":[]}"#, ""),
            (r#"{"items":[{"b":1,"a":"x"},{"a":null,"c":true}]}"#, "b,a,c\r\n1,x,\r\n,,true\r\n"),
            (r#"{"buckets":[{"start":"s","counts":{"order.created":2}}]}"#, "start,counts.order.created\r\ns,2\r\n"),
            (r#"{"items":[{"metadata":{"n": 1.10}}]}"#, "metadata\r\n\"{\"\"n\"\": 1.10}\"\r\n"),
            (r#"{"items":[{"a":"x, \"y\"\r\nz"}]}"#, "a\r\n\"x, \"\"y\"\"\r\nz\"\r\n"),
            (
                r#"{"items":[{"a":"=1+1","b":"-2","c":-2,"d":"@x","e":"\t=1","f":"+1"}]}"#,
                "a,b,c,d,e,f\r\n'=1+1,'-2,-2,'@x,'\t=1,'+1\r\n",
            ),
        ] {
            assert_eq!(csv(json), expected, "{json}");
        }
    }
}
