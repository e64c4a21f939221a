//! Tenancy, by types: what may be read is a value that only a [`Tenant`] can make, and the
//! queries take nothing else. A query for a seller cannot be built without the vendor it is for.

use analytics_core::catalogue::{Metric, SubjectKind};
use analytics_core::ids::{Encoded, VendorId};
use analytics_core::metric_type::MetricType;

/// For whom something is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tenant {
    /// The marketplace's staff: everything.
    Marketplace,
    /// One seller: what is about it.
    Seller(VendorId),
}

/// A metric that the tenant may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadableMetric {
    text: String,
    known: Option<MetricType>,
}

/// The metrics of one name that the tenant may read: a range of types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricRange {
    /// The type that is the name itself, or the name and the vendor.
    pub(super) exactly: String,
    /// What all longer types of the range begin with.
    pub(super) prefix: String,
}

/// The right to read the event log, which holds everybody's events.
#[derive(Debug, Clone, Copy)]
pub struct EventLogAccess(());

impl Tenant {
    /// The metric of a type, if it is the tenant's to read.
    #[must_use]
    pub fn metric(&self, metric_type: &MetricType) -> Option<ReadableMetric> {
        let own = match self {
            Self::Marketplace => true,
            Self::Seller(vendor) => metric_type.vendor() == Some(vendor),
        };
        own.then(|| ReadableMetric { text: metric_type.to_string(), known: Some(metric_type.clone()) })
    }

    /// A metric that the catalogue does not know, made by an adjustment: nobody's but the
    /// marketplace's.
    #[must_use]
    pub fn custom_metric(&self, metric_type: &str) -> Option<ReadableMetric> {
        (*self == Self::Marketplace).then(|| ReadableMetric { text: metric_type.to_owned(), known: None })
    }

    /// The metrics of one name, if any of them can be the tenant's to read.
    #[must_use]
    pub fn metrics_named(&self, metric: Metric) -> Option<MetricRange> {
        let exactly = match self {
            Self::Marketplace => metric.name().to_owned(),
            Self::Seller(vendor) if metric.subject() == SubjectKind::Vendor => {
                format!("{}:{}", metric.name(), Encoded(vendor.as_str()))
            }
            Self::Seller(_) => return None,
        };
        Some(MetricRange { prefix: format!("{exactly}:"), exactly })
    }

    /// The right to read the event log, if the tenant has it.
    #[must_use]
    pub fn event_log(&self) -> Option<EventLogAccess> {
        (*self == Self::Marketplace).then_some(EventLogAccess(()))
    }
}

impl ReadableMetric {
    /// The metric's type.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What the catalogue knows of it: nothing, where adjustments alone made it.
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

    #[test]
    fn a_seller_gets_what_is_about_it_and_nothing_else() {
        let seller = Tenant::Seller(VendorId::parse("v:1").unwrap());
        for own in ["seller_views:v%3A1", "seller_revenue:v%3A1:EUR", "conversion_rate:v%3A1", "seller_rating:v%3A1"] {
            assert_eq!(seller.metric(&metric_type(own)).map(|m| m.text).as_deref(), Some(own));
        }
        for other in ["seller_views:v", "seller_revenue:v-2", "total_revenue", "product_views:v%3A1", "daily_signups"] {
            assert_eq!(seller.metric(&metric_type(other)), None, "{other}");
            assert!(Tenant::Marketplace.metric(&metric_type(other)).is_some());
        }
        assert_eq!(seller.custom_metric("x"), None);
        assert!(seller.event_log().is_none());
        let range = seller.metrics_named(Metric::SellerRevenue).unwrap();
        assert_eq!((range.exactly.as_str(), range.prefix.as_str()), ("seller_revenue:v%3A1", "seller_revenue:v%3A1:"));
        assert_eq!(seller.metrics_named(Metric::TotalRevenue), None);
        assert_eq!(seller.metrics_named(Metric::ProductViews), None);
    }
}
