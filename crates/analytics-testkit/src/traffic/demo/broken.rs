//! Events of the sample marketplace that cannot be counted, as producers with mistakes send them.
//! A corrected payload makes most of them countable.

use serde_json::{Value, json};

use super::{BROKEN_EVERY, Demo};
use crate::broker::Message;
use crate::traffic::{Marketplace, keyed};

impl Demo {
    /// Returns the next event that cannot be counted; six kinds take turns.
    pub(super) fn broken(&mut self, time: &str) -> Message {
        let product = self.catalogue.product(&mut self.random);
        let ((user, currency), number) = (self.user(), self.made);
        let (name, vendor) = (format!("p-{product}"), format!("v-{}", Marketplace::SMALL.seller(product as u64)));
        let order = format!("o-{:x}-{number}", self.run);
        match self.made / BROKEN_EVERY % 6 {
            // A price as people write it.
            1 => {
                let price =
                    format!("{} {}", self.catalogue.price(product, currency).replace('.', ","), currency.code());
                let items = json!([{ "productId": name, "vendorId": vendor, "quantity": 1, "unitPrice": price }]);
                let payload = json!({ "orderId": order, "userId": user, "items": items, "placedAt": time });
                keyed("order.created", order, &payload)
            }
            2 => keyed(
                "rating.updated",
                name.clone(),
                &json!({ "userId": user, "productId": name, "vendorId": vendor, "rating": 0, "updatedAt": time }),
            ),
            3 => keyed("product.viewed", name, &json!({ "vendorId": vendor, "userId": user, "viewedAt": time })),
            4 => {
                let user = format!("u-{:x}-late-{number}", self.run);
                let payload = json!({ "userId": user, "role": "buyer", "registeredAt": "yesterday" });
                keyed("user.registered", user, &payload)
            }
            // An order that was sent again, with one more unit.
            5 => {
                let mut payload = self.last_order.clone().unwrap_or_else(|| json!({ "orderId": order }));
                let order = payload["orderId"].as_str().unwrap_or_default().to_owned();
                if let Some(quantity) = payload.pointer_mut("/items/0/quantity") {
                    *quantity = Value::from(quantity.as_u64().unwrap_or_default() + 1);
                }
                keyed("order.created", order, &payload)
            }
            // Only the beginning of a view.
            _ => {
                let payload = json!({ "productId": name, "userId": user, "viewedAt": time }).to_string();
                let cut = payload.get(..payload.len() / 2).unwrap_or_default().as_bytes().to_vec();
                Message { payload: Some(cut), ..keyed("product.viewed", name, &Value::Null) }
            }
        }
    }
}
