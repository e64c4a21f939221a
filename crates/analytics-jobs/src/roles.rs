//! `analytics-jobs roles`: the roles of the service in PostgreSQL.

use std::path::PathBuf;

use analytics_db::roles::{self, Prefix, Role};
use analytics_process::say;
use analytics_process::settings::Settings;
use analytics_process::shutdown::Shutdown;
use anyhow::Context as _;
use clap::{ArgGroup, Args};

use crate::database;

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["print", "apply"]))]
pub struct Roles {
    /// Print the SQL, a script for psql, and change nothing; it sets no passwords
    #[arg(long)]
    print: bool,
    /// Create the roles that are missing, and grant their privileges, in one transaction
    #[arg(long)]
    apply: bool,
    /// The beginning of the names: the roles are PREFIX_owner, PREFIX_ingest, PREFIX_admin and
    /// PREFIX_reader
    #[arg(long, default_value = "analytics", value_parser = Prefix::parse)]
    prefix: Prefix,
    /// Set a role's password to what is in a file, such as reader=/run/secrets/reader; may be given
    /// several times
    #[arg(long, value_name = "ROLE=FILE", value_parser = password_file, requires = "apply")]
    password_file: Vec<(Role, PathBuf)>,
}

fn password_file(text: &str) -> Result<(Role, PathBuf), String> {
    let (role, path) = text.split_once('=').ok_or("must be a role and a file, such as reader=/run/secrets/reader")?;
    Ok((Role::named(role)?, path.into()))
}

pub(super) fn run(arguments: &Roles, settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<()> {
    if arguments.print {
        say!("{}", roles::script(&arguments.prefix).trim_end());
        return Ok(());
    }
    let passwords = arguments.password_file.iter().map(|(role, path)| {
        let password = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Ok((*role, password.trim_end_matches(['\n', '\r']).to_owned()))
    });
    let passwords = passwords.collect::<anyhow::Result<Vec<_>>>()?;
    let connection = &mut database::reach(settings, shutdown)?;
    roles::apply(connection, &arguments.prefix, &passwords)?;
    say!("the roles have their privileges; passwords set: {}", passwords.len());
    Ok(())
}
