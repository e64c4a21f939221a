//! The claims of the marketplace's tokens, and the principal that they describe.
//!
//! Several forms are accepted: ids may be numbers, and `role` and `roles` may be a string or a
//! list.

use serde::{Deserialize, Deserializer, Serialize};

/// The claims of a token that are used; all others are ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Claims {
    /// The id of the user, in the marketplace's own claim. Has precedence over `sub`.
    #[serde(deserialize_with = "text_or_number", skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// The id of the user, in the registered claim.
    #[serde(deserialize_with = "text_or_number", skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// Names of roles, a string or a list. The role with the most permissions applies.
    #[serde(deserialize_with = "one_or_several", skip_serializing_if = "Vec::is_empty")]
    pub role: Vec<String>,
    /// More names of roles, in the same forms.
    #[serde(deserialize_with = "one_or_several", skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// The vendor that the user acts for.
    #[serde(deserialize_with = "text_or_number", skip_serializing_if = "Option::is_none")]
    pub vendor_id: Option<String>,
    /// When the token expires, in seconds since the Unix epoch.
    #[serde(deserialize_with = "numeric_date")]
    pub exp: u64,
}

/// Reads an id that is a string or a number; null is no id.
fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Id {
        Text(String),
        Number(i64),
        Large(u64),
    }
    Ok(Option::<Id>::deserialize(deserializer)?.map(|id| match id {
        Id::Text(text) => text,
        Id::Number(number) => number.to_string(),
        Id::Large(number) => number.to_string(),
    }))
}

/// Reads a string, a list of strings, or null. Null and blank strings are left out. A value of
/// another type becomes the name of an unknown role.
fn one_or_several<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Names {
        Several(Vec<serde_json::Value>),
        One(serde_json::Value),
    }
    let names = match Names::deserialize(deserializer)? {
        Names::One(name) => vec![name],
        Names::Several(names) => names,
    };
    let named = |name: serde_json::Value| match name {
        serde_json::Value::Null => None,
        serde_json::Value::String(name) => Some(name.trim().to_owned()).filter(|name| !name.is_empty()),
        other => Some(other.to_string()),
    };
    Ok(names.into_iter().filter_map(named).collect())
}

/// Reads seconds since the Unix epoch, as an integer or a fraction (RFC 7519, section 2).
fn numeric_date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Date {
        Whole(u64),
        Real(f64),
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "values out of range become the earliest or the latest time"
    )]
    Ok(match Date::deserialize(deserializer)? {
        Date::Whole(seconds) => seconds,
        Date::Real(seconds) => seconds as u64,
    })
}

/// The role of a principal, ordered by permissions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// A user without other permissions; also a seller whose token names no vendor.
    Buyer,
    /// A seller, with the id of the vendor that it acts for.
    Vendor(String),
    /// A member of the marketplace's staff.
    Admin,
}

/// The sender of a request, as the token describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The id of the user, if the token contains one.
    pub user: Option<String>,
    /// The role.
    pub role: Role,
}

impl Principal {
    /// Returns the principal that the claims describe. A token with a vendor and no role is a
    /// vendor's; an unknown role gives the permissions of a buyer.
    #[must_use]
    pub fn of(claims: Claims) -> Self {
        let vendor = claims.vendor_id.map(|id| id.trim().to_owned()).filter(|id| !id.is_empty());
        let named: Vec<String> = [claims.role, claims.roles].concat();
        let role = |name: &String| match (name.trim().to_ascii_lowercase().as_str(), &vendor) {
            ("admin" | "super_admin", _) => Role::Admin,
            ("seller" | "vendor" | "buyer_seller", Some(vendor)) => Role::Vendor(vendor.clone()),
            _ => Role::Buyer,
        };
        let role = match (named.iter().map(role).max(), &vendor) {
            (Some(role), _) => role,
            (None, Some(vendor)) => Role::Vendor(vendor.clone()),
            (None, None) => Role::Buyer,
        };
        Self { user: claims.user_id.or(claims.sub), role }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_give_a_role() {
        let vendor = || Role::Vendor("v-1".into());
        for (json, expected) in [
            (r#"{"role":"admin"}"#, Role::Admin),
            (r#"{"role":"super_admin"}"#, Role::Admin),
            (r#"{"role":"seller","vendorId":"v-1"}"#, vendor()),
            (r#"{"role":"vendor","vendorId":"v-1"}"#, vendor()),
            (r#"{"role":"buyer_seller","vendorId":"v-1"}"#, vendor()),
            (r#"{"vendorId":"v-1"}"#, vendor()),
            (r#"{"vendorId":7}"#, Role::Vendor("7".into())),
            (r#"{"roles":["buyer","seller"],"vendorId":"v-1"}"#, vendor()),
            (r#"{"roles":["seller","admin"],"vendorId":"v-1"}"#, Role::Admin),
            (r#"{"roles":["admin",7,null]}"#, Role::Admin),
            (r#"{"role":"","vendorId":"v-1"}"#, vendor()),
            (r#"{"roles":[null," "],"vendorId":"v-1"}"#, vendor()),
            (r#"{"role":3,"vendorId":"v-1"}"#, Role::Buyer),
            (r#"{"role":{"name":"admin"},"vendorId":"v-1"}"#, Role::Buyer),
            (r#"{"role":"seller","vendorId":9300000000000000000}"#, Role::Vendor("9300000000000000000".into())),
            (r#"{"role":["admin"]}"#, Role::Admin),
            (r#"{"role":["buyer","seller"],"vendorId":"v-1"}"#, vendor()),
            (r#"{"roles":"admin"}"#, Role::Admin),
            (r#"{"role":"admin","roles":null}"#, Role::Admin),
            (r#"{"role":null,"roles":["admin"]}"#, Role::Admin),
            (r#"{"role":[],"roles":[]}"#, Role::Buyer),
            (r#"{"role":"buyer","vendorId":"v-1"}"#, Role::Buyer),
            (r#"{"role":"seller"}"#, Role::Buyer),
            (r#"{"role":"seller","vendorId":" "}"#, Role::Buyer),
            (r#"{"role":"auditor","vendorId":"v-1"}"#, Role::Buyer),
            (r#"{}"#, Role::Buyer),
        ] {
            let claims: Claims = serde_json::from_str(json).unwrap();
            assert_eq!(Principal::of(claims).role, expected, "{json}");
        }
    }

    #[test]
    fn exp_is_a_numeric_date() {
        for (exp, expected) in [
            ("1795579745", 1_795_579_745),
            ("1795579745.5", 1_795_579_745),
            ("2.1e9", 2_100_000_000),
            ("-1.5", 0),
            ("1e300", u64::MAX),
        ] {
            let claims: Claims = serde_json::from_str(&format!(r#"{{"exp":{exp}}}"#)).unwrap();
            assert_eq!(claims.exp, expected, "{exp}");
        }
    }

    #[test]
    fn user_id_has_precedence_over_sub() {
        let claims: Claims = serde_json::from_str(r#"{"userId":"a","sub":"b"}"#).unwrap();
        assert_eq!(Principal::of(claims).user.as_deref(), Some("a"));
    }
}
