//! The mapping of topics to event types.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::excerpt::got;
use crate::family::Family;

/// The type that an event is logged as.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventType {
    /// An event of a family: decoded, and counted if the rules count the family.
    Counted(Family),
    /// An event of an extra topic, whose name is the type: logged only.
    Extra(Arc<str>),
    /// A metric that was set by hand. Such events come from no topic.
    Adjustment,
}

/// The type that adjustments are logged as.
const ADJUSTMENT: &str = "metric.adjusted";

impl EventType {
    /// Returns the type of an event that was logged under this name by this version of the rules.
    /// If the name was an extra topic's at that version, the event remains one of an extra topic,
    /// even if there is a family of that name now.
    #[must_use]
    pub fn logged(name: &str, rules_version: i16) -> Self {
        let known = Family::named(name).filter(|family| family.since() <= rules_version);
        match known {
            Some(family) => Self::Counted(family),
            None if name == ADJUSTMENT => Self::Adjustment,
            None => Self::Extra(name.into()),
        }
    }

    /// Returns the name in `event_logs.event_type`.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Counted(family) => family.name(),
            Self::Extra(topic) => topic,
            Self::Adjustment => ADJUSTMENT,
        }
    }
}

/// Greatest length of an extra topic's name: `event_type` is `varchar(100)`.
const MAX_EXTRA_TOPIC: usize = 100;

/// The reason why a mapping of topics cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTopics {
    /// The part before `=` is not a family.
    #[error(
        "must name an event family before '=' ({}){}",
        Family::ALL.map(Family::name).join(", "),
        got(.0)
    )]
    UnknownFamily(String),
    /// The name of a topic is not allowed by Kafka.
    #[error("must name topics with 1 to 249 of the characters A-Z a-z 0-9 . _ -{}", got(.0))]
    BadName(String),
    /// The part after `@` is not a namespace.
    #[error("must give a namespace after '@' with 1 to 64 of the characters A-Z a-z 0-9 . _ -{}", got(.0))]
    BadNamespace(String),
    /// The name of an extra topic is too long for an event type.
    #[error("must name extra topics with at most {MAX_EXTRA_TOPIC} characters")]
    ExtraTooLong(String),
    /// An extra topic has the name of a counted family or of adjustments, so that its events could
    /// not be told from theirs.
    #[error("must not name an extra topic like a built-in event type{}", got(.0))]
    ExtraCounted(String),
    /// A topic is named more than once.
    #[error("must name a topic once{}", got(.0))]
    Twice(String),
}

/// The topics to consume, and the type of the events in each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics(BTreeMap<Arc<str>, Topic>);

/// The events of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Topic {
    event_type: EventType,
    /// Whether it may be absent.
    is_optional: bool,
    /// Separates the identities of its events from those of other topics of the same family.
    namespace: Option<String>,
}

impl Topics {
    /// Parses `KAFKA_TOPICS` (a comma-separated list of `family=topic`; a family may have several
    /// topics) and `KAFKA_EXTRA_TOPICS` (a comma-separated list of topics). A family that the
    /// mapping does not name has its default topic, which has the family's name. The default topic
    /// of an optional family may be given as an extra topic: it is one, and the family has no topic
    /// then. With `family=topic@namespace`, ids of orders, users, ratings and events in the topic are distinct
    /// from the same ids in topics of another namespace.
    ///
    /// # Errors
    /// [`InvalidTopics`] naming the entry that is not valid.
    pub fn parse(mapping: &str, extra: &str) -> Result<Self, InvalidTopics> {
        let mut topics = BTreeMap::new();
        let mut add = |name: &str, event_type: EventType, namespace: Option<&str>| {
            let name = topic_name(name)?;
            let namespace = namespace.map(namespace_name).transpose()?;
            let is_optional = is_optional(&event_type);
            match topics.insert(name.clone(), Topic { event_type, is_optional, namespace }) {
                Some(_) => Err(InvalidTopics::Twice(name.to_string())),
                None => Ok(()),
            }
        };
        let mut unnamed = Family::ALL.to_vec();
        for entry in entries(mapping) {
            let (name, topic) = entry.split_once('=').unwrap_or((entry, entry));
            let family =
                Family::named(name.trim()).ok_or_else(|| InvalidTopics::UnknownFamily(name.trim().to_owned()))?;
            unnamed.retain(|other| *other != family);
            let (topic, namespace) = match topic.split_once('@') {
                Some((topic, namespace)) => (topic, Some(namespace.trim())),
                None => (topic, None),
            };
            add(topic.trim(), EventType::Counted(family), namespace)?;
        }
        let is_extra = |family: &Family| family.is_optional() && entries(extra).any(|topic| topic == family.name());
        for family in unnamed.into_iter().filter(|family| !is_extra(family)) {
            add(family.name(), EventType::Counted(family), None)?;
        }
        for topic in entries(extra) {
            if topic.len() > MAX_EXTRA_TOPIC {
                return Err(InvalidTopics::ExtraTooLong(topic.to_owned()));
            }
            let name = topic_name(topic)?;
            add(topic, EventType::Extra(name), None)?;
            if !may_be_extra(&EventType::logged(topic, i16::MAX)) {
                return Err(InvalidTopics::ExtraCounted(topic.to_owned()));
            }
        }
        Ok(Self(topics))
    }

    /// Returns the type of a topic's events; `None` for a topic that is not in the mapping.
    #[must_use]
    pub fn event_type(&self, topic: &str) -> Option<&EventType> {
        self.0.get(topic).map(|topic| &topic.event_type)
    }

    /// Returns the namespace of a topic's identities, if the mapping gives it one.
    #[must_use]
    pub fn namespace(&self, topic: &str) -> Option<&str> {
        self.0.get(topic)?.namespace.as_deref()
    }

    /// Returns the names of the topics whose events are of another family, or of none.
    pub fn not_of(&self, family: Family) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(_, topic)| topic.event_type != EventType::Counted(family)).map(|(name, _)| &**name)
    }

    /// Returns the names of the topics to subscribe to.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|topic| &**topic)
    }

    /// Whether a topic of the mapping may be absent, as its family is optional.
    #[must_use]
    pub fn is_optional(&self, topic: &str) -> bool {
        self.0.get(topic).is_some_and(|topic| topic.is_optional)
    }
}

impl Default for Topics {
    fn default() -> Self {
        let topic = |family: Family| Topic {
            event_type: EventType::Counted(family),
            is_optional: family.is_optional(),
            namespace: None,
        };
        let own = |family: Family| (Arc::from(family.name()), topic(family));
        Self(Family::ALL.into_iter().map(own).collect())
    }
}

impl fmt::Display for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().collect::<Vec<_>>().join(", "))
    }
}

const fn is_optional(event_type: &EventType) -> bool {
    matches!(event_type, EventType::Counted(family) if family.is_optional())
}

/// Whether events that an extra topic logs under the name of this type can be told from its own: those of
/// an optional family name a product, a vendor or an order, those of an extra topic nothing.
const fn may_be_extra(event_type: &EventType) -> bool {
    match event_type {
        EventType::Extra(_) => true,
        EventType::Counted(family) => family.is_optional(),
        EventType::Adjustment => false,
    }
}

fn entries(list: &str) -> impl Iterator<Item = &str> {
    list.split([',', '\n']).map(str::trim).filter(|entry| !entry.is_empty())
}

/// Whether a name consists of 1 to `longest` of the characters that Kafka allows.
fn is_name(name: &str, longest: usize) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=longest).contains(&name.len()) && name.bytes().all(allowed)
}

fn namespace_name(name: &str) -> Result<String, InvalidTopics> {
    if is_name(name, 64) { Ok(name.to_owned()) } else { Err(InvalidTopics::BadNamespace(name.to_owned())) }
}

fn topic_name(name: &str) -> Result<Arc<str>, InvalidTopics> {
    let valid = is_name(name, 249) && name != "." && name != "..";
    if valid { Ok(Arc::from(name)) } else { Err(InvalidTopics::BadName(name.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(topics: &Topics) -> Vec<(String, String)> {
        topics.0.iter().map(|(topic, kind)| (topic.to_string(), kind.event_type.name().to_owned())).collect()
    }

    #[test]
    fn families_keep_their_default_topic_unless_mapped() {
        let topics =
            Topics::parse("order.created=prod.orders, order.created=prod.orders.eu", "cart.abandoned").unwrap();
        let expected = [
            ("cart.abandoned", "cart.abandoned"),
            ("order.cancelled", "order.cancelled"),
            ("order.paid", "order.paid"),
            ("order.refunded", "order.refunded"),
            ("order.status.updated", "order.status.updated"),
            ("prod.orders", "order.created"),
            ("prod.orders.eu", "order.created"),
            ("product.created", "product.created"),
            ("product.updated", "product.updated"),
            ("product.viewed", "product.viewed"),
            ("rating.updated", "rating.updated"),
            ("user.registered", "user.registered"),
            ("vendor.created", "vendor.created"),
            ("vendor.updated", "vendor.updated"),
        ];
        assert_eq!(names(&topics), expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert_eq!(Topics::parse("", "").unwrap(), Topics::default());
    }

    #[test]
    fn a_topic_may_have_a_namespace() {
        let topics =
            Topics::parse("order.created=orders.eu@eu, order.created=orders.us@us,order.created=old", "").unwrap();
        assert_eq!(topics.namespace("orders.eu"), Some("eu"));
        assert_eq!(topics.namespace("orders.us"), Some("us"));
        assert_eq!(topics.namespace("old"), None);
        let expected: Vec<&str> = topics.names().filter(|topic| !topics.is_optional(topic)).collect();
        assert_eq!(expected, ["old", "orders.eu", "orders.us", "product.viewed", "rating.updated", "user.registered"]);
    }

    #[test]
    fn topics_of_optional_families_may_be_absent_whatever_they_are_called() {
        let topics = Topics::parse("product.created=catalog.new,order.created=orders", "cart.abandoned").unwrap();
        let optional: Vec<&str> = topics.names().filter(|topic| topics.is_optional(topic)).collect();
        let of_orders = ["order.cancelled", "order.paid", "order.refunded", "order.status.updated"];
        let expected = ["catalog.new", "product.updated", "vendor.created", "vendor.updated"];
        assert!(of_orders.into_iter().chain(expected).all(|topic| optional.contains(&topic)), "{optional:?}");
        assert_eq!(optional.len(), of_orders.len() + expected.len());
        assert_eq!(topics.event_type("catalog.new"), Some(&EventType::Counted(Family::ProductCreated)));
        assert!(!topics.is_optional("not.in.the.mapping"));
    }

    /// Before there were these families, some operators had their topics logged as extra ones.
    #[test]
    fn the_topic_of_an_optional_family_may_be_an_extra_topic_instead() {
        let topics = Topics::parse("", "product.created,order.cancelled").unwrap();
        assert_eq!(topics.event_type("order.cancelled"), Some(&EventType::Extra("order.cancelled".into())));
        assert_eq!(topics.event_type("product.created"), Some(&EventType::Extra("product.created".into())));
        assert!(!topics.is_optional("product.created"), "an extra topic is expected to exist");
        assert_eq!(topics.event_type("product.updated"), Some(&EventType::Counted(Family::ProductUpdated)));
        let both = Topics::parse("product.created=catalog.new", "product.created").unwrap();
        assert_eq!(both.event_type("catalog.new"), Some(&EventType::Counted(Family::ProductCreated)));
        assert_eq!(both.event_type("product.created"), Some(&EventType::Extra("product.created".into())));
        let twice = InvalidTopics::Twice("product.created".into());
        assert_eq!(Topics::parse("product.created=product.created", "product.created"), Err(twice));
    }

    #[test]
    fn a_mapping_that_cannot_be_used_names_its_entry() {
        for (mapping, extra, expected) in [
            ("orders=x", "", InvalidTopics::UnknownFamily("orders".into())),
            ("order.created=a b", "", InvalidTopics::BadName("a b".into())),
            ("order.created=", "", InvalidTopics::BadName(String::new())),
            ("order.created=a@", "", InvalidTopics::BadNamespace(String::new())),
            ("order.created=a@b@c", "", InvalidTopics::BadNamespace("b@c".into())),
            ("", "a@b", InvalidTopics::BadName("a@b".into())),
            ("order.created=product.viewed", "", InvalidTopics::Twice("product.viewed".into())),
            ("", "order.created", InvalidTopics::Twice("order.created".into())),
            ("order.created=orders", "order.created", InvalidTopics::ExtraCounted("order.created".into())),
        ] {
            assert_eq!(Topics::parse(mapping, extra), Err(expected), "{mapping} {extra}");
        }
        let long = "x".repeat(101);
        assert_eq!(Topics::parse("", &long), Err(InvalidTopics::ExtraTooLong(long)));
    }
}
