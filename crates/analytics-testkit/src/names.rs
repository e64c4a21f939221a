//! What the products and sellers of the generated marketplace are called, in English. The names are
//! made up.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;

use crate::broker::Message;
use crate::traffic::Marketplace;

const LOOKS: [&str; 20] = [
    "Amber", "Blue", "Classic", "Copper", "Folding", "Green", "Grey", "Handmade", "Ivory", "Large", "Light", "Modern",
    "Nordic", "Plain", "Red", "Round", "Rustic", "Slim", "Small", "Striped",
];
const MATERIALS: [&str; 20] = [
    "Ash", "Bamboo", "Beech", "Canvas", "Ceramic", "Cork", "Cotton", "Felt", "Glass", "Iron", "Leather", "Linen",
    "Maple", "Oak", "Pine", "Steel", "Stone", "Walnut", "Willow", "Wool",
];
const THINGS: [&str; 25] = [
    "Bag", "Basket", "Bench", "Blanket", "Bowl", "Box", "Chair", "Clock", "Coaster", "Cup", "Cushion", "Desk", "Frame",
    "Hook", "Lamp", "Mat", "Mirror", "Plate", "Rug", "Shelf", "Stool", "Table", "Tray", "Vase", "Wallet",
];
const PLACES: [&str; 20] = [
    "Alder", "Birch", "Bridge", "Brook", "Cliff", "Coast", "Dune", "Elm", "Field", "Forest", "Garden", "Harbour",
    "Hill", "Lake", "Meadow", "Mill", "North", "Orchard", "River", "Valley",
];
const SHOPS: [&str; 10] =
    ["Atelier", "Crafts", "Goods", "Home", "House", "Living", "Makers", "Market", "Studio", "Workshop"];

/// Returns the name of product `p-<number>`. The first ten thousand names differ.
#[must_use]
pub fn product(number: u64) -> String {
    // Steps that share no factor with the number of names visit each of them.
    let mut pick = choose(number.wrapping_mul(7_919));
    format!("{} {} {}{}", pick(&LOOKS), pick(&MATERIALS), pick(&THINGS), edition(number, 10_000))
}

/// Returns the name of seller `v-<number>`. The first two hundred names differ.
#[must_use]
pub fn seller(number: u64) -> String {
    let mut pick = choose(number.wrapping_mul(77));
    format!("{} {}{}", pick(&PLACES), pick(&SHOPS), edition(number, 200))
}

/// Returns one event for each seller and product of a marketplace, which names it.
pub fn events(marketplace: Marketplace, time: DateTime<Utc>) -> impl Iterator<Item = Message> {
    let time = time.to_rfc3339_opts(SecondsFormat::Millis, true);
    let created = time.clone();
    let sellers = (1..=marketplace.sellers).map(move |number| {
        let payload = json!({ "vendorId": format!("v-{number}"), "shopName": seller(number), "createdAt": created });
        Message::json("vendor.created", payload)
    });
    let products = (1..=marketplace.products).map(move |number| {
        let payload = json!({
            "id": format!("p-{number}"),
            "title": product(number),
            "vendorId": format!("v-{}", marketplace.seller(number)),
            "createdAt": time,
        });
        Message::json("product.created", payload)
    });
    sellers.chain(products)
}

/// Returns what picks a word from one list after the other, as the digits of a number say.
fn choose(mut number: u64) -> impl FnMut(&[&'static str]) -> &'static str {
    move |words| {
        let count = words.len() as u64;
        let index = usize::try_from(number % count).unwrap_or_default();
        number /= count;
        words.get(index).copied().unwrap_or_default()
    }
}

/// Returns the number of the edition for numbers whose name was used before.
fn edition(number: u64, names: u64) -> String {
    match number.saturating_sub(1) / names {
        0 => String::new(),
        earlier => format!(" No. {}", earlier + 1),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_product_and_seller_has_a_name_of_its_own() {
        let products: BTreeSet<String> = (1..=100_000).map(product).collect();
        assert_eq!(products.len(), 100_000);
        let sellers: BTreeSet<String> = (1..=5_000).map(seller).collect();
        assert_eq!(sellers.len(), 5_000);
        assert_eq!((product(1).as_str(), seller(1).as_str()), ("Striped Steel Shelf", "Orchard Home"));
        assert_eq!(events(Marketplace::SMALL, DateTime::UNIX_EPOCH).count(), 5_200);
    }
}
