//! The products of the sample marketplace: how popular they are, what they cost, and what people
//! think of them. Nothing here depends on a seed.

use analytics_core::money::Currency;

use crate::traffic::Random;

/// Number of products; they are the first ones of all products of the generator.
pub const DEMO_PRODUCTS: usize = 600;

/// Currencies besides the base currency; the first two that differ from it are used.
const FOREIGN: [&str; 3] = ["EUR", "USD", "JPY"];

/// What a dollar is worth, in hundredths of each currency. Prices in other currencies have the
/// numbers of those in dollars.
const RATES: [(&str, u64); 5] = [("USD", 100), ("EUR", 90), ("GBP", 80), ("CHF", 90), ("JPY", 15_000)];

/// Of 100 ratings, how many have 1 to 5 stars: for good products and for those that disappoint.
const GOOD: [u64; 5] = [3, 3, 8, 26, 60];
const POOR: [u64; 5] = [17, 14, 20, 27, 22];

pub(super) struct Catalogue {
    /// The base currency, then the others.
    pub(super) currencies: [Currency; 3],
    /// The sums of the weights of the first products, to draw one.
    weights: Vec<f64>,
}

impl Catalogue {
    pub(super) fn new(base: Currency) -> Self {
        let mut foreign = FOREIGN.into_iter().filter_map(Currency::parse).filter(|currency| *currency != base);
        let currencies = [base, foreign.next().unwrap_or(base), foreign.next().unwrap_or(base)];
        let mut total = 0.0;
        let weights = (1..=DEMO_PRODUCTS)
            .map(|rank| {
                // A little flatter at the top than Zipf's law, so that one seller does not have
                // everything.
                #[expect(clippy::cast_precision_loss, reason = "ranks are small")]
                let weight = 1.0 / (rank as f64 + 2.0);
                total += weight;
                total
            })
            .collect();
        Self { currencies, weights }
    }

    /// Draws the number of a product.
    pub(super) fn product(&self, random: &mut Random) -> usize {
        let point = random.fraction() * self.weights.last().copied().unwrap_or_default();
        (self.weights.partition_point(|weight| *weight < point) + 1).min(DEMO_PRODUCTS)
    }

    /// Returns how many of 100 people like the product enough to buy it.
    pub(super) fn appeal(&self, product: usize) -> u64 {
        trait_of(product, 1).below(100)
    }

    /// Draws the stars of a rating of a product.
    pub(super) fn stars(&self, product: usize, random: &mut Random) -> u64 {
        let shares = if trait_of(product, 2).below(6) == 0 { POOR } else { GOOD };
        let mut point = random.below(100);
        for (stars, share) in (1..).zip(shares) {
            if point < share {
                return stars;
            }
            point -= share;
        }
        5
    }

    /// Returns a product's price in a currency, as a decimal number.
    pub(super) fn price(&self, product: usize, currency: Currency) -> String {
        let mut random = trait_of(product, 3);
        let dollars = match random.below(100) {
            0..40 => 5 + random.below(15),
            40..75 => 20 + random.below(40),
            75..95 => 60 + random.below(90),
            _ => 150 + random.below(150),
        };
        let rate = RATES.iter().find(|(code, _)| *code == currency.code()).map_or(100, |(_, rate)| *rate);
        match usize::try_from(currency.minor_digits()).unwrap_or_default() {
            0 => format!("{}", (dollars * rate / 1000 * 10).max(10)),
            digits => format!("{}.9{}", (dollars * rate / 100).max(1), "0".repeat(digits - 1)),
        }
    }
}

/// Returns random numbers that depend on the product only.
fn trait_of(product: usize, which: u64) -> Random {
    let mut random = Random((product as u64) << 8 | which);
    random.next();
    random
}
