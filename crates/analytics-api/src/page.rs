//! Pages of lists, by keyset cursor.

use std::borrow::Cow;

use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A page of a list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page<T> {
    items: Vec<T>,
    /// Give it back as `cursor` for the next page; null on the last.
    next_cursor: Option<String>,
}

/// By hand, because the derived schema of a generic type repeats the items' schema instead of naming it.
impl<T: ToSchema> PartialSchema for Page<T> {
    fn schema() -> RefOr<Schema> {
        let items = ArrayBuilder::new().items(Ref::from_schema_name(T::name()));
        let cursor = ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
            .description(Some("Give it back as `cursor` for the next page; null on the last."));
        ObjectBuilder::new().property("items", items).property("nextCursor", cursor).required("items").into()
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
    /// A page of at most `limit` items out of what was found, which is one more where there is a next page.
    /// `key` is what the next page begins after.
    pub(crate) fn of<F>(found: Vec<F>, limit: u16, key: impl Fn(&F) -> String, item: impl Fn(F) -> T) -> Self {
        let last = usize::from(limit).checked_sub(1).and_then(|last| found.get(last));
        let next_cursor = last.filter(|_| found.len() > usize::from(limit)).map(|last| encode(&key(last)));
        Self { items: found.into_iter().take(limit.into()).map(item).collect(), next_cursor }
    }

    /// A page, and the key after which the next one begins, if there is one.
    pub(crate) fn with_next(items: Vec<T>, next: Option<String>) -> Self {
        Self { items, next_cursor: next.as_deref().map(encode) }
    }

    /// A list that is complete.
    pub(crate) const fn only(items: Vec<T>) -> Self {
        Self { items, next_cursor: None }
    }

    /// The answer, with a link to the next page.
    pub(crate) fn answer(&self, request: &HttpRequest) -> HttpResponse {
        linked(request, self.next_cursor.as_deref()).json(self)
    }
}

/// A cursor of the key after which a page begins.
pub(crate) fn encode(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(key)
}

/// The beginning of an answer that is a page: with a `Link` header to the next one, if there is
/// one. That is the same request with another cursor; it is relative, so that it holds behind any
/// proxy.
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
