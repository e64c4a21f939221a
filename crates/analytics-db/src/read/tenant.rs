//! Tenancy, enforced by types: only a [`Tenant`] can create the values that the queries accept, so
//! a seller's query cannot be built without its vendor id.

use analytics_core::catalogue::{Metric, SubjectKind};
use analytics_core::ids::{Encoded, VendorId};
use analytics_core::metric_type::{MetricType, Subject};

/// Whose numbers a caller may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tenant {
    /// Staff of the marketplace, who may read everything.
    Marketplace,
    /// A seller, who may read what is about itself.
    Seller(VendorId),
}

/// A metric that the tenant may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadableMetric {
    text: String,
    known: Option<MetricType>,
}

/// The metrics with one name that the tenant may read: a range of types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricRange {
    /// The type that is exactly the name, or the name and the vendor.
    pub(super) exactly: String,
    /// The prefix of all longer types in the range.
    pub(super) prefix: String,
}

/// The right to read the event log, which contains the events of all sellers.
#[derive(Debug, Clone, Copy)]
pub struct EventLogAccess(());

impl Tenant {
    /// Returns the metric with this type, if the tenant may read it.
    #[must_use]
    pub fn metric(&self, metric_type: &MetricType) -> Option<ReadableMetric> {
        let own = match self {
            Self::Marketplace => true,
            Self::Seller(vendor) => metric_type.vendor() == Some(vendor),
        };
        own.then(|| ReadableMetric { text: metric_type.to_string(), known: Some(metric_type.clone()) })
    }

    /// Returns a metric that the catalogue does not define, created by an adjustment. Only the
    /// marketplace may read it.
    #[must_use]
    pub fn custom_metric(&self, metric_type: &str) -> Option<ReadableMetric> {
        (*self == Self::Marketplace).then(|| ReadableMetric { text: metric_type.to_owned(), known: None })
    }

    /// Returns the metrics with one name, if the tenant may read any of them.
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

    /// Returns the right to read the event log, if the tenant has it.
    #[must_use]
    pub fn event_log(&self) -> Option<EventLogAccess> {
        (*self == Self::Marketplace).then_some(EventLogAccess(()))
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
