//! `asOf`, in the body of every JSON answer, and the header `As-Of` of every answer that was read from
//! the database: the number of the last batch that the answer includes.

use std::borrow::Cow;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde::Serialize;
use utoipa::openapi::schema::{AllOfBuilder, KnownFormat, ObjectBuilder, Type};
use utoipa::openapi::{HeaderBuilder, OpenApi, Ref, RefOr, Schema, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

/// The header with the number.
pub(crate) const AS_OF: HeaderName = HeaderName::from_static("as-of");

const ABOUT: &str = "The number of the last batch that the answer includes.";

/// A body that has no field for the number, with the number.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Numbered<T> {
    as_of: i64,
    #[serde(flatten)]
    body: T,
}

/// Answers with a body that has the number in its field `asOf`.
pub(crate) fn answer<T: Serialize>(mut response: HttpResponseBuilder, as_of: i64, body: &T) -> HttpResponse {
    response.insert_header((AS_OF, HeaderValue::from(as_of))).json(body)
}

/// Answers with a body that has no field for the number.
pub(crate) fn numbered<T: Serialize>(response: HttpResponseBuilder, as_of: i64, body: T) -> HttpResponse {
    answer(response, as_of, &Numbered { as_of, body })
}

/// Returns the schema of the number.
pub(crate) fn schema() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .description(Some(ABOUT))
}

/// Written by hand, because the derived schema of a generic type repeats the schema of the body
/// instead of referring to it.
impl<T: ToSchema> PartialSchema for Numbered<T> {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new().property("asOf", schema()).required("asOf");
        AllOfBuilder::new().item(Ref::from_schema_name(T::name())).item(number).into()
    }
}

impl<T: ToSchema> ToSchema for Numbered<T> {
    fn name() -> Cow<'static, str> {
        format!("{}AsOf", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
}

/// Adds the header to the JSON answers of a document.
pub(crate) fn describe_as_of(document: &mut OpenApi) {
    for item in document.paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.post, &mut item.delete].into_iter().flatten() {
            if let Some(RefOr::T(answer)) = operation.responses.responses.get_mut("200")
                && answer.content.contains_key("application/json")
            {
                let header = HeaderBuilder::new().schema(Some(schema())).description(Some(ABOUT)).build();
                answer.headers.insert("As-Of".to_owned(), header.into());
            }
        }
    }
}
