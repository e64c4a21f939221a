//! The files of the dashboard, embedded in the program by `build.rs`.

use std::collections::BTreeMap;
use std::io::{self, Write as _};

use actix_web::web::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

include!(concat!(env!("OUT_DIR"), "/dashboard.rs"));

/// A file that pages load.
pub(super) struct File {
    pub(super) content_type: &'static str,
    pub(super) plain: Bytes,
    /// The same compressed, if that is shorter.
    pub(super) gzip: Option<Bytes>,
}

/// Every file that pages load, compressed once, at the start.
pub(super) struct Files {
    /// A hash of all names and contents. It is part of each address, so that a file at an address
    /// never changes, and modules can import each other by relative names.
    pub(super) hash: String,
    files: BTreeMap<&'static str, File>,
}

impl Files {
    pub(super) fn embedded() -> io::Result<Self> {
        let mut hash = Sha256::new();
        let mut files = BTreeMap::new();
        for (name, content) in FILES {
            for part in [name.as_bytes(), content] {
                hash.update(part.len().to_be_bytes());
                hash.update(part);
            }
            let compressed = Some(gzip(content)?).filter(|gzip| gzip.len() < content.len());
            let plain = Bytes::from_static(content);
            files.insert(*name, File { content_type: content_type(name), plain, gzip: compressed.map(Bytes::from) });
        }
        let hash = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { hash, files })
    }

    /// Returns the file of this name, which is never looked up on a disk.
    pub(super) fn get(&self, name: &str) -> Option<&File> {
        self.files.get(name)
    }
}

fn gzip(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    encoder.finish()
}

/// The template of every page.
pub(super) const fn index() -> &'static str {
    INDEX
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map(|(_, extension)| extension) {
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("txt" | "md") | None => "text/plain; charset=utf-8",
        Some(_) => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The limit on all that the first page loads, compressed, in bytes.
    const BUDGET: usize = 60_000;

    /// Returns the texts between quotes that follow a word, such as the names of imported modules.
    fn quoted<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
        let after = text.match_indices(word).map(|(at, word)| text[at + word.len()..].trim_start());
        after
            .filter_map(|rest| {
                let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
                rest[1..].split_once(quote).map(|(quoted, _)| quoted)
            })
            .collect()
    }

    /// Returns the name that a module means by a relative one.
    fn resolved(module: &str, import: &str) -> String {
        let mut path: Vec<&str> = module.split('/').collect();
        path.pop();
        for part in import.split('/') {
            match part {
                "." => {}
                ".." => drop(path.pop()),
                part => path.push(part),
            }
        }
        path.join("/")
    }

    /// Returns every file that a page loads: what the template names, the page's own module, and what
    /// modules and style sheets import or name by `new URL`. What a module imports when it is needed,
    /// as in `import(...)`, is not loaded with it.
    fn loaded(view: Option<&str>) -> BTreeSet<String> {
        let mut waiting: Vec<String> = ["href=", "src="]
            .iter()
            .flat_map(|attribute| quoted(INDEX, attribute))
            .filter_map(|address| address.strip_prefix("{{assets}}/").map(str::to_owned))
            .chain(view.map(str::to_owned))
            .collect();
        let mut loaded = BTreeSet::new();
        while let Some(name) = waiting.pop() {
            if !loaded.insert(name.clone()) {
                continue;
            }
            let (_, content) =
                FILES.iter().find(|(own, _)| *own == name).unwrap_or_else(|| panic!("{name} is missing"));
            let imports: &[&str] = match name.rsplit_once('.').unwrap().1 {
                "js" | "mjs" => &["from", "import", "new URL("],
                "css" => &["url(", "@import"],
                _ => &[],
            };
            let text = String::from_utf8_lossy(content);
            let names = imports.iter().flat_map(|word| quoted(&text, word));
            waiting.extend(names.filter(|import| import.starts_with('.')).map(|import| resolved(&name, import)));
        }
        loaded
    }

    /// Each page has a module in `views`, which is loaded first if the page is the first one.
    #[test]
    fn every_first_page_is_within_its_budget() {
        let files = Files::embedded().unwrap();
        let size = |name: &String| {
            let file = files.get(name).unwrap();
            file.gzip.as_ref().unwrap_or(&file.plain).len()
        };
        let views = FILES.iter().map(|(name, _)| *name).filter(|name| name.starts_with("views/"));
        for view in std::iter::once(None).chain(views.map(Some)) {
            let loaded = loaded(view);
            assert!(loaded.contains("main.js") && loaded.contains("style.css"), "{loaded:?}");
            let sizes: BTreeMap<&String, usize> = loaded.iter().map(|name| (name, size(name))).collect();
            let sum = sizes.values().sum::<usize>() + gzip(INDEX.as_bytes()).unwrap().len();
            println!("{sum} bytes with {view:?}");
            assert!(sum <= BUDGET, "{sum} bytes with {view:?}: {sizes:?}");
        }
    }

    #[test]
    fn imports_are_found_and_resolved() {
        let text = "import { a } from \"./a.js\";\nimport './b/c.js'\nexport * from\n  '../d.js'; const from = 1;";
        assert_eq!(quoted(text, "from"), ["./a.js", "../d.js"]);
        assert_eq!(quoted(text, "import"), ["./b/c.js"]);
        assert_eq!(resolved("views/x.js", "../vendor/y.js"), "vendor/y.js");
        assert_eq!(resolved("main.js", "./text.js"), "text.js");
    }

    #[test]
    fn every_file_has_a_type_and_templates_only_known_places() {
        for (name, content) in FILES {
            assert_ne!(content_type(name), "application/octet-stream", "{name}");
            assert!(!content.is_empty(), "{name}");
        }
        let places: BTreeSet<&str> = INDEX.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()).collect();
        assert_eq!(places, BTreeSet::from(["assets", "base", "config"]));
        // The policy forbids both.
        assert!(!INDEX.contains("<style") && !INDEX.contains("style="));
        assert!(!INDEX.contains("<script>"));
    }
}
