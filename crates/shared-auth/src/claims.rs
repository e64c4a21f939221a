//! The claims of the marketplace's tokens, and the principal that they describe.
//!
//! Several forms are accepted: ids may be numbers, and `role`, `roles` and `vendorIds` may be one
//! value or a list.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize};

use crate::rejected::{MOST_VENDORS, Rejected};

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
    /// More vendors that the user acts for, one id or a list.
    #[serde(deserialize_with = "one_id_or_several", skip_serializing_if = "Vec::is_empty")]
    pub vendor_ids: Vec<String>,
    /// When the token expires, in seconds since the Unix epoch.
    #[serde(deserialize_with = "numeric_date")]
    pub exp: u64,
}

/// An id that is a string or a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    Number(i64),
    Large(u64),
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        match id {
            Id::Text(text) => text,
            Id::Number(number) => number.to_string(),
            Id::Large(number) => number.to_string(),
        }
    }
}

/// Reads an id; null is no id.
fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<Id>::deserialize(deserializer)?.map(String::from))
}

/// Reads an id, a list of ids, or null. Null is no id, also in a list.
fn one_id_or_several<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Ids {
        Several(Vec<Option<Id>>),
        One(Option<Id>),
    }
    let ids = match Ids::deserialize(deserializer)? {
        Ids::Several(ids) => ids,
        Ids::One(id) => vec![id],
    };
    Ok(ids.into_iter().flatten().map(String::from).collect())
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

/// The vendors that a seller acts for: at least one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Vendors(BTreeSet<String>);

impl Vendors {
    /// Creates a set of the ids that are not blank, without the spaces around them. Returns `None`
    /// if there is no such id.
    #[must_use]
    pub fn of(ids: impl IntoIterator<Item = String>) -> Option<Self> {
        let ids: BTreeSet<String> =
            ids.into_iter().map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()).collect();
        Some(Self(ids)).filter(|vendors| !vendors.0.is_empty())
    }

    /// Returns the ids of the vendors.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// The role of a principal, ordered by permissions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// A page of one vendor, embedded in another site. Only [tokens of such
    /// pages](crate::EmbedKey) give this role.
    Embed(String),
    /// A user without other permissions; also a seller whose token names no vendor.
    Buyer,
    /// A seller, with the vendors that it acts for.
    Vendor(Vendors),
    /// A member of the marketplace's support, who reads what belongs to any seller, but no personal
    /// data.
    Support,
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
    /// When the token expires, in seconds since the Unix epoch.
    pub expires_at: u64,
}

impl Principal {
    /// Returns the principal that the claims describe. A token with vendors and no role is a
    /// seller's; an unknown role gives the permissions of a buyer.
    ///
    /// # Errors
    /// [`Rejected::TooManyVendors`].
    pub fn of(claims: Claims) -> Result<Self, Rejected> {
        let vendors = Vendors::of(claims.vendor_id.into_iter().chain(claims.vendor_ids));
        if vendors.iter().any(|vendors| vendors.0.len() > MOST_VENDORS) {
            return Err(Rejected::TooManyVendors);
        }
        let named: Vec<String> = [claims.role, claims.roles].concat();
        let role = |name: &String| match (name.trim().to_ascii_lowercase().as_str(), &vendors) {
            ("admin" | "super_admin", _) => Role::Admin,
            ("support", _) => Role::Support,
            ("seller" | "vendor" | "buyer_seller", Some(vendors)) => Role::Vendor(vendors.clone()),
            _ => Role::Buyer,
        };
        let role = match (named.iter().map(role).max(), &vendors) {
            (Some(role), _) => role,
            (None, Some(vendors)) => Role::Vendor(vendors.clone()),
            (None, None) => Role::Buyer,
        };
        Ok(Self { user: claims.user_id.or(claims.sub), role, expires_at: claims.exp })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vendors(ids: &[&str]) -> Role {
        Role::Vendor(Vendors::of(ids.iter().map(ToString::to_string)).unwrap())
    }

    fn principal(json: &str) -> Result<Principal, Rejected> {
        Principal::of(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn claims_give_a_role() {
        let vendor = || vendors(&["v-1"]);
        for (json, expected) in [
            (r#"{"role":"admin"}"#, Role::Admin),
            (r#"{"role":"super_admin"}"#, Role::Admin),
            (r#"{"role":"seller","vendorId":"v-1"}"#, vendor()),
            (r#"{"role":"vendor","vendorId":"v-1"}"#, vendor()),
            (r#"{"role":"buyer_seller","vendorId":"v-1"}"#, vendor()),
            (r#"{"vendorId":"v-1"}"#, vendor()),
            (r#"{"vendorId":7}"#, vendors(&["7"])),
            (r#"{"roles":["buyer","seller"],"vendorId":"v-1"}"#, vendor()),
            (r#"{"roles":["seller","admin"],"vendorId":"v-1"}"#, Role::Admin),
            (r#"{"roles":["admin",7,null]}"#, Role::Admin),
            (r#"{"role":"","vendorId":"v-1"}"#, vendor()),
            (r#"{"roles":[null," "],"vendorId":"v-1"}"#, vendor()),
            (r#"{"role":3,"vendorId":"v-1"}"#, Role::Buyer),
            (r#"{"role":{"name":"admin"},"vendorId":"v-1"}"#, Role::Buyer),
            (r#"{"role":"seller","vendorId":9300000000000000000}"#, vendors(&["9300000000000000000"])),
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
            (r#"{"role":"support"}"#, Role::Support),
            (r#"{"role":" Support "}"#, Role::Support),
            (r#"{"roles":["buyer","support"]}"#, Role::Support),
            (r#"{"role":"seller","roles":["support"],"vendorId":"v-1"}"#, Role::Support),
            (r#"{"role":"support","roles":"admin"}"#, Role::Admin),
            (r#"{"role":"supporter"}"#, Role::Buyer),
        ] {
            assert_eq!(principal(json).unwrap().role, expected, "{json}");
        }
    }

    #[test]
    fn a_token_may_have_several_vendors() {
        for (json, expected) in [
            (r#"{"role":"seller","vendorIds":["v-2","v-1"]}"#, vendors(&["v-1", "v-2"])),
            (r#"{"vendorIds":["v-2","v-1"]}"#, vendors(&["v-1", "v-2"])),
            (r#"{"role":"seller","vendorId":"v-1","vendorIds":["v-2"]}"#, vendors(&["v-1", "v-2"])),
            (r#"{"role":"seller","vendorId":"v-1","vendorIds":["v-1"," v-1 "]}"#, vendors(&["v-1"])),
            (r#"{"role":"seller","vendorId":7,"vendorIds":[7,"7",8]}"#, vendors(&["7", "8"])),
            (r#"{"role":"seller","vendorIds":"v-1"}"#, vendors(&["v-1"])),
            (r#"{"role":"seller","vendorIds":9300000000000000000}"#, vendors(&["9300000000000000000"])),
            (r#"{"role":"seller","vendorIds":["",null," ","v-1"]}"#, vendors(&["v-1"])),
            (r#"{"role":"seller","vendorId":"v-1","vendorIds":null}"#, vendors(&["v-1"])),
            (r#"{"role":"seller","vendorIds":[""," ",null]}"#, Role::Buyer),
            (r#"{"vendorIds":[]}"#, Role::Buyer),
            (r#"{"role":"buyer","vendorIds":["v-1"]}"#, Role::Buyer),
            (r#"{"role":"support","vendorIds":["v-1"]}"#, Role::Support),
        ] {
            assert_eq!(principal(json).unwrap().role, expected, "{json}");
        }
        for json in [r#"{"vendorIds":[["v-1"]]}"#, r#"{"vendorIds":{"id":"v-1"}}"#, r#"{"vendorIds":[1.5]}"#] {
            assert!(serde_json::from_str::<Claims>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_token_with_too_many_vendors_is_rejected() {
        // A blank id, and an id that occurs twice, do not count.
        let of = |count: usize, role: &str| {
            let ids = (1..=count).map(|id| id.to_string()).chain(["2".into(), " ".into()]).collect();
            let claims =
                Claims { role: vec![role.into()], vendor_id: Some("1".into()), vendor_ids: ids, ..Claims::default() };
            Principal::of(claims)
        };
        assert!(
            matches!(of(MOST_VENDORS, "seller").unwrap().role, Role::Vendor(vendors) if vendors.iter().count() == 100)
        );
        for role in ["seller", "buyer", "admin"] {
            assert_eq!(of(MOST_VENDORS + 1, role).unwrap_err().to_string(), "more than 100 vendors", "{role}");
        }
    }

    #[test]
    fn roles_are_ordered_by_permissions() {
        let ordered = [Role::Embed("v-1".into()), Role::Buyer, vendors(&["v-1"]), Role::Support, Role::Admin];
        assert!(ordered.is_sorted());
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
        assert_eq!(principal(r#"{"userId":"a","sub":"b"}"#).unwrap().user.as_deref(), Some("a"));
    }
}
