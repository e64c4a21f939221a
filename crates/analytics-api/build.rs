//! Embeds the files of the dashboard in the program: writes a list of them, with `include_bytes!`
//! for each, so that neither a macro's crate nor a file at run time is needed.
//!
//! Comments of our own modules are left out, because the first page has a size limit. Their lines
//! stay, empty, so that errors in a browser name the lines of the committed files.

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
    let embedded = variable("OUT_DIR")?.join("dashboard");
    for file in &files {
        let name = file.strip_prefix(&assets).map_err(io::Error::other)?;
        let name = name.to_str().ok_or_else(|| io::Error::other("names of files must be UTF-8"))?.replace('\\', "/");
        let is_own_module = name.ends_with(".js") && !name.starts_with("vendor/");
        let content = if is_own_module { &without_comments(file, embedded.join(&name))? } else { file };
        writeln!(list, "    ({name:?}, include_bytes!({content:?})),").map_err(io::Error::other)?;
    }
    list.push_str("];\n");
    fs::write(variable("OUT_DIR")?.join("dashboard.rs"), list)
}

/// Copies a module with an empty line for each line that is only a comment. Returns the copy's path.
fn without_comments(module: &Path, copy: PathBuf) -> io::Result<PathBuf> {
    let is_comment =
        |line: &str| line.starts_with("//") || (line.starts_with("/**") && line.find("*/") == Some(line.len() - 2));
    let code = fs::read_to_string(module)?;
    let lines: Vec<&str> = code.lines().map(|line| if is_comment(line.trim()) { "" } else { line }).collect();
    copy.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::write(&copy, lines.join("\n") + "\n")?;
    Ok(copy)
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
