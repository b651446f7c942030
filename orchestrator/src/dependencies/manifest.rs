//! What a project's manifests name. Only packages of the language's own registry, by name and version: whatever else a
//! manifest can ask for (addresses, paths, repositories, options of the installer) is refused by name.

mod javascript;
mod python;
mod rust;

use edvac_memory::ids::TreeId;
use edvac_memory::index::FileStoreView;
use edvac_memory::store::StoreError;

use super::{Asked, Refused};

/// Larger manifests are not read.
const MANIFEST_BYTES_MAX: usize = 256 << 10;
/// Most characters of something refused that are shown.
const SHOWN_CHARS_MAX: usize = 80;

/// The text of a file, if it is there and a manifest can be that large.
type Read<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Reads the manifests of a tree.
pub(super) fn read(runner: &str, store: &dyn FileStoreView, tree: &TreeId) -> Result<Asked, StoreError> {
    let text = |path: &str| {
        let bytes = store.read(tree, path).ok().filter(|bytes| bytes.len() <= MANIFEST_BYTES_MAX)?;
        String::from_utf8(bytes).ok()
    };
    Ok(match runner {
        "python" => python::read(&text),
        "javascript" => javascript::read(&text),
        "rust" => {
            let all = store.list(tree)?.into_keys();
            rust::read(&text, &all.filter(|path| rust::is_manifest(path)).collect::<Vec<_>>())
        }
        _ => Asked::default(),
    })
}

/// Whether two names are one package's.
pub(super) fn same_name(runner: &str, one: &str, other: &str) -> bool {
    match runner {
        "python" => python::plain(one) == python::plain(other),
        "rust" => one.replace('-', "_") == other.replace('-', "_"),
        _ => one == other,
    }
}

/// Something of a manifest as it is shown in a sentence.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(SHOWN_CHARS_MAX).collect()
}

fn refused(file: &str, name: &str, what: &str, why: &str) -> Refused {
    Refused { name: shown(name), why: format!("{file} asks for `{}`: {why}", shown(what)) }
}
