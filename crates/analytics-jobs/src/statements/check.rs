//! `analytics-jobs statements check`: checks statements without a database.

use std::path::{Path, PathBuf};

use analytics_core::statement::{Checked, PublicKey, check};
use analytics_process::say;
use anyhow::{Context as _, bail};
use clap::Args;

/// A larger file is no statement: PostgreSQL stores no larger text.
const LARGEST: u64 = 1 << 30;

#[derive(Debug, Args)]
pub struct Check {
    /// The statements, as CSV; several of a seller in the order in which they were closed
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The key that must have signed them: in base64, or a file with it in base64 or PEM form. After a change of the
    /// key, give this option once for each of them
    #[arg(long = "public-key", value_name = "KEY")]
    public_keys: Vec<String>,
}

pub(super) fn run(arguments: &Check) -> anyhow::Result<()> {
    let keys = arguments.public_keys.iter().map(|key| public_key(key)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut before: Option<Checked> = None;
    for path in &arguments.files {
        let name = path.display();
        let checked = check(&read(path)?).with_context(|| name.to_string())?;
        let signer = checked.signer().with_context(|| name.to_string())?;
        if !keys.is_empty() {
            checked.signed_by(&keys).with_context(|| name.to_string())?;
        }
        if let Some(before) = &before {
            checked.follows(before).with_context(|| name.to_string())?;
        }
        let own = &checked.statement;
        say!(
            "{name}: {}, {}, version {}, closed {}: right, signed by {signer}, digest {}",
            own.vendor,
            own.month,
            own.version,
            own.closed_at.format("%Y-%m-%d"),
            checked.digest
        );
        for gap in &own.gaps {
            say!("{name}: gap: {gap}");
        }
        before = Some(checked);
    }
    Ok(())
}

/// Reads a key that is given in base64, or as the path of a file with it in base64 or PEM form.
pub(crate) fn public_key(text: &str) -> anyhow::Result<PublicKey> {
    if let Ok(key) = PublicKey::parse(text) {
        return Ok(key);
    }
    let read = std::fs::read_to_string(text)
        .with_context(|| format!("--public-key: {text:?} is neither a key in base64 nor a file that can be read"))?;
    PublicKey::parse(&read).with_context(|| format!("--public-key: {text}"))
}

fn read(path: &Path) -> anyhow::Result<String> {
    let size = std::fs::metadata(path).with_context(|| format!("{}: cannot be read", path.display()))?.len();
    if size > LARGEST {
        bail!("{}: line 1: is larger than any statement", path.display());
    }
    let bytes = std::fs::read(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    String::from_utf8(bytes).map_err(|error| {
        let before = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = before.split(|byte| *byte == b'\n').count();
        anyhow::anyhow!("{}: line {line}: is not UTF-8", path.display())
    })
}
