//! Embeds the files of the dashboard in the program: writes a list of them, with `include_bytes!`
//! for each, so that neither a macro's crate nor a file at run time is needed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=dashboard");
    let variable = |name| env::var_os(name).map(PathBuf::from).ok_or_else(|| io::Error::other(name));
    let dashboard = variable("CARGO_MANIFEST_DIR")?.join("dashboard");
    let assets = dashboard.join("assets");
    let mut files = Vec::new();
    collect(&assets, &mut files)?;
    files.sort();
    let index = dashboard.join("index.html");
    let mut list = format!(
        "/// The template of every page.\nconst INDEX: &str = include_str!({index:?});\n\
         /// The name and the content of every other file.\nconst FILES: &[(&str, &[u8])] = &[\n"
    );
    for file in &files {
        let name = file.strip_prefix(&assets).map_err(io::Error::other)?;
        let name = name.to_str().ok_or_else(|| io::Error::other("names of files must be UTF-8"))?.replace('\\', "/");
        writeln!(list, "    ({name:?}, include_bytes!({file:?})),").map_err(io::Error::other)?;
    }
    list.push_str("];\n");
    fs::write(variable("OUT_DIR")?.join("dashboard.rs"), list)
}

/// Adds every file below a folder, without hidden ones.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if entry.file_type()?.is_dir() { collect(&entry.path(), files)? } else { files.push(entry.path()) }
    }
    Ok(())
}
