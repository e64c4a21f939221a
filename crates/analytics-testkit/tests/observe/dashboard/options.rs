//! How panels show what they read: those of Grafana's options that the dashboards use.

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FieldConfig {
    defaults: Defaults,
    overrides: Vec<Override>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Defaults {
    unit: Unit,
    decimals: Option<u8>,
    min: Option<f64>,
    color: Option<Color>,
    thresholds: Option<Thresholds>,
    custom: Option<Custom>,
}

/// Units that the dashboards use, by Grafana's names.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Unit {
    Bytes,
    Cps,
    None,
    #[serde(rename = "percentunit")]
    Percent,
    ReqPs,
    S,
    Short,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Color {
    mode: ColorMode,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ColorMode {
    Thresholds,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Thresholds {
    mode: ThresholdMode,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ThresholdMode {
    Absolute,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    color: StepColor,
    value: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum StepColor {
    Green,
    Orange,
    Red,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Custom {
    draw_style: DrawStyle,
    fill_opacity: u8,
    line_width: u8,
    show_points: Never,
    stacking: Option<Stacking>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum DrawStyle {
    Bars,
    Line,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Never {
    Never,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stacking {
    mode: StackingMode,
    group: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum StackingMode {
    Normal,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Override {
    matcher: Matcher,
    properties: Vec<Property>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Matcher {
    id: MatcherKind,
    options: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum MatcherKind {
    ByName,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, tag = "id", content = "value", rename_all = "camelCase")]
enum Property {
    Unit(DateUnit),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum DateUnit {
    DateTimeAsIso,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct StatOptions {
    color_mode: StatColor,
    graph_mode: Off,
    justify_mode: Auto,
    text_mode: Auto,
    orientation: Auto,
    wide_layout: bool,
    show_percent_change: bool,
    percent_change_color_mode: PercentColor,
    reduce_options: Reduce,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum StatColor {
    None,
    Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Off {
    None,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Auto {
    Auto,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum PercentColor {
    Standard,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reduce {
    calcs: Vec<Calculation>,
    fields: String,
    values: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Calculation {
    LastNotNull,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct TableOptions {
    show_header: bool,
    cell_height: CellHeight,
    frame_index: u8,
}

#[derive(Deserialize)]
enum CellHeight {
    #[serde(rename = "sm")]
    Small,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TimeseriesOptions {
    legend: Legend,
    tooltip: Tooltip,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Legend {
    display_mode: DisplayMode,
    placement: Placement,
    show_legend: bool,
    calcs: Vec<Calculation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum DisplayMode {
    List,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Placement {
    Bottom,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tooltip {
    mode: TooltipMode,
    sort: Sort,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum TooltipMode {
    Multi,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Sort {
    Desc,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Transformation {
    id: TransformationKind,
    options: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum TransformationKind {
    Merge,
    Organize,
}
