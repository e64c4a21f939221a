//! Pages of lists, by keyset cursor.

use std::borrow::Cow;

use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::as_of;

/// A page of a list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page<T> {
    items: Vec<T>,
    /// Value of `cursor` for the next page; null on the last page.
    next_cursor: Option<String>,
}

/// Written by hand, because the derived schema of a generic type repeats the schema of the items
/// instead of referring to it.
impl<T: ToSchema> PartialSchema for Page<T> {
    fn schema() -> RefOr<Schema> {
        let items = ArrayBuilder::new().items(Ref::from_schema_name(T::name()));
        let cursor = ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
            .description(Some("Value of `cursor` for the next page; null on the last page."));
        let page = ObjectBuilder::new().property("asOf", as_of::schema()).required("asOf").property("items", items);
        page.property("nextCursor", cursor).required("items").into()
    }
}

impl<T: ToSchema> ToSchema for Page<T> {
    fn name() -> Cow<'static, str> {
        format!("{}Page", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
}

impl<T: Serialize> Page<T> {
    /// Creates a page of at most `limit` items. `found` has one row more than `limit` if there is a
    /// next page, which begins after the `key` of this page's last row.
    pub(crate) fn of<F>(found: Vec<F>, limit: u16, key: impl Fn(&F) -> String, item: impl Fn(F) -> T) -> Self {
        let last = usize::from(limit).checked_sub(1).and_then(|last| found.get(last));
        let next_cursor = last.filter(|_| found.len() > usize::from(limit)).map(|last| encode(&key(last)));
        Self { items: found.into_iter().take(limit.into()).map(item).collect(), next_cursor }
    }

    /// Creates a page. `next` is the key after which the next page begins, if there is one.
    pub(crate) fn with_next(items: Vec<T>, next: Option<String>) -> Self {
        Self { items, next_cursor: next.as_deref().map(encode) }
    }

    /// Creates the only page of a complete list.
    pub(crate) const fn only(items: Vec<T>) -> Self {
        Self { items, next_cursor: None }
    }

    /// Returns the response, with a link to the next page, and with the number of the last batch that
    /// the page includes.
    pub(crate) fn answer(&self, request: &HttpRequest, as_of: i64) -> HttpResponse {
        as_of::numbered(linked(request, self.next_cursor.as_deref()), as_of, self)
    }
}

/// Returns the cursor of a page that begins after this key.
pub(crate) fn encode(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(key)
}

/// Returns the beginning of a response that is a page, with a `Link` header to the next page, if
/// there is one. The link is the same request with another cursor. It is relative, so that it works
/// behind any proxy.
pub(crate) fn linked(request: &HttpRequest, next: Option<&str>) -> HttpResponseBuilder {
    let mut answer = HttpResponse::Ok();
    if let Some(next) = next {
        let kept = request.query_string().split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("cursor="));
        let query: Vec<&str> = kept.collect();
        let separator = if query.is_empty() { "" } else { "&" };
        let link = format!("<?{}{separator}cursor={next}>; rel=\"next\"", query.join("&"));
        answer.insert_header(("Link", link));
    }
    answer
}
