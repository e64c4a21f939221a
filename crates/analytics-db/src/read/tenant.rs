//! Tenancy, enforced by types: only a [`Tenant`] can create the values that the queries accept, so
//! a seller's query cannot be built without its vendor id.

use std::collections::BTreeSet;

use analytics_core::catalogue::{Metric, SubjectKind};
use analytics_core::ids::{Encoded, VendorId};
use analytics_core::metric_type::{MetricType, Subject};
use analytics_core::reconciliation::Asker;

/// Whose numbers a caller may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tenant {
    /// Admins of the marketplace, who may read everything.
    Marketplace,
    /// Support of the marketplace, who may read every metric, but neither users nor the event log.
    Support,
    /// A seller, who may read the metrics of its vendors.
    Seller(BTreeSet<VendorId>),
}

/// A metric that the tenant may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadableMetric {
    text: String,
    known: Option<MetricType>,
}

/// Metrics with one name that the tenant may read: a range of types.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MetricRange {
    /// The type that is exactly the name, or the name and the vendor.
    pub(super) exactly: String,
    /// The prefix of all longer types in the range.
    pub(super) prefix: String,
}

/// The products that the tenant may list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadableProducts {
    /// Only those of these vendors; of all vendors if `None`.
    pub(super) vendors: Option<Vec<String>>,
}

/// The anomalies that the tenant may list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadableAnomalies {
    /// Only those of these vendors; all, and those of the marketplace, if `None`.
    pub(super) vendors: Option<Vec<String>>,
}

/// The orders of a seller, line by line, that the tenant may compare with a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadableOrders {
    /// The seller.
    pub(super) vendor: VendorId,
    /// Whether the tenant is told of orders of others.
    pub(super) asker: Asker,
}

/// The right to read the event log, which contains the events of all sellers.
#[derive(Debug, Clone, Copy)]
pub struct EventLogAccess(());

impl Tenant {
    /// Returns the metric with this type, if the tenant may read it.
    #[must_use]
    pub fn metric(&self, metric_type: &MetricType) -> Option<ReadableMetric> {
        let may = match self {
            Self::Marketplace | Self::Support => true,
            Self::Seller(vendors) => metric_type.vendor().is_some_and(|owner| vendors.contains(owner)),
        };
        may.then(|| ReadableMetric { text: metric_type.to_string(), known: Some(metric_type.clone()) })
    }

    /// Returns a metric that the catalogue does not define, created by an adjustment. Sellers may
    /// not read it.
    #[must_use]
    pub fn custom_metric(&self, metric_type: &str) -> Option<ReadableMetric> {
        match self {
            Self::Marketplace | Self::Support => Some(ReadableMetric { text: metric_type.to_owned(), known: None }),
            Self::Seller(_) => None,
        }
    }

    /// Returns the metrics with one name that the tenant may read, about one vendor if it is given: for a
    /// seller, a range for each of its vendors. There is no range if the tenant may read none of them.
    #[must_use]
    pub fn metrics_named(&self, metric: Metric, of: Option<&VendorId>) -> Vec<MetricRange> {
        let name = metric.name();
        let is_about_vendors = metric.subject() == SubjectKind::Vendor;
        let range = |vendor: &VendorId| MetricRange::of(format!("{name}:{}", Encoded(vendor.as_str())));
        match (self, of) {
            (Self::Marketplace | Self::Support, None) => vec![MetricRange::of(name.to_owned())],
            (Self::Marketplace | Self::Support, Some(of)) if is_about_vendors => vec![range(of)],
            (Self::Seller(own), _) if is_about_vendors => {
                own.iter().filter(|vendor| of.is_none_or(|of| of == *vendor)).map(range).collect()
            }
            (Self::Marketplace | Self::Support | Self::Seller(_), _) => Vec::new(),
        }
    }

    /// Returns the products that the tenant may list, of one vendor if it is given. There are none
    /// of another seller's vendor, as of one that does not exist.
    #[must_use]
    pub fn products(&self, of: Option<&VendorId>) -> ReadableProducts {
        let chosen = of.into_iter().map(|vendor| vendor.as_str().to_owned());
        let vendors = match self {
            Self::Marketplace | Self::Support => of.map(|_| chosen.collect()),
            Self::Seller(own) => {
                let is_chosen = |vendor: &&VendorId| of.is_none_or(|of| of == *vendor);
                Some(own.iter().filter(is_chosen).map(|vendor| vendor.as_str().to_owned()).collect())
            }
        };
        ReadableProducts { vendors }
    }

    /// Returns the anomalies that the tenant may list: a seller those of its vendors.
    #[must_use]
    pub fn anomalies(&self) -> ReadableAnomalies {
        let vendors = match self {
            Self::Marketplace | Self::Support => None,
            Self::Seller(own) => Some(own.iter().map(|vendor| vendor.as_str().to_owned()).collect()),
        };
        ReadableAnomalies { vendors }
    }

    /// Returns the orders of a seller, if the tenant may compare them with a list: admins, and the seller. `None` as
    /// well for support, which reads sums, but not orders.
    #[must_use]
    pub fn orders(&self, of: &VendorId) -> Option<ReadableOrders> {
        let asker = match self {
            Self::Marketplace => Asker::Marketplace,
            Self::Seller(own) if own.contains(of) => Asker::Seller,
            Self::Support | Self::Seller(_) => return None,
        };
        Some(ReadableOrders { vendor: of.clone(), asker })
    }

    /// Returns whether the tenant may read who users are: buyers, and who adjusted a metric.
    #[must_use]
    pub const fn reads_users(&self) -> bool {
        match self {
            Self::Marketplace => true,
            Self::Support | Self::Seller(_) => false,
        }
    }

    /// Returns the right to read the event log, if the tenant has it.
    #[must_use]
    pub fn event_log(&self) -> Option<EventLogAccess> {
        match self {
            Self::Marketplace => Some(EventLogAccess(())),
            Self::Support | Self::Seller(_) => None,
        }
    }
}

impl MetricRange {
    fn of(exactly: String) -> Self {
        Self { prefix: format!("{exactly}:"), exactly }
    }
}

impl ReadableOrders {
    /// Returns who asks.
    #[must_use]
    pub const fn asker(&self) -> Asker {
        self.asker
    }
}

impl ReadableMetric {
    /// Returns a counter of the whole marketplace, for whoever may read another one.
    pub(super) fn of_marketplace(&self, metric: Metric) -> Self {
        let known = MetricType::new(metric, Subject::Marketplace);
        Self { text: known.to_string(), known: Some(known) }
    }

    /// Returns the metric's type.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the parsed type, if the catalogue defines it; `None` for a metric that was only
    /// adjusted.
    #[must_use]
    pub const fn known(&self) -> Option<&MetricType> {
        self.known.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use analytics_core::money::Currency;
    use chrono::NaiveDate;

    fn metric_type(text: &str) -> MetricType {
        MetricType::parse(text, NaiveDate::default(), Currency::parse("USD").unwrap()).unwrap()
    }

    fn seller(vendors: &[&str]) -> Tenant {
        Tenant::Seller(vendors.iter().map(|vendor| VendorId::parse(vendor).unwrap()).collect())
    }

    /// Returns the types with which the ranges of a metric begin.
    fn named(tenant: &Tenant, metric: Metric) -> Vec<(String, String)> {
        named_of(tenant, metric, None)
    }

    fn named_of(tenant: &Tenant, metric: Metric, of: Option<&str>) -> Vec<(String, String)> {
        let of = of.map(|vendor| VendorId::parse(vendor).unwrap());
        let ranges = tenant.metrics_named(metric, of.as_ref()).into_iter();
        ranges.map(|range| (range.exactly, range.prefix)).collect()
    }

    fn range(exactly: &str) -> (String, String) {
        (exactly.to_owned(), format!("{exactly}:"))
    }

    #[test]
    fn a_seller_gets_what_is_about_it_and_nothing_else() {
        let seller = seller(&["v:1"]);
        for own in ["seller_views:v%3A1", "seller_revenue:v%3A1:EUR", "conversion_rate:v%3A1", "seller_rating:v%3A1"] {
            assert_eq!(seller.metric(&metric_type(own)).map(|m| m.text).as_deref(), Some(own));
        }
        for other in ["seller_views:v", "seller_revenue:v-2", "total_revenue", "product_views:v%3A1", "daily_signups"] {
            assert_eq!(seller.metric(&metric_type(other)), None, "{other}");
            assert!(Tenant::Marketplace.metric(&metric_type(other)).is_some());
        }
        assert_eq!(seller.custom_metric("x"), None);
        assert!(seller.event_log().is_none() && !seller.reads_users());
        assert_eq!(named(&seller, Metric::SellerRevenue), [range("seller_revenue:v%3A1")]);
        assert_eq!(named(&seller, Metric::TotalRevenue), []);
        assert_eq!(named(&seller, Metric::ProductViews), []);
    }

    #[test]
    fn a_seller_with_several_vendors_gets_what_is_about_any_of_them() {
        let both = seller(&["v:1", "v"]);
        for own in ["seller_views:v%3A1", "seller_views:v", "seller_revenue:v:EUR", "conversion_rate:v%3A1"] {
            assert_eq!(both.metric(&metric_type(own)).map(|m| m.text).as_deref(), Some(own));
        }
        for other in ["seller_views:v-2", "seller_views:v1", "total_revenue", "product_views:v", "daily_signups"] {
            assert_eq!(both.metric(&metric_type(other)), None, "{other}");
        }
        let ranges = [range("seller_revenue:v"), range("seller_revenue:v%3A1")];
        assert_eq!(named(&both, Metric::SellerRevenue), ranges);
        assert_eq!(named(&both, Metric::TotalRevenue), []);
        assert_eq!(both.custom_metric("x"), None);
        assert!(both.event_log().is_none() && !both.reads_users());
        let none = seller(&[]);
        assert_eq!(none.metric(&metric_type("seller_views:v")), None);
        assert_eq!(named(&none, Metric::SellerViews), []);
    }

    #[test]
    fn metrics_of_a_name_may_be_those_of_one_vendor() {
        let revenue = |tenant: &Tenant, of| named_of(tenant, Metric::SellerRevenue, Some(of));
        let both = seller(&["v-1", "v-2"]);
        for tenant in [&both, &Tenant::Marketplace, &Tenant::Support] {
            assert_eq!(revenue(tenant, "v-2"), [range("seller_revenue:v-2")]);
            assert_eq!(named_of(tenant, Metric::TotalRevenue, Some("v-2")), []);
            assert_eq!(named_of(tenant, Metric::ProductViews, Some("v-2")), []);
        }
        assert_eq!(revenue(&both, "v-3"), []);
        assert_eq!(revenue(&both, "v"), []);
        assert_eq!(revenue(&Tenant::Support, "v-3"), [range("seller_revenue:v-3")]);
    }

    #[test]
    fn a_seller_lists_its_own_products() {
        let vendors = |tenant: &Tenant, of: Option<&str>| {
            let of = of.map(|id| VendorId::parse(id).unwrap());
            tenant.products(of.as_ref()).vendors.map(|vendors| vendors.join(" "))
        };
        let both = seller(&["v-1", "v-2"]);
        assert_eq!(vendors(&both, None).as_deref(), Some("v-1 v-2"));
        assert_eq!(vendors(&both, Some("v-2")).as_deref(), Some("v-2"));
        assert_eq!(vendors(&both, Some("v-3")).as_deref(), Some(""));
        assert_eq!(vendors(&seller(&[]), None).as_deref(), Some(""));
        for staff in [Tenant::Marketplace, Tenant::Support] {
            assert_eq!(vendors(&staff, None), None);
            assert_eq!(vendors(&staff, Some("v-3")).as_deref(), Some("v-3"));
        }
    }

    #[test]
    fn orders_are_for_admins_and_their_seller() {
        let asker = |tenant: &Tenant, of: &str| tenant.orders(&VendorId::parse(of).unwrap()).map(|orders| orders.asker);
        let both = seller(&["v-1", "v-2"]);
        assert_eq!(asker(&both, "v-2"), Some(Asker::Seller));
        assert_eq!(asker(&both, "v-3"), None);
        assert_eq!(asker(&seller(&[]), "v-3"), None);
        assert_eq!(asker(&Tenant::Marketplace, "v-3"), Some(Asker::Marketplace));
        assert_eq!(asker(&Tenant::Support, "v-3"), None);
    }

    #[test]
    fn support_gets_every_metric_but_neither_users_nor_the_event_log() {
        let (support, admin) = (Tenant::Support, Tenant::Marketplace);
        for text in ["seller_views:v", "seller_revenue:v:EUR", "total_revenue", "product_views:p", "daily_signups"] {
            assert_eq!(support.metric(&metric_type(text)), admin.metric(&metric_type(text)));
            assert!(support.metric(&metric_type(text)).is_some(), "{text}");
        }
        assert!(support.custom_metric("x").is_some());
        assert_eq!(named(&support, Metric::SellerRevenue), [range("seller_revenue")]);
        assert!(support.event_log().is_none() && !support.reads_users());
        assert!(admin.event_log().is_some() && admin.reads_users());
    }
}
