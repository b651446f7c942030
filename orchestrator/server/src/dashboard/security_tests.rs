//! Who is let in, from where, and what no path leads to.

use std::collections::BTreeSet;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, ORIGIN};
use axum::http::{HeaderName, Method, StatusCode};

use super::api_tests::declared;
use super::testing::{Board, asked, board};
use crate::testing::{ADDRESS, TOKEN, read, send};

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const JSON: (HeaderName, &str) = (CONTENT_TYPE, "application/json");
const OWN: &str = "http://127.0.0.1:8765";
/// Addresses that a browser needs before it is known.
const ENTRY: [&str; 2] = ["/login", "/assets/app.css"];

/// Every address of the dashboard with its methods, read from where they are declared: none can be forgotten here. Pages stand
/// in the source; what is for programs stands in its description, without which it cannot be declared.
fn addresses(run: &str, prompt: u64) -> Vec<(Method, String)> {
    let source = include_str!("mod.rs");
    let routes = source.split(".route(\"").skip(1).map(|rest| {
        let (path, rest) = rest.split_once('"').unwrap();
        let until = rest.find(".route(").or_else(|| rest.find(".with_state")).unwrap_or(rest.len());
        (path.to_owned(), rest[..until].to_owned())
    });
    let mut all = declared();
    for (path, handlers) in routes {
        for (word, method) in [("get(", Method::GET), ("post(", Method::POST), ("put(", Method::PUT)] {
            if handlers.contains(word) {
                all.push((method, path.clone()));
            }
        }
    }
    let concrete = |path: String| {
        path.replace("{run}", run)
            .replace("{step}", "1")
            .replace("{seq}", &prompt.to_string())
            .replace("{name}", "app.js")
            .replace("{action}", "undo")
    };
    all.into_iter().map(|(method, path)| (method, concrete(path))).collect()
}

async fn status(board: &Board, method: Method, address: &str, headers: &[(HeaderName, &str)]) -> StatusCode {
    let body = if method == Method::GET { "" } else { "{}" };
    send(&board.server, asked(method, address, headers, body)).await.status()
}

fn cookie(board: &Board) -> String {
    let cookie = board.access.cookie(crate::app::now_s());
    format!("{}={}", cookie.name(), cookie.value())
}

#[tokio::test]
async fn every_address_wants_the_token() {
    let board = board().await;
    let dir = board.desk.find(&board.run).unwrap();
    let prompt = board.desk.watch(&dir).await.unwrap().lock().await.prompts[0].seq;
    let all = addresses(&board.run, prompt);
    let different: BTreeSet<_> = all.iter().map(|(_, address)| address).collect();
    assert!(different.len() > 20, "{different:?}");
    let bearer = format!("Bearer {TOKEN}");
    let right = cookie(&board);
    for (method, address) in &all {
        let wrong = [
            vec![],
            vec![(AUTHORIZATION, "Bearer wrong")],
            vec![(AUTHORIZATION, TOKEN)],
            vec![(COOKIE, "edvac-8765=wrong")],
            vec![(COOKIE, TOKEN)],
        ];
        for mut headers in wrong {
            headers.push(JSON);
            let got = status(&board, method.clone(), address, &headers).await;
            if ENTRY.contains(&address.as_str()) {
                assert_ne!(got, StatusCode::INTERNAL_SERVER_ERROR);
            } else {
                assert_eq!(got, StatusCode::UNAUTHORIZED, "{method} {address} {headers:?}");
            }
        }
        // What changes something is not done here: that the door opens is seen by another answer.
        let got = status(&board, method.clone(), address, &[(AUTHORIZATION, &bearer)]).await;
        assert_ne!(got, StatusCode::UNAUTHORIZED, "{method} {address}");
        if *method == Method::GET && !ENTRY.contains(&address.as_str()) {
            let got = status(&board, method.clone(), address, &[(COOKIE, &right)]).await;
            // The run is no book.
            let expected = if address.ends_with("/raw") {
                StatusCode::BAD_REQUEST
            } else if address.ends_with("/compare") {
                // No runs are named.
                StatusCode::BAD_REQUEST
            } else if address.ends_with("/book") {
                StatusCode::NOT_FOUND
            } else {
                StatusCode::OK
            };
            assert_eq!(got, expected, "{method} {address}");
        }
    }
}

#[tokio::test]
async fn a_cookie_does_not_open_the_model() {
    let board = board().await;
    let got = send(&board.server, asked(Method::GET, "/v1/models", &[], "")).await;
    assert_eq!(got.status(), StatusCode::SERVICE_UNAVAILABLE, "no model is served here");
    assert_eq!(status(&board, Method::GET, "/nothing/there", &[]).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn other_hosts_and_origins_are_refused() {
    let board = board().await;
    let bearer = format!("Bearer {TOKEN}");
    let right = cookie(&board);
    let hosts = [
        "",
        "127.0.0.1",
        "127.0.0.1:80",
        "127.0.0.1:8766",
        "localhost",
        "evil.example",
        "evil.example:8765",
        "127.0.0.1.evil.example:8765",
        "localhost.evil.example:8765",
        "localhost.:8765",
        "user@127.0.0.1:8765",
        "127.1:8765",
        "0.0.0.0:8765",
        "2130706433:8765",
        "0x7f.1:8765",
        "[::ffff:127.0.0.1]:8765",
        "[::]:8765",
        "127.0.0.1:8765/",
        "127.0.0.1:08765",
        "127.0.0.1:8765,evil.example",
    ];
    let origins = [
        "null",
        "http://evil.example",
        "https://evil.example",
        "http://127.0.0.1",
        "http://127.0.0.1:8766",
        "http://localhost:8765",
        "http://127.0.0.1:8765.evil.example",
        "http://127.0.0.1:8765@evil.example",
        "127.0.0.1:8765",
        "file://127.0.0.1:8765",
        "http://127.0.0.1:8765/",
        "chrome-extension://127.0.0.1:8765",
        "http://127.0.0.1:8765 http://evil.example",
        "httphttp://127.0.0.1:8765",
        "http://[::1]:8765",
        "http://127.0.0.1:08765",
        "HTTP://127.0.0.1:8765",
        "http://127.0.0.1:8765#",
        "http://127.0.0.1:8765?",
        "ws://127.0.0.1:8765",
    ];
    assert_eq!(hosts.len() + origins.len(), 40);
    let run = format!("/api/runs/{}", board.run);
    for auth in [(AUTHORIZATION, bearer.as_str()), (COOKIE, right.as_str())] {
        for (method, address) in [(Method::GET, "/"), (Method::GET, &run), (Method::GET, "/login")] {
            for host in hosts {
                let got = status(&board, method.clone(), address, &[auth.clone(), (HOST, host)]).await;
                assert_eq!(got, StatusCode::FORBIDDEN, "host {host:?} at {address}");
            }
            for origin in origins {
                let got = status(&board, method.clone(), address, &[auth.clone(), (ORIGIN, origin)]).await;
                assert_eq!(got, StatusCode::FORBIDDEN, "origin {origin:?} at {address}");
            }
        }
    }
}

#[tokio::test]
async fn what_other_sites_send_does_nothing() {
    let board = board().await;
    let right = cookie(&board);
    let undo = format!("/api/runs/{}/undo", board.run);
    let seq = || async { board.desk.find(&board.run).unwrap().state().await.unwrap().seq };
    let before = seq().await;
    let refused = [
        // A form of another site: no JSON, and its origin is said.
        vec![(CONTENT_TYPE, "text/plain"), (ORIGIN, "http://evil.example")],
        vec![(CONTENT_TYPE, "application/x-www-form-urlencoded"), (ORIGIN, "null")],
        // Nobody says where it is from.
        vec![JSON],
        vec![JSON, (ORIGIN, OWN), (SITE, "cross-site")],
        vec![JSON, (ORIGIN, OWN), (SITE, "same-site")],
    ];
    for mut headers in refused {
        headers.push((COOKIE, &right));
        let got = status(&board, Method::POST, &undo, &headers).await;
        assert_eq!(got, StatusCode::FORBIDDEN, "{headers:?}");
    }
    let plain = [(COOKIE, right.as_str()), (ORIGIN, OWN), (CONTENT_TYPE, "text/plain")];
    assert_eq!(status(&board, Method::POST, &undo, &plain).await, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(seq().await, before, "nothing was recorded");
    let own = [(COOKIE, right.as_str()), (ORIGIN, OWN), (SITE, "same-origin"), JSON];
    assert_eq!(status(&board, Method::POST, &undo, &own).await, StatusCode::OK);
    assert!(seq().await > before);
}

/// What lies where no path may lead.
const SECRET: &str = "nobody may read this";

/// 500 ways to leave a directory.
fn ways_out() -> Vec<String> {
    let ups = [
        "../",
        "..%2f",
        "..%2F",
        "%2e%2e/",
        "%2e%2e%2f",
        "..\\",
        "..%5c",
        "..%252f",
        ".../...//",
        "..;/",
        "..%c0%af",
        "..%00/",
        "./../",
        "a/../../",
        "notes/../../",
        "//../",
        "..//",
        "%2e./",
        ".%2e/",
        "..%ef%bc%8f",
    ];
    let targets = ["secret.txt", "state/server/token", "etc/passwd", ".git/config", "journal.sqlite"];
    let mut all = Vec::new();
    for up in ups {
        for target in targets {
            for depth in [1, 2, 3, 5, 8] {
                all.push(format!("{}{target}", up.repeat(depth)));
            }
        }
    }
    all
}

#[tokio::test]
async fn no_path_leads_out() {
    let board = board().await;
    std::fs::write(board.dir.path().join("secret.txt"), SECRET).unwrap();
    std::fs::create_dir_all(board.dir.path().join("state/server")).unwrap();
    std::fs::write(board.dir.path().join("state/server/token"), SECRET).unwrap();
    std::fs::write(board.desk.find(&board.run).unwrap().path.join("secret.txt"), SECRET).unwrap();
    let run = &board.run;
    let bearer = format!("Bearer {TOKEN}");
    let absolute = board.dir.path().join("secret.txt").display().to_string();
    let mut ways = ways_out();
    assert_eq!(ways.len(), 500);
    ways.extend([
        absolute.clone(),
        format!("file://{absolute}"),
        "/proc/self/environ".to_owned(),
        "\0".to_owned(),
    ]);
    for way in &ways {
        let query: String = form_urlencoded::byte_serialize(way.as_bytes()).collect();
        // Once as it is, where it can stand in an address, and once so that it arrives as it is.
        let plain = way.replace(['\\', '\0', ' '], "");
        let addresses = [
            format!("/api/runs/{run}/raw?path={query}"),
            format!("/api/runs/{run}/raw?path={plain}"),
            format!("/api/runs/{run}/files?path={query}"),
            format!("/runs/{run}/files?path={query}"),
            format!("/api/runs/{run}/raw?path=a.txt&at={query}"),
            format!("/runs/{query}"),
            format!("/api/runs/{query}/raw?path=a.txt"),
            format!("/assets/{query}"),
        ];
        for address in addresses {
            let (got, text) = read(
                send(&board.server, asked(Method::GET, &address, &[(AUTHORIZATION, &bearer)], "")).await,
            )
            .await;
            assert!(got.is_client_error(), "{got} at {address}: {text}");
            assert!(!text.contains(SECRET) && !text.contains("root:"), "{address}");
        }
    }
    let found =
        asked(Method::GET, &format!("/api/runs/{run}/raw?path=notes/b.txt"), &[(AUTHORIZATION, &bearer)], "");
    assert_eq!(read(send(&board.server, found).await).await, (StatusCode::OK, "two\n".to_owned()));
}

#[tokio::test]
async fn a_large_body_is_not_read() {
    let board = board().await;
    let bearer = format!("Bearer {TOKEN}");
    let body = format!("{{\"task\":\"{}\"}}", "x".repeat(crate::app::BODY_BYTES_MAX));
    let sent = asked(Method::POST, "/api/runs", &[(AUTHORIZATION, &bearer), JSON], &body);
    assert_eq!(send(&board.server, sent).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    // Whoever is not let in is refused before.
    let sent = asked(Method::POST, "/api/runs", &[JSON, (HOST, ADDRESS)], &body);
    assert_eq!(send(&board.server, sent).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn everything_is_hardened() {
    let board = board().await;
    let right = cookie(&board);
    for address in ["/", "/login", "/assets/app.js", &format!("/api/runs/{}", board.run), "/runs/nothing"] {
        let response = send(&board.server, asked(Method::GET, address, &[(COOKIE, &right)], "")).await;
        let headers = response.headers();
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{address}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{address}");
        assert_eq!(headers["x-frame-options"], "DENY", "{address}");
        assert!(!headers.keys().any(|name| name.as_str().starts_with("access-control")), "{address}");
    }
}
