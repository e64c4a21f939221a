//! Logging to standard error, as lines of text or as JSON objects.

use std::io::Write;

use chrono::{SecondsFormat, Utc};
use log::Level;
use serde_json::json;

use crate::settings::{Settings, SettingsError, masked};

/// Starts logging as `LOG_FORMAT` and `RUST_LOG` say.
///
/// # Errors
/// If `LOG_FORMAT` is neither `text` nor `json`, or if `RUST_LOG` is not a valid filter.
pub fn start(settings: &Settings) -> Result<(), SettingsError> {
    let json = settings.parse("LOG_FORMAT", |format| match format {
        "text" => Ok(false),
        "json" => Ok(true),
        _ => Err("must be text or json"),
    })?;
    settings.parse("RUST_LOG", |filters| {
        let parsed = env_filter::Builder::new().try_parse(filters).map(drop);
        parsed.map_err(|_| "must be log filters, such as info or warn,analytics_ingest=debug")
    })?;
    let mut builder = env_logger::Builder::new();
    builder.parse_filters(settings.get("RUST_LOG").unwrap_or("info"));
    builder.format(move |out, record| {
        // At this level the HTTP client shows what it sends and receives byte by byte, with passwords and tokens, in pieces
        // that cannot be recognised.
        if record.level() == Level::Trace && record.target().starts_with("ureq_proto") {
            return Ok(());
        }
        let time = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        let (level, target) = (record.level(), record.target());
        let message = masked(&record.args().to_string());
        if json {
            let line = json!({ "time": time, "level": level.as_str(), "target": target, "message": message });
            writeln!(out, "{line}")
        } else {
            writeln!(out, "{time} {level:<5} {target}: {message}")
        }
    });
    // Tests call this several times in one process; the first logger is kept.
    let _already_started = builder.try_init();
    Ok(())
}
