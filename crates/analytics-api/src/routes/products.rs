//! `GET /api/products`: products by id or name.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use analytics_core::ids::VendorId;
use analytics_core::name::MAX_NAME_CHARS;
use analytics_db::read::directory::{self, Product};
use serde::Serialize;
use shared_auth::Principal;
use utoipa::ToSchema;

use crate::caller;
use crate::database::Database;
use crate::page::Page;
use crate::problem::{Failures, Problem, Unchanged};
use crate::query::Query;

/// A product.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Product)]
pub(crate) struct ProductBody {
    product_id: String,
    /// Its name; null if it is not known.
    name: Option<String>,
    /// The vendor that it is known to belong to.
    vendor_id: Option<String>,
    /// The vendor's name; null if it is not known.
    vendor_name: Option<String>,
}

type ProductPage = Page<ProductBody>;

/// List products
///
/// In the order of their ids: those that have a name, or whose vendor is known. Sellers see their
/// own.
#[utoipa::path(
    get, path = "/api/products", operation_id = "listProducts", tag = "products", security(("bearer" = [])),
    params(
        ("prefix" = Option<String>, Query, description = "Only products whose ids, or names in any case, begin with this; at most 255 characters"),
        ("vendorId" = Option<String>, Query, description = "Only products of this vendor"),
        ("limit" = Option<u16>, Query, description = "Maximum items per page; default 100", minimum = 1, maximum = 1000),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the previous page"),
    ),
    responses((status = 200, description = "A page of products", body = ProductPage), Unchanged, Failures)
)]
pub(crate) async fn list(
    principal: Principal,
    request: HttpRequest,
    database: Data<Database>,
) -> Result<HttpResponse, Problem> {
    let tenant = caller::tenant(&principal)?;
    let query = Query::of(&request, &["prefix", "vendorId", "limit", "cursor"], &[])?;
    let prefix = query.text("prefix", MAX_NAME_CHARS)?.unwrap_or_default();
    let readable = tenant.products(query.optional("vendorId", VendorId::parse)?.as_ref());
    let (limit, after) = (query.limit()?, query.cursor()?);
    let more = i64::from(limit) + 1;
    let read = move |connection: &mut _| directory::products(connection, &readable, &prefix, after.as_deref(), more);
    let (found, as_of) = database.read_as_of(read).await?;
    let item = |product: Product| {
        let Product { id, name, vendor_id, vendor_name } = product;
        ProductBody { product_id: id, name, vendor_id, vendor_name }
    };
    Ok(Page::of(found, limit, |product| product.id.clone(), item).answer(&request, as_of))
}
