//! Amounts of money: parsed as exact decimals, then converted to minor units of their currency.
//!
//! An amount must be rounded only once, when it is converted. Amounts are therefore decimals with a
//! 128-bit coefficient: 28 digits times a quantity of up to 10^6 fits into `i128`, while common
//! decimal types with 96 bits would silently round such a product.

use std::fmt;

/// Greatest number of digits of an amount, not counting zeros at either end.
const MAX_DIGITS: usize = 28;

/// The largest amount of one line, in minor units.
pub const MAX_LINE_MINOR: i64 = 1_000_000_000_000;

/// The largest quantity of one line.
pub const MAX_QUANTITY: u32 = 1_000_000;

/// Minor units of a currency: cents of USD, yen of JPY, fils of KWD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Minor(pub i64);

/// Units of one order line: 0 to 10^6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quantity(u32);

impl Quantity {
    /// One unit, the default for a line.
    pub const ONE: Self = Self(1);

    /// Creates a quantity; `None` above 10^6.
    #[must_use]
    pub const fn new(units: u32) -> Option<Self> {
        if units <= MAX_QUANTITY { Some(Self(units)) } else { None }
    }

    /// Returns the number of units.
    #[must_use]
    pub const fn units(self) -> u32 {
        self.0
    }
}

/// A currency of ISO 4217, including those withdrawn since 2000, the year of the earliest events.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency {
    code: &'static str,
    minor_digits: u8,
}

/// Currencies withdrawn since 2000 that `iso_currency` lacks: code, and decimal places of the minor
/// unit as in Java's `Currency`. `iso_currency` has the current ones and those withdrawn most
/// recently.
const WITHDRAWN: [(&str, u8); 45] = [
    ("ADP", 0),
    ("AFA", 2),
    ("ANG", 2),
    ("ATS", 2),
    ("AZM", 2),
    ("BEF", 0),
    ("BYB", 0),
    ("BYR", 0),
    ("CSD", 2),
    ("CYP", 2),
    ("DEM", 2),
    ("EEK", 2),
    ("ESP", 0),
    ("FIM", 2),
    ("FRF", 2),
    ("GHC", 2),
    ("GRD", 0),
    ("IEP", 2),
    ("ITL", 0),
    ("LTL", 2),
    ("LUF", 0),
    ("LVL", 2),
    ("MGF", 0),
    ("MRO", 2),
    ("MTL", 2),
    ("MZM", 2),
    ("NLG", 2),
    ("PTE", 0),
    ("ROL", 0),
    ("RUR", 2),
    ("SDD", 2),
    ("SIT", 2),
    ("SKK", 2),
    ("SRG", 2),
    ("STD", 2),
    ("TMM", 2),
    ("TRL", 0),
    ("USS", 2),
    ("VEB", 2),
    ("VEF", 2),
    ("YUM", 2),
    ("ZMK", 2),
    ("ZWD", 2),
    ("ZWN", 2),
    ("ZWR", 2),
];

impl Currency {
    /// Returns the currency of an alphabetic code, in any case and trimmed; `None` if ISO 4217 has
    /// had no such currency since 2000.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        let code = code.trim().to_ascii_uppercase();
        if let Some(known) = iso_currency::Currency::from_code(&code) {
            // Currencies without a minor unit in ISO 4217 (gold, test codes) are counted in whole
            // units.
            let minor_digits = known.exponent().and_then(|digits| u8::try_from(digits).ok()).unwrap_or(0);
            return Some(Self { code: known.code(), minor_digits });
        }
        let withdrawn = WITHDRAWN.into_iter().find(|(withdrawn, _)| *withdrawn == code);
        withdrawn.map(|(code, minor_digits)| Self { code, minor_digits })
    }

    /// Returns the code in capitals, such as `USD`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.code
    }

    /// Returns the number of decimal places of its minor unit: USD 2, JPY 0, KWD 3.
    #[must_use]
    pub fn minor_digits(self) -> i32 {
        self.minor_digits.into()
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl PartialOrd for Currency {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Currency {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.code().cmp(other.code())
    }
}

/// The reason why a text is not a valid amount or quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMoney {
    /// Not a decimal number.
    #[error("is not a decimal number")]
    NotANumber,
    /// Below zero.
    #[error("is negative")]
    Negative,
    /// More than 28 digits, not counting zeros at either end.
    #[error("has more than {MAX_DIGITS} digits")]
    TooManyDigits,
    /// More than 10^12 minor units.
    #[error("exceeds {MAX_LINE_MINOR} minor units")]
    TooLarge,
    /// Not an integer from 0 to 10^6.
    #[error("is not an integer from 0 to {MAX_QUANTITY}")]
    Quantity,
}

/// An amount exactly as written: `coefficient × 10^exponent`, not negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    /// At most 28 digits.
    coefficient: i128,
    exponent: i32,
}

impl Amount {
    /// Parses a number such as `12`, `12.50`, `.5` or `1.25e3`, without separators or currency
    /// signs.
    ///
    /// # Errors
    /// [`InvalidMoney`] saying what is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidMoney> {
        let decimal = Decimal::split(text.trim()).ok_or(InvalidMoney::NotANumber)?;
        let digits = || decimal.whole.bytes().chain(decimal.fraction.bytes());
        let written = decimal.whole.len() + decimal.fraction.len();
        let leading = digits().take_while(|digit| *digit == b'0').count();
        if leading == written {
            return Ok(Self { coefficient: 0, exponent: 0 });
        }
        if decimal.negative {
            return Err(InvalidMoney::Negative);
        }
        // Zeros at the end are not counted as digits: databases pad 19.99 to the scale of the
        // column.
        let trailing = digits().rev().take_while(|digit| *digit == b'0').count();
        let significant = written - leading - trailing;
        if significant > MAX_DIGITS {
            return Err(InvalidMoney::TooManyDigits);
        }
        let coefficient =
            digits().skip(leading).take(significant).fold(0_i128, |sum, digit| sum * 10 + i128::from(digit - b'0'));
        let length = |length: usize| i32::try_from(length).map_err(|_| InvalidMoney::TooManyDigits);
        let places = length(decimal.fraction.len())?.saturating_sub(length(trailing)?);
        Ok(Self { coefficient, exponent: decimal.exponent.saturating_sub(places) })
    }

    /// Returns the amount times `quantity` in minor units of `currency`, rounded once, half away
    /// from zero.
    ///
    /// # Errors
    /// [`InvalidMoney::TooLarge`] above 10^12 minor units.
    pub fn times(self, quantity: Quantity, currency: Currency) -> Result<Minor, InvalidMoney> {
        // At most 10^28 × 10^6 = 10^34; i128 holds 1.7 × 10^38.
        let product = self.coefficient * i128::from(quantity.units());
        let shift = self.exponent.saturating_add(currency.minor_digits());
        let rounded = if product == 0 {
            Some(0)
        } else if let Ok(up) = u32::try_from(shift) {
            10_i128.checked_pow(up).and_then(|power| product.checked_mul(power))
        } else {
            // A product is at most 10^34, so dividing it by more than 10^35 rounds it to zero.
            match 10_i128.checked_pow(shift.unsigned_abs()).filter(|_| shift > -36) {
                Some(power) => Some((product + power / 2) / power),
                None => Some(0),
            }
        };
        rounded
            .and_then(|minor| i64::try_from(minor).ok())
            .filter(|minor| *minor <= MAX_LINE_MINOR)
            .map(Minor)
            .ok_or(InvalidMoney::TooLarge)
    }

    /// Converts the amount to a quantity of units.
    ///
    /// # Errors
    /// [`InvalidMoney::Quantity`] if it is not an integer from 0 to 10^6.
    pub fn quantity(self) -> Result<Quantity, InvalidMoney> {
        let whole = match u32::try_from(self.exponent) {
            Ok(up) => 10_i128.checked_pow(up).and_then(|power| self.coefficient.checked_mul(power)),
            Err(_) => 10_i128
                .checked_pow(self.exponent.unsigned_abs())
                .filter(|power| self.coefficient % power == 0)
                .map(|power| self.coefficient / power),
        };
        whole
            .and_then(|whole| u32::try_from(whole).ok())
            .filter(|whole| *whole <= MAX_QUANTITY)
            .map(Quantity)
            .ok_or(InvalidMoney::Quantity)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}e{}", self.coefficient, self.exponent)
    }
}

/// The parts of a written decimal number.
struct Decimal<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i32,
}

impl<'a> Decimal<'a> {
    fn split(text: &'a str) -> Option<Self> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Self::exponent(exponent)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        let valid = digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty());
        valid.then_some(Self { negative, whole, fraction, exponent })
    }

    /// Parses an exponent. One that does not fit into an `i32` is replaced by the greatest `i32` or
    /// its negative: both are far outside the range of amounts.
    fn exponent(text: &str) -> Option<i32> {
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Some(sign * digits.parse::<i32>().unwrap_or(i32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minor(text: &str, quantity: &str, currency: &str) -> Result<i64, InvalidMoney> {
        let quantity = Amount::parse(quantity)?.quantity()?;
        Amount::parse(text)?.times(quantity, Currency::parse(currency).unwrap()).map(|minor| minor.0)
    }

    #[test]
    fn amounts_become_minor_units_rounded_once_half_away_from_zero() {
        for (text, quantity, currency, expected) in [
            ("19.99", "1", "USD", 1999),
            ("304.218", "1", "USD", 30422),
            ("0.005", "1", "USD", 1),
            ("0.0049999", "1", "USD", 0),
            ("0.335", "3", "USD", 101),
            ("35942.5", "1", "JPY", 35943),
            ("4.4995", "1", "KWD", 4500),
            ("1.25e2", "2", "USD", 25000),
            ("1E-2", "1", "usd", 1),
            ("0", "5", "USD", 0),
            ("-0.00", "1", "USD", 0),
            ("10", "0", "USD", 0),
            ("1e-400", "1", "USD", 0),
            ("0e999999999999", "1", "USD", 0),
            (" 7 ", "1", "USD", 700),
            ("10000000000.00", "1", "USD", MAX_LINE_MINOR),
            ("0.0000000000000000000000000001", "1000000", "USD", 0),
            ("00000000000000000000000000000000001", "1", "USD", 100),
            ("19.990000000000000000000000000000", "1", "USD", 1999),
            ("19.9900000000000000000000000000000000000000000000000000000000000000", "3", "USD", 5997),
            ("1999000000000000000000000000000000e-32", "1", "USD", 1999),
            ("1.000000000000000000000000000000000e2", "1", "USD", 10000),
        ] {
            assert_eq!(minor(text, quantity, currency), Ok(expected), "{text} x {quantity} {currency}");
        }
    }

    #[test]
    fn text_that_is_not_an_amount_is_an_error_with_the_reason() {
        for (text, expected) in [
            ("five", InvalidMoney::NotANumber),
            ("1,000", InvalidMoney::NotANumber),
            ("", InvalidMoney::NotANumber),
            (".", InvalidMoney::NotANumber),
            ("1e", InvalidMoney::NotANumber),
            ("NaN", InvalidMoney::NotANumber),
            ("٣", InvalidMoney::NotANumber),
            ("-0.01", InvalidMoney::Negative),
            ("12345678901234567890123456789", InvalidMoney::TooManyDigits),
            ("0.00012345678901234567890123456789", InvalidMoney::TooManyDigits),
            ("1000000000000000000000000000000000", InvalidMoney::TooLarge),
            ("10000000000.01", InvalidMoney::TooLarge),
            ("99999999999999999999", InvalidMoney::TooLarge),
            ("1e400", InvalidMoney::TooLarge),
            ("1e99999999999", InvalidMoney::TooLarge),
        ] {
            assert_eq!(minor(text, "1", "USD"), Err(expected), "{text}");
        }
    }

    #[test]
    fn quantities_are_integers_up_to_a_million() {
        for (text, expected) in [("0", 0), ("4", 4), ("1000000", 1_000_000), ("2.0", 2), ("1e3", 1000), ("50e-1", 5)] {
            assert_eq!(Amount::parse(text).unwrap().quantity(), Ok(Quantity(expected)), "{text}");
        }
        for text in ["1.5", "1000001", "1e400", "1e-1"] {
            assert_eq!(Amount::parse(text).unwrap().quantity(), Err(InvalidMoney::Quantity), "{text}");
        }
    }

    #[test]
    fn currencies_are_those_of_iso_4217_in_any_case() {
        for (code, digits) in [("usd", 2), ("JPY", 0), ("Kwd", 3), (" EUR ", 2), ("CLF", 4), ("XAU", 0)] {
            assert_eq!(Currency::parse(code).unwrap().minor_digits(), digits);
        }
        for code in ["XYZ", "US", "DOLLAR", ""] {
            assert_eq!(Currency::parse(code), None);
        }
    }

    #[test]
    fn withdrawn_currencies_are_accepted_too() {
        for (code, digits) in [("HRK", 2), ("BGN", 2), ("EEK", 2), ("lvl", 2), ("ITL", 0), ("ZWL", 2), ("ANG", 2)] {
            assert_eq!(Currency::parse(code).map(Currency::minor_digits), Some(digits), "{code}");
        }
        // No currency is in both lists.
        assert!(WITHDRAWN.is_sorted());
        for (code, _) in WITHDRAWN {
            assert_eq!(iso_currency::Currency::from_code(code), None, "{code}");
        }
    }

    proptest::proptest! {
        #[test]
        fn splitting_a_price_over_units_never_changes_an_exact_product(cents in 0_i64..1_000_000, units in 0_u32..1000) {
            let price = format!("{}.{:02}", cents / 100, cents % 100);
            let product = Amount::parse(&price).unwrap().times(Quantity(units), Currency::parse("USD").unwrap());
            proptest::prop_assert_eq!(product, Ok(Minor(cents * i64::from(units))));
        }
    }
}
