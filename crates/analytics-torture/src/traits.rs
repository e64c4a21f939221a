//! What a stream of records contains.

/// What a stream contains in addition to ordinary traffic.
#[derive(Debug, Clone, Copy, Default)]
pub struct Traits {
    /// Producers' clocks jump: years back, hours back, minutes ahead.
    pub jumping_clocks: bool,
    /// Ten times as many bad records: 3 % instead of 0.3 %.
    pub bad_records: bool,
    /// Records that the database refuses, because of a CHECK constraint that the run adds.
    pub refused_records: bool,
    /// Records made to crash their reader: extreme numbers, deep nesting, headers that are not
    /// UTF-8.
    pub hostile_records: bool,
    /// No cancellations and refunds, whose topics have few records.
    pub no_reversals: bool,
    /// Orders count when they are paid, and a third of them is not paid when it is created.
    pub unpaid_orders: bool,
}
